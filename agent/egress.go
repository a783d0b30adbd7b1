package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"ec2net/config"
	"ec2net/plumb"
	"ec2net/state"
)

// The agent's side of [egress]: it gathers the facts of candidate.go from the kernel, the records and the metadata,
// probes the gateways, and logs what was decided. The decision becomes policy rules by way of plumb.Egress.

// egress is the interface's part in deciding by which interface the host's own traffic leaves.
type egress struct {
	// rank is the interface's place in the list of [egress]; -1: it is no candidate.
	rank int
	// candidates, facts, asked and asking have one entry for each address family: IPv4, IPv6.
	candidates [2]candidate
	facts      [2]candidateFacts
	// asked is when the gateway was last probed; asking is since when the kernel waits for its answer, zero: it does
	// not.
	asked  [2]time.Time
	asking [2]time.Time
	// moved is true if the last reconciliation moved traffic; then its changes are no repair.
	moved bool
	// verify asks for a reading of the metadata, which has to answer after the move.
	verify bool
	// primary is a netlink handle of its own for the primary interface, whose rules are checked.
	primary *plumb.Link
	// last is the primary's record when it was last read; it stands in for one that was deleted.
	last state.Record
}

// families name the two candidates, in their order.
var families = [2]string{"IPv4", "IPv6"}

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

// timedOut treats a probe that is older than probeTimeout as failed. With traffic flowing the kernel probes again at
// once, so that NUD_FAILED is hardly ever to be seen.
func (e *egress) timedOut(family int, n plumb.Neighbour, now time.Time) plumb.Neighbour {
	since := &e.asking[family]
	switch {
	case n != plumb.Asking:
		*since = time.Time{}
	case since.IsZero():
		*since = now
	case now.Sub(*since) >= probeTimeout:
		return plumb.Silent
	}
	return n
}

// errNotRead stands in for the metadata's answer until there is one.
var errNotRead = errors.New("the metadata has not been read yet")

// primaryProtected returns for each family why the primary interface would lose its own traffic (SSH, the cloud's
// servers) if the host's traffic left by another interface; nil: its rules are there, and it would not.
func (e *egress) primaryProtected(r state.Record, services []netip.Addr) (out [2]error) {
	have, failed := e.readPrimary(r)
	for i := range out {
		err := failed
		if err == nil {
			err = plumb.Protected(have, r.Interface, i == 1, services)
		}
		if err != nil {
			out[i] = fmt.Errorf("the primary interface %s: %w", r.Name, err)
		}
	}
	return out
}

var errNoPrimary = errors.New("nobody has set up the primary interface, whose connections would break: start its unit, or run \"ec2net up\" for it")

// readPrimary reads the primary interface from the kernel, by a handle that is kept open.
func (e *egress) readPrimary(r state.Record) (plumb.Snapshot, error) {
	if e.primary == nil {
		link, err := plumb.Open(r.Name)
		if err != nil {
			return plumb.Snapshot{}, err
		}
		e.primary = link
	}
	e.primary.Name, e.primary.Index = r.Name, r.Index
	e.primary.Cover(plumb.Scope{Numbers: r.Numbers})
	return e.primary.Read()
}

// close closes that handle.
func (e *egress) close() {
	if e.primary != nil {
		e.primary.Close()
	}
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

// reportEgress logs what the last reconciliation changed, given the candidates before it. If the move was rolled
// back, the candidate is held down in place of the whole change: the rest of the change is made again at once.
func (a *Agent) reportEgress(was [2]candidate) {
	a.egress.moved = false
	a.warnHostConfig()
	if a.egress.rank < 0 {
		a.logLimiter.forget(fromEgress)
		return
	}
	for i := range a.egress.candidates {
		o := &a.egress.candidates[i]
		if o.active == was[i].active || !was[i].initialized {
			continue
		}
		if a.rolledBack != nil && o.active { // make the rest of the change again at once; hold only the move down
			o.withdraw(time.Now(), obstacle{state.EgressRollback, a.rolledBack.why.String()})
			a.rolledBack, a.rollbacks = nil, 0
		}
		a.egress.moved, a.dirty = true, true
		switch {
		case o.active:
			a.egress.verify = true
			a.logOnce(fmt.Sprintf("the host's own %s traffic now leaves by this interface", families[i]))
		case o.superseded:
			a.logOnce(fmt.Sprintf("the host's own %s traffic now leaves by a preferred interface", families[i]))
		}
	}
	for i, family := range families {
		a.warnOnce(fromEgress+" "+family, a.egressTrouble(i, time.Now()))
	}
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

// electing reports whether one of the candidates is about to decide.
func (n *NIC) electing() bool {
	if n.egress.rank < 0 {
		return false
	}
	return n.egress.candidates[0].pending(n.egress.facts[0]) || n.egress.candidates[1].pending(n.egress.facts[1])
}

// wakeForEgress sets the timer for the next look at the candidates, and starts a reading of the metadata after a
// move, to verify it.
func (a *Agent) wakeForEgress(ev *events, now time.Time) {
	if a.egress.rank < 0 {
		return
	}
	if a.egress.verify {
		a.egress.verify = false
		a.cloud.Close() // an open connection stays on the interface that it began on, and would verify nothing
		ev.again = ev.reading
		ev.reread.Reset(0)
	}
	next := time.Duration(0)
	for i := range a.egress.candidates {
		if p := a.egress.candidates[i].pause(now, a.egress.facts[i]); p > 0 && (next == 0 || p < next) {
			next = p
		}
	}
	if due := now.Add(next); next > 0 && (ev.look.Before(now) || due.Before(ev.look)) {
		ev.look = due
		ev.egress.Reset(next)
	}
}
