package agent

import (
	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// From what is known of an interface to the facts that the pure functions decide by: Facts (decide.go) and phaseFacts
// (phase.go).

// facts are those that the interface itself tells. Who calls it adds what depends on the command: the lease, whose
// the address is, and egress.
func (n *NIC) facts() Facts {
	return Facts{
		cloud: n.where, Settings: n.iface, services: services(n.where, n.config), role: n.role,
		ownedByOther: n.record.LeftTo != "", granted: n.settled, known: n.settled.MAC != (metadata.MAC{}),
		primary: n.settled.Primary || n.record.Interface.Primary,
		hosts:   n.hosting(), nat: n.nat.NATRole, before: n.record.Baseline,
		connected: connected(n.settled, n.iface),
	}
}

// gatherFacts fills in all the facts as they are now. It may find out that another program has claimed the interface.
func (a *Agent) gatherFacts() Facts {
	if a.role == roleInterface {
		a.OwnedByOther(a.snap)
	}
	f := a.facts()
	if a.rolledBack != nil {
		f.rolledBack = &a.rolledBack.state
	}
	f.undecided = a.undecided()
	f.known, f.conflict = a.known(), a.conflict
	f.Lease, f.ownAddress = a.usableLease(), a.ownsAddress()
	if a.degraded || a.settled.MAC == (metadata.MAC{}) {
		f.granted, f.Lease = metadata.Interface{}, a.basis()
	}
	return f
}

// known reports whether there is something to set up.
func (a *Agent) known() bool {
	return a.degraded || a.settled.MAC != (metadata.MAC{}) || a.hosting()
}

// phaseFacts fills them in as they are now. With manage = "link-up" the link is compared right here, since no
// reconciliation is needed to know it.
func (a *Agent) phaseFacts() phaseFacts {
	f := phaseFacts{
		manage: a.iface.Manage, ownedByOther: a.record.LeftTo != "", ambiguous: a.role == roleAmbiguous, rolledBack: a.rolledBack != nil,
		converged: a.converged, leaseOnly: a.degraded, expects: a.awaits(), silent: a.silent(), problems: a.hasProblems(),
	}
	if f.manage == config.LinkUp {
		f.linkDone = len(plumb.Diff(a.snap.State, a.facts().released(a.snap))) == 0
	}
	return f
}

// phase is the phase of now. The record that is written before a change says less, see writeRecord.
func (a *Agent) phase() state.Phase { return a.phaseFacts().phase() }

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

// waiting reports whether something is still expected, so that deadlines have to be checked every second.
func (a *Agent) waiting() bool {
	if a.iface.Manage != config.Full {
		return false
	}
	lacks := a.awaits()
	return !a.converged || (lacks != expectNothing && lacks != expectEgress) // egress has a timer of its own
}

// answers reports whether the kernel answers for all addresses of the interface: none is tentative (RFC 4862).
func (a *Agent) answers() bool { return len(a.snap.Unanswered()) == 0 }
