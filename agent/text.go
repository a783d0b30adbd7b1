package agent

import (
	"errors"
	"fmt"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// The one line about an interface, for STATUS, the terminal and `ec2net status`. It has times of the day and no ages,
// so that it changes only when something happens.

// text is the line of now.
func (a *Agent) text() string { return a.textOf(a.phaseFacts()) }

// textOf is the line for a phase: what the interface has, or what it waits for and since when.
func (a *Agent) textOf(f phaseFacts) string {
	switch f.phase() {
	case state.LeftTo:
		return a.leftToText()
	case state.Unmanaged:
		return "left alone, as configured"
	case state.RolledBack:
		return a.rolledBack.text()
	case state.Ambiguous:
		return "waiting: " + Ambiguous(a.snap).Error()
	case state.LinkOnly:
		return "link up only, as configured"
	case state.LeaseOnly:
		return fmt.Sprintf("degraded: %s; waiting for %s since %s%s", a.describeBasis(), a.missingFromMetadata(), Clock(a.startedAt), a.standingText())
	case state.Partial, state.Ready:
		return a.setUpText()
	case state.Settling, state.Unconfirmed:
		return fmt.Sprintf("%s; waiting for %s", a.setUpText(), a.expectationText(f.expects))
	}
	return a.waitingText()
}

// leftToText says which program has the interface.
func (n *NIC) leftToText() string { return "left to " + n.record.LeftTo }

// expectationText says what a converged interface still waits for.
func (a *Agent) expectationText(what expectation) string {
	switch {
	case what == expectLease:
		return "DHCP since " + Clock(a.dhcpSince)
	case what == expectAnswer:
		return fmt.Sprintf("the kernel to answer for %s", a.snap.Unanswered()[0])
	case a.incompleteSince.IsZero():
		return a.missingFromMetadata()
	}
	return fmt.Sprintf("%s since %s", a.missingFromMetadata(), Clock(a.incompleteSince))
}

// waitingText says what an interface that is not converged waits for.
func (a *Agent) waitingText() string {
	switch {
	case a.iface.Manage == config.LinkUp:
		return "waiting for the link to come up (manage = \"link-up\")"
	case a.stable() && a.dhcpOwner == "":
		return fmt.Sprintf("waiting for %s to get carrier, or for a network manager to claim it, since %s", a.snap.Name, Clock(a.startedAt))
	case a.stable() && a.dhcpOwner != native:
		return fmt.Sprintf("waiting for %s to add %s since %s%s", a.dhcpOwner, First(a.settled), Clock(a.startedAt), a.awaitText())
	}
	return fmt.Sprintf("waiting for %s since %s%s", a.missingFromMetadata(), Clock(a.unconvergedSince), a.standingText())
}

// standingText follows what is waited for from the metadata: what counts as the primary until then.
func (a *Agent) standingText() string {
	text := a.standing.text()
	if text == "" || a.settled.MAC != (metadata.MAC{}) {
		return ""
	}
	return "; until then " + text
}

// setUpText says what an interface has: addresses, table, lease, egress.
func (a *Agent) setUpText() string {
	c := a.settled
	switch {
	case c.Primary && a.hosting():
		return fmt.Sprintf("primary interface, %s; %s", Plural(Extra(c), "secondary address", "secondary addresses"), a.hostingStatus())
	case c.Primary:
		return fmt.Sprintf("primary interface, %s", Plural(Extra(c), "secondary address", "secondary addresses"))
	case a.hosting():
		return a.hostingStatus()
	}
	if len(c.Addrs4.Value)+len(c.Addrs6.Value)+len(c.Prefixes4.Value)+len(c.Prefixes6.Value) == 0 {
		return "link up; the cloud gives this interface no address"
	}
	table := plumb.Table(a.snap.Number(c))
	s := fmt.Sprintf("%s, table %d", First(c), table)
	if n := Extra(c); n > 0 {
		s = fmt.Sprintf("%s and %d more, table %d", First(c), n, table)
	}
	if a.lease != nil {
		s += ", lease " + Until(a.lease)
	}
	if w := a.egressStatus(); w != nil {
		s += "; egress: " + w.State
	}
	return s
}

// missingFromMetadata says what is still expected from the metadata, to follow "waiting for".
func (n *NIC) missingFromMetadata() string {
	switch err := n.readErr; {
	case err == nil && !n.answered:
		return "the metadata's first answer"
	case err == nil && !metadata.Same(n.settled, n.last):
		due, _ := n.doubts.Due(n.holdTime())
		return fmt.Sprintf("the metadata to list %s again, else removal at %s", n.doubts.Text(), Clock(due))
	case err == nil && n.Partial():
		return n.missingText()
	case err == nil && n.electing():
		return "the gateway and the metadata to answer"
	case err == nil:
		return "another program to stop changing this interface"
	case errors.Is(err, metadata.ErrUnknownMAC):
		return fmt.Sprintf("the metadata to list %s", n.snap.MAC)
	case errors.Is(err, metadata.ErrNotReady):
		return fmt.Sprintf("the metadata to publish %s (%s)", n.snap.MAC, OneLine(err))
	default:
		return fmt.Sprintf("the metadata (%s)", OneLine(err))
	}
}
