package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Write prints the report for a person, the worst first, on lines of at most Width characters. colour is for
// a terminal.
func (r Report) Write(w io.Writer, colour bool) error {
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Verdict != OK || f.Summary != "" {
			f.write(&b, colour)
		}
	}
	r.summary(&b, colour)
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Finding) write(b *strings.Builder, colour bool) {
	head := f.Verdict.String()
	pad := strings.Repeat(" ", 8-len(head))
	text := wrap(head+pad, f.title())
	b.WriteString(strings.Replace(text, head, paint(head, f.Verdict, colour), 1))
	const most = 4
	for i, e := range f.Evidence {
		if i == most && len(f.Evidence) > most+1 {
			b.WriteString(wrap("        ", fmt.Sprintf("and %d more", len(f.Evidence)-most)))
			break
		}
		b.WriteString(wrap("        ", e))
	}
	for _, id := range f.consequences() {
		b.WriteString(wrap("        so: ", id))
	}
	if f.Remedy != "" {
		b.WriteString(wrap("        do: ", f.Remedy))
	}
	b.WriteByte('\n')
}

func (f Finding) title() string {
	where := ""
	if f.Interface != "" {
		where = f.Interface + ": "
	}
	return where + f.Summary + " [" + f.ID + "]"
}

// consequences are told once for each check and interface.
func (f Finding) consequences() (out []string) {
	times := map[[2]string]int{}
	for _, c := range f.Consequences {
		times[[2]string{c.ID, c.Interface}]++
	}
	for _, c := range f.Consequences {
		key := [2]string{c.ID, c.Interface}
		switch n := times[key]; {
		case n == 1:
			out = append(out, c.title())
		case n > 1:
			out = append(out, fmt.Sprintf("%s, and %d more", c.title(), n-1))
		}
		times[key] = 0 // told
	}
	return out
}

// summary counts the findings by their verdicts, or says that all is well, and with which interfaces.
func (r Report) summary(b *strings.Builder, colour bool) {
	n := map[Verdict]int{}
	var ifaces []string
	for _, f := range r.Findings {
		n[f.Verdict]++
		if f.Interface != "" && !slices.Contains(ifaces, f.Interface) {
			ifaces = append(ifaces, f.Interface)
		}
	}
	checked := fmt.Sprintf("%d checks, %s", len(r.Findings), countInterfaces(ifaces))
	switch {
	case n[Fail]+n[Warn]+n[Unknown] == 0:
		fmt.Fprintf(b, "%s: %s\n", paint("all well", OK, colour), checked)
	case n[Fail]+n[Warn] == 0 && len(ifaces) == 0:
		fmt.Fprintf(b, "nothing was checked: %s\n", checked)
	case n[Fail]+n[Warn] == 0:
		fmt.Fprintf(b, "no problems found: %s, of which %d could not be made\n", checked, n[Unknown])
	default:
		fmt.Fprintf(b, "%d failed, %d warned, %d unknown: %s\n", n[Fail], n[Warn], n[Unknown], checked)
	}
}

func countInterfaces(ifaces []string) string {
	slices.Sort(ifaces)
	text := strings.Join(ifaces, " ")
	switch {
	case len(ifaces) == 0:
		return "no interface"
	case len(text) > 30:
		return fmt.Sprintf("%d interfaces", len(ifaces))
	}
	return text
}

func paint(s string, v Verdict, colour bool) string {
	if !colour {
		return s
	}
	code := map[Verdict]int{OK: 32, Unknown: 36, Warn: 33, Fail: 31}[v]
	return fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", code, s)
}
