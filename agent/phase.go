package agent

import (
	"ec2net/config"
	"ec2net/plumb"
	"ec2net/state"
)

// phaseFacts are what the phase of an interface is decided from.
type phaseFacts struct {
	manage       config.Manage
	ownedByOther bool        // to another program
	ambiguous    bool        // whether it is an interface of its own is not known
	rolledBack   bool        // its last change was
	linkDone     bool        // with manage = "link-up": the link is as it should be
	converged    bool        // the kernel holds all that is known
	leaseOnly    bool        // which is the lease, without the metadata
	expects      expectation // what is expected beyond that
	problems     bool        // something of what is granted could not be set up
	writing      bool        // a change is about to be made: what the record says has to hold if the process ends in the middle
}

// expectation is what an interface that is set up still waits for.
type expectation int

const (
	expectNothing  expectation = iota
	expectLease                // from our DHCP client, or from another program's
	expectAnswer               // of the kernel, for an address that it does not use yet: duplicate address detection
	expectMetadata             // an answer, or a second one that agrees with it
	expectEgress               // the decision by which interface the host's own traffic leaves
)

// phase decides how far an interface has got.
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
	case f.expects != expectNothing:
		return state.Settling
	case f.problems:
		return state.Partial
	}
	return state.Ready
}

func (a *Agent) phaseFacts() phaseFacts {
	f := phaseFacts{
		manage: a.iface.Manage, ownedByOther: a.record.LeftTo != "", ambiguous: a.role == roleAmbiguous, rolledBack: a.rolledBack != nil,
		converged: a.converged, leaseOnly: a.degraded, expects: a.awaits(), problems: a.hasProblems(),
	}
	if f.manage == config.LinkUp {
		f.linkDone = len(plumb.Diff(a.snap.State, a.facts().released(a.snap))) == 0
	}
	return f
}

// awaits is what a converged interface still waits for.
func (a *Agent) awaits() expectation {
	switch {
	case !a.leased():
		return expectLease
	case !a.answers():
		return expectAnswer
	case !a.stable():
		return expectMetadata
	case a.electing():
		return expectEgress
	}
	return expectNothing
}

// phase is that of now. The record of a change that is about to be made says less: see save.
func (a *Agent) phase() state.Phase { return a.phaseFacts().phase() }
