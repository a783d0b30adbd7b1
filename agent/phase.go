package agent

import (
	"ec2net/config"
	"ec2net/state"
)

// The phase says how far an interface has got. STATUS and READY for systemd, the exit status of up, the record, the
// metrics and the word in `ec2net status` all follow from it (docs/architecture.md, "The life of an interface").

// phaseFacts are what the phase is decided from.
type phaseFacts struct {
	manage config.Manage
	// ownedByOther is true if another program has the interface.
	ownedByOther bool
	// ambiguous is true if it may be the virtual function of another device.
	ambiguous bool
	// rolledBack is true if the last change cut something off and was rolled back.
	rolledBack bool
	// linkDone, with manage = "link-up": the link is as configured.
	linkDone bool
	// converged is true if the kernel holds all that is known.
	converged bool
	// leaseOnly is true if what is known is the lease alone, because the metadata says nothing (degraded).
	leaseOnly bool
	// expects is what else is on its way; see Agent.awaits.
	expects expectation
	// silent is true if the metadata has left open for Silence what is expected from it, or is closed.
	silent bool
	// problems is true if something of what is granted could not be set up, and the log says what.
	problems bool
	// writing is true if the record is being written before a change. What it says has to be true if the process dies
	// in the middle.
	writing bool
}

// expectation is what an interface that is converged still waits for. In this order: what comes first is shown first.
type expectation int

const (
	expectNothing expectation = iota
	// expectLease is a lease, from our DHCP client or another program's.
	expectLease
	// expectAnswer is the end of duplicate address detection (RFC 4862 section 5.4): until then the kernel does not
	// answer for an IPv6 address.
	expectAnswer
	// expectMetadata is an answer of the metadata, or a second one that confirms the first.
	expectMetadata
	// expectEgress is the decision by which interface the host's own traffic leaves.
	expectEgress
)

// phase decides how far an interface has got. The first case that holds wins: what overrules the rest stands first.
func (f phaseFacts) phase() state.Phase {
	switch {
	case f.ownedByOther:
		return state.LeftTo
	case f.manage == config.None:
		return state.Unmanaged
	case f.rolledBack:
		return state.RolledBack
	case f.ambiguous:
		return state.Ambiguous
	case f.manage == config.LinkUp && f.linkDone:
		return state.LinkOnly
	case f.manage == config.LinkUp, !f.converged:
		return state.Waiting
	case f.writing:
		return state.Settling
	case f.leaseOnly:
		return state.LeaseOnly
	case f.expects == expectMetadata && f.silent:
		return state.Unconfirmed
	case f.expects != expectNothing:
		return state.Settling
	case f.problems:
		return state.Partial
	}
	return state.Ready
}
