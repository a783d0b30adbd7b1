package main

import (
	"errors"
	"fmt"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// text is one line for a person: what the interface holds, or what it waits for and since when.
func (a *agent) text() string { return a.textOf(a.phaseFacts()) }

func (a *agent) textOf(f phaseFacts) string {
	switch f.phase() {
	case state.LeftTo:
		return "left to " + a.record.Yielded
	case state.Unmanaged:
		return "left alone, as configured"
	case state.RolledBack:
		return a.undone.text()
	case state.Ambiguous:
		return "waiting: " + unclear(a.snap).Error()
	case state.LinkOnly:
		return "link up only, as configured"
	case state.LeaseOnly:
		return fmt.Sprintf("degraded: %s; waiting for %s since %s", a.standsOn(), a.whyNot(), clock(a.begun))
	case state.Partial, state.Ready:
		return a.holds()
	case state.Settling:
		return fmt.Sprintf("%s; waiting for %s", a.holds(), a.expects(f.lacks))
	}
	return a.waitsFor()
}

// expects says what a converged interface still waits for.
func (a *agent) expects(what lacking) string {
	switch {
	case what == lackLease:
		return "DHCP since " + clock(a.leaseAt)
	case what == lackAnswer:
		return fmt.Sprintf("the kernel to answer for %s", a.snap.Unanswered()[0])
	case a.lacking.IsZero():
		return a.whyNot()
	}
	return fmt.Sprintf("%s since %s", a.whyNot(), clock(a.lacking))
}

// waitsFor says what an interface that is not converged waits for.
func (a *agent) waitsFor() string {
	switch {
	case a.iface.Manage == config.LinkUp:
		return "waiting for the link to come up (manage = \"link-up\")"
	case a.settledDown() && a.leasing == "":
		return fmt.Sprintf("waiting for %s to get carrier, or for a network manager to claim it, since %s", a.snap.Name, clock(a.begun))
	case a.settledDown() && a.leasing != native:
		return fmt.Sprintf("waiting for %s to add %s since %s", a.leasing, first(a.settled), clock(a.begun))
	}
	return fmt.Sprintf("waiting for %s since %s", a.whyNot(), clock(a.waits))
}

func (a *agent) holds() string {
	c := a.settled
	switch {
	case c.Primary && a.hosting():
		return fmt.Sprintf("primary interface, %s; %s", plural(extra(c), "secondary address", "secondary addresses"), a.livelihood())
	case c.Primary:
		return fmt.Sprintf("primary interface, %s", plural(extra(c), "secondary address", "secondary addresses"))
	case a.hosting():
		return a.livelihood()
	}
	if len(c.Addrs4.Value)+len(c.Addrs6.Value)+len(c.Prefixes4.Value)+len(c.Prefixes6.Value) == 0 {
		return "link up; the cloud gives this interface no address"
	}
	table := plumb.Table(a.snap.Number(c))
	s := fmt.Sprintf("%s, table %d", first(c), table)
	if n := extra(c); n > 0 {
		s = fmt.Sprintf("%s and %d more, table %d", first(c), n, table)
	}
	if a.lease != nil {
		s += ", lease " + until(a.lease)
	}
	if w := a.way(); w != nil {
		s += "; egress: " + w.State
	}
	return s
}

func first(c metadata.Interface) string {
	for _, list := range [][]string{texts(c.Addrs4.Value), texts(c.Addrs6.Value)} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return "no address"
}

func extra(c metadata.Interface) int { return max(0, len(c.Addrs4.Value)+len(c.Addrs6.Value)-1) }

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, 0, len(list))
	for _, x := range list {
		out = append(out, x.String())
	}
	return out
}

func until(l *dhcp.Lease) string {
	if l.Expires == dhcp.Infinite {
		return "with no expiry"
	}
	word := "until "
	if !l.Live(time.Now()) {
		word = "ended "
	}
	return word + clock(l.Start.Add(l.Expires))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// clock is a point of time for a line that is only told again when it changes.
func clock(t time.Time) string { return t.Format(time.TimeOnly) }

// whyNot says what is missing from the metadata.
func (n *nic) whyNot() string {
	switch err := n.readErr; {
	case err == nil && !n.answered:
		return "the metadata's first answer"
	case err == nil && !metadata.Same(n.settled, n.last):
		due, _ := n.doubts.Due(n.holdTime())
		return fmt.Sprintf("the metadata to list %s again, else removal at %s", n.doubts.Text(), clock(due))
	case err == nil && n.partial():
		return n.awaited()
	case err == nil && n.settling():
		return "the gateway and the metadata to answer"
	case err == nil:
		return "another program to stop changing this interface"
	case errors.Is(err, metadata.ErrUnknownMAC):
		return fmt.Sprintf("the metadata to list %s", n.snap.MAC)
	case errors.Is(err, metadata.ErrNotReady):
		return fmt.Sprintf("the metadata to publish %s (%s)", n.snap.MAC, oneLine(err))
	default:
		return fmt.Sprintf("the metadata (%s)", oneLine(err))
	}
}

// report tells systemd or the terminal, when there is something new to tell. Others read the record, which is
// written once for all that an event has brought, and has to follow what only the time has changed.
func (a *agent) report() {
	f := a.phaseFacts()
	phase := f.phase()
	if (a.unsaved && !a.idle()) || (a.setUp && a.record.Phase != phase) {
		a.saved()
	}
	a.complain(fromMetrics, a.metrics.Err())
	a.progress(phase, a.textOf(f))
}
