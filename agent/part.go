package agent

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"ec2net/config"
	"ec2net/plumb"
	"ec2net/state"
)

// The part of the interface in what concerns the whole host: who carries [egress], who has which role in [nat]. The
// facts of candidate.go and nat.go are gathered here from the kernel, the records and the metadata; what is decided
// becomes policy rules by way of plumb.Egress and plumb.NAT.

// rank is the interface's place in the list of [egress], or -1. The primary interface is the fallback after all
// others, so what is listed behind it never has a turn.
func (n *NIC) rank(primary string) int {
	rank, last := n.config.Egress.Rank(n.snap.Name), n.config.Egress.Rank(primary)
	if n.settled.Primary || n.iface.Manage != config.Full || (last >= 0 && last < rank) {
		return -1
	}
	return rank
}

// others are the records of the host's interfaces, read only if [egress] or [nat] makes this interface depend on
// them. A record that has vanished while its interface is there is taken from memory.
func (a *Agent) others() state.Records {
	if a.config.Egress.Rank(a.snap.Name) < 0 && len(a.config.NAT.From) == 0 {
		return nil
	}
	list := a.store.All()
	for _, r := range a.ifaces {
		missing := !slices.ContainsFunc(list, func(o state.Record) bool { return o.MAC == r.MAC })
		if missing && a.snap.IsSibling(r.Index) {
			list = append(list, r)
		}
	}
	a.ifaces = list
	return list
}

// refreshEgress asks the kernel for the facts that the interface's own snapshot does not have: whether its gateways
// answer, and whether the primary interface would keep its own traffic if the host's moved here.
func (n *NIC) refreshEgress(others state.Records) {
	e := &n.egress
	if e.rank = -1; n.config.Egress.Rank(n.snap.Name) < 0 {
		return
	}
	primary, known := others.Primary()
	if !known { // the record may be lost with its folder: the kernel tells whether its rules are there
		primary, known = e.last, e.last.Name != ""
	}
	e.last = primary
	e.rank = n.rank(primary.Name)
	if e.rank < 0 {
		e.facts = [2]candidateFacts{}
		return
	}
	kept := [2]error{errNoPrimary, errNoPrimary}
	if known {
		kept = e.primaryProtected(primary, services(n.where, n.config))
	}
	for i := range e.facts {
		f := &e.facts[i]
		f.gateway, f.neighbour = n.snap.Gateway(i == 1), plumb.Unasked
		if f.gateway.IsValid() {
			f.neighbour, _ = n.link.See(f.gateway) // unknown counts as not asked
		}
		f.neighbour = e.timedOut(i, f.neighbour, time.Now())
		f.firstChoice, f.primary = e.rank == 0, kept[i]
		f.metadata, f.readAt = n.readErr, n.record.ReadAt
		if !n.answered && n.readErr == nil {
			f.metadata = errNotRead
		}
	}
}

// updateNATRole works out the interface's role. What this process knows of its own interface is newer than its
// record.
func (n *NIC) updateNATRole(others state.Records) {
	if len(n.config.NAT.From) == 0 {
		return
	}
	now := state.Record{Name: n.snap.Name, MAC: n.snap.MAC, Interface: n.settled} // newer than what is on disk
	roles, refused := NATRoles(append(slices.Clip(others), now), n.config)
	role := roles[n.snap.Name]
	n.nat = natPart{role, refused, !reflect.DeepEqual(role, n.nat.NATRole)}
}

// cover tells plumb what to read beside the interface itself: by the record, and by its part in [egress] and [nat].
func (n *NIC) cover() {
	s := n.record.Scope()
	s.Packets = s.Packets || len(n.nat.out) > 0
	s.Others = n.egress.rank >= 0
	n.link.Cover(s)
}

// electEgress lets both candidates decide, given the snapshot that was just read, and returns the decision for plumb.
// While a change is rolled back, an active candidate may withdraw, and no candidate may take over.
func (a *Agent) electEgress(s plumb.Snapshot) plumb.Egress {
	rank := a.egress.rank
	if rank < 0 { // if it becomes a candidate again, it starts from scratch
		a.egress.candidates = [2]candidate{{initialized: true}, {initialized: true}}
		return plumb.Egress{}
	}
	for i := range a.egress.candidates {
		f, o := &a.egress.facts[i], &a.egress.candidates[i]
		mine, better := s.Leads(i == 1, rank)
		f.active, f.superseded = mine >= 0, better
		f.unfit, f.gateway = a.unfit(s), s.Gateway(i == 1)
		if a.rolledBack == nil || o.active { // during a rollback traffic may be withdrawn, not moved here
			o.decide(time.Now(), *f)
		}
	}
	return a.electedEgress()
}

// electedEgress is the last decision.
func (a *Agent) electedEgress() plumb.Egress {
	return plumb.Egress{Rank: max(a.egress.rank, 0), IPv4: a.egress.candidates[0].active, IPv6: a.egress.candidates[1].active}
}

// electing reports whether one of the candidates is about to decide.
func (n *NIC) electing() bool {
	if n.egress.rank < 0 {
		return false
	}
	return n.egress.candidates[0].pending(n.egress.facts[0]) || n.egress.candidates[1].pending(n.egress.facts[1])
}

// unfit is why the interface itself cannot carry traffic; nil: it can.
func (a *Agent) unfit(s plumb.Snapshot) error {
	switch {
	case a.degraded:
		return errors.New("it runs on its lease alone")
	case !s.Link.Up || !s.Carrier:
		return errors.New("its link is down")
	}
	return nil
}

// egressTrouble is the warning about traffic that does not leave by the interface, nil if there is nothing to warn
// of. It is silent during the first ten seconds, while interfaces and their processes start, and about a missing
// gateway, since an interface may have one family only.
func (n *NIC) egressTrouble(family int, now time.Time) error {
	o := n.egress.candidates[family]
	if o.why.reason == state.EgressNoGateway || o.why.reason == state.EgressUnread { // an interface may have one family only
		return nil
	}
	switch decision := o.state(); {
	case decision == state.EgressWithdrawn && o.why.text != "":
		return fmt.Errorf("the host's own traffic was withdrawn from this interface: %s", o.why.text)
	case decision == state.EgressBlocked && (!n.daemon || now.Sub(n.startedAt) >= Silence):
		return fmt.Errorf("the host's own traffic does not leave by this interface: %s", o.why.text)
	}
	return nil
}

// probeGateways probes the gateways whose answer is older than gatewayEvery; not during a hold-down.
func (a *Agent) probeGateways(now time.Time) {
	for i, f := range a.egress.facts {
		if f.gateway.IsValid() && !f.superseded && now.Sub(a.egress.asked[i]) >= gatewayEvery && !now.Before(a.egress.candidates[i].heldDownUntil) {
			a.egress.asked[i] = now
			a.warnOnce(fromNeighbours, a.link.Ask(f.gateway))
		}
	}
}
