package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"ec2net/agent"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/state"
)

// The text of status: a table of all interfaces if there are several, then all about each. The word for an
// interface's state comes from its state.Phase, never from a text.

// view is how status is shown.
type view struct {
	now time.Time
	// width is the terminal's, in columns; 0: lines of any length, as for a pipe.
	width  int
	colour bool
	// still is true if times of the day are shown in place of ages, which --watch would have to draw anew each
	// second.
	still bool
}

// viewOf is the view for a terminal, or for a file or a pipe. NO_COLOR: no-color.org.
func viewOf(w any) view {
	v := view{now: time.Now()}
	f := fileOf(w)
	if f == nil {
		return v
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return v
	}
	v.width = max(int(size.Col), 40)
	if size.Col == 0 {
		v.width = 80
	}
	v.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return v
}

// text is the table of all interfaces, when there are several, and then each interface.
func (v view) text(list []interfaceStatus) string {
	var b strings.Builder
	if len(list) > 1 {
		v.table(&b, list)
	}
	for i, c := range list {
		if len(list) > 1 || i > 0 {
			b.WriteByte('\n')
		}
		v.iface(&b, c)
	}
	return b.String()
}

// table prints one row for each interface.
func (v view) table(b *strings.Builder, list []interfaceStatus) {
	var plain strings.Builder
	w := tabwriter.NewWriter(&plain, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INTERFACE\tSTATE\tADDRESS\tTABLE\tLEASE\tREAD\tDRIFT\tMANAGED BY")
	for _, c := range list {
		fmt.Fprintln(w, strings.Join(v.cells(c), "\t"))
	}
	w.Flush() // to memory
	lines := strings.SplitAfter(plain.String(), "\n")
	b.WriteString(lines[0])
	for i, c := range list {
		b.WriteString(v.painted(lines[i+1], c.word()))
	}
}

// cells are an interface's row of the table. Each is short; the details are below the table.
func (v view) cells(c interfaceStatus) []string {
	address := agent.First(c.Interface)
	switch n := agent.Extra(c.Interface); {
	case c.Interface.MAC == (metadata.MAC{}) && c.Lease != nil:
		address = c.Lease.Addr.Addr().String()
	case c.Interface.MAC == (metadata.MAC{}):
		address = "-"
	case n > 0:
		address += fmt.Sprintf(" +%d", n)
	}
	drift, kept := fmt.Sprint(len(c.Drift)), fmt.Sprint(c.Process)
	if c.Drift == nil {
		drift = "?"
	}
	switch {
	case c.Limited && c.Process == 0, c.Process < 0:
		kept = "?"
	case c.Process == 0:
		kept = "nobody"
	}
	return []string{c.Name, c.word(), address, or(c.Table != 0, fmt.Sprint(c.Table)), v.left(c.Lease), v.ago(c.ReadAt), drift, kept}
}

// or is s if ok, else "-".
func or(ok bool, s string) string {
	if ok {
		return s
	}
	return "-"
}

// word is the interface's state in one word. Scripts should use the JSON's phase instead.
func (c interfaceStatus) word() string {
	switch {
	case !c.Present:
		return "gone"
	case c.Limited:
		return "?"
	case c.Phase == state.LeftTo:
		return "left"
	case c.Phase == state.RolledBack:
		return "rollback"
	case len(c.Drift) > 0:
		return "drift"
	case c.Phase == state.LeaseOnly:
		return "degraded"
	case c.Phase.Settled():
		return "ok"
	}
	return "waiting"
}

// painted colours the word in its line; the columns were aligned before, since escape sequences have a length but no
// width.
func (v view) painted(line, word string) string {
	const green, yellow, red = "32", "33", "31"
	colour := map[string]string{"ok": green, "waiting": yellow, "degraded": yellow, "drift": yellow, "rollback": red, "gone": red}[word]
	if !v.colour || colour == "" {
		return line
	}
	before, after, _ := strings.Cut(line, "  "+word)
	return before + "  \x1b[" + colour + "m" + word + "\x1b[0m" + after
}

// left is the time that is left of a lease.
func (v view) left(l *dhcp.Lease) string {
	switch {
	case l == nil:
		return "-"
	case l.Expires == dhcp.Infinite:
		return "infinite"
	}
	end := l.Start.Add(l.Expires)
	switch {
	case v.still:
		return agent.Clock(end)
	case !end.After(v.now):
		return "ended"
	}
	return brief(end.Sub(v.now))
}

// ago is how long something is past, or when it was.
func (v view) ago(t time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case v.still:
		return agent.Clock(t)
	}
	return brief(v.now.Sub(t))
}

// brief is a duration in its largest unit: 90 s are "1m".
func brief(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// iface prints all about one interface. Rows without a value are left out.
func (v view) iface(b *strings.Builder, c interfaceStatus) {
	b.WriteString(v.folded(c.Name+": "+c.State, 0, "    ") + "\n")
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "  %-10s  %s\n", key, v.folded(value, 14, strings.Repeat(" ", 14)))
		}
	}
	row("ENI", c.Interface.ID)
	row("MAC", c.MAC.String())
	row("addresses", strings.Join(append(agent.Texts(c.Interface.Addrs4.Value), agent.Texts(c.Interface.Addrs6.Value)...), " "))
	row("prefixes", strings.Join(append(agent.Texts(c.Interface.Prefixes4.Value), agent.Texts(c.Interface.Prefixes6.Value)...), " "))
	row("table", strings.TrimPrefix(or(c.Table != 0, fmt.Sprint(c.Table)), "-"))
	if c.Limited {
		if c.Process != 0 {
			row("managed by", managedByText(c))
		}
		row("record", c.unsaved())
		return
	}
	row("lease", v.lease(c.Record))
	if c.Hosts {
		row("host", "depends on this lease, because nobody else configures the interface; ec2net does not set up DNS")
	}
	row("metadata", v.age(c.ReadAt))
	row("egress", c.Egress.Text())
	row("NAT", c.NAT)
	for i, does := range c.Tables {
		row([]string{"nftables", ""}[min(i, 1)], does)
	}
	row("managed by", managedByText(c))
	for i, d := range drifts(c) {
		row([]string{"drift", ""}[min(i, 1)], d)
	}
	for i, why := range c.LeftOut {
		row([]string{"left out", ""}[min(i, 1)], why)
	}
	row("record", c.unsaved())
	if c.RolledBack != nil {
		row("rollback", inPlan(c.RolledBack.Plan))
	}
}

// unsaved says why the record may be out of date; "": it is not.
func (c interfaceStatus) unsaved() string {
	if c.Unsaved == "" {
		return ""
	}
	return "the process that manages the interface cannot write it, so this may be out of date: " + c.Unsaved
}

// lease says who has the lease, from whom, and for how long.
func (v view) lease(r state.Record) string {
	if r.Lease == nil {
		return r.DHCP
	}
	s := fmt.Sprintf("%s by %s from %s, %s", r.Lease.Addr, r.DHCP, r.Lease.Server, agent.Until(r.Lease))
	if left := v.left(r.Lease); !v.still && left != "ended" && left != "infinite" {
		s += " (" + left + " left)"
	}
	return s
}

// age says when the metadata was read.
func (v view) age(t time.Time) string {
	switch {
	case t.IsZero():
		return "never answered"
	case v.still:
		return "read at " + agent.Clock(t)
	}
	return "read " + v.now.Sub(t).Truncate(time.Second).String() + " ago"
}

// drifts are the lines of the row "drift".
func drifts(c interfaceStatus) []string {
	switch {
	case !c.Present:
		return []string{"the interface is gone; to clean up: ec2net down " + c.Name}
	case c.Broken:
		return []string{"unknown: the configuration has an error"}
	case c.Unsaved != "":
		return []string{"unknown: the record is out of date"}
	case len(c.Drift) == 0:
		return []string{"none"}
	}
	return c.Drift
}

// inPlan is the beginning of a plan that was rolled back, on one line.
func inPlan(ops []string) string {
	s := strings.Join(ops[:min(len(ops), agent.ListedAtMost)], "; ")
	if more := len(ops) - agent.ListedAtMost; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s
}

// folded breaks a text at its blanks, so that what begins at a column ends before the terminal's width. A word that
// is longer than a line stays whole, since it is there to be copied.
func (v view) folded(s string, column int, indent string) string {
	if v.width == 0 {
		return s
	}
	var b strings.Builder
	at := column
	for i, word := range strings.Split(s, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > v.width:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
