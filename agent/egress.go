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

// egress is the agent's part in deciding by which interface the host's own traffic leaves.
type egress struct {
	rank       int          // place among those that traffic may leave by; -1: none
	candidates [2]candidate // IPv4, IPv6
	facts      [2]candidateFacts
	asked      [2]time.Time // when the gateway was asked last
	asking     [2]time.Time // since when it was seen to owe an answer; zero: it does not
	moved      bool         // the last reconciliation switched one of them
	verify     bool         // and the metadata has to answer now
	primary    *plumb.Link
	last       state.Record // of the primary interface, as it was last on disk
}

// families are what a candidate is for, in the order of egress.candidates.
var families = [2]string{"IPv4", "IPv6"}

// rank is the interface's place among those that traffic may leave by, or -1. What stands behind the primary
// interface in the list has no turn: there traffic leaves when all before it fail.
func (n *NIC) rank(primary string) int {
	rank, last := n.config.Egress.Rank(n.snap.Name), n.config.Egress.Rank(primary)
	if n.settled.Primary || n.iface.Manage != config.Full || (last >= 0 && last < rank) {
		return -1
	}
	return rank
}

// others are the records of the host's interfaces, for an interface whose part in [egress] or [nat] hangs on them.
func (a *Agent) others() state.Records {
	if a.config.Egress.Rank(a.snap.Name) < 0 && len(a.config.NAT.From) == 0 {
		return nil
	}
	list := a.store.All()
	for _, r := range a.ifaces {
		missing := !slices.ContainsFunc(list, func(o state.Record) bool { return o.MAC == r.MAC })
		if missing && a.snap.Beside(r.Index) {
			list = append(list, r)
		}
	}
	a.ifaces = list
	return list
}

// refreshEgress asks the kernel for what the interface's own state does not tell: what its gateways say, and
// whether the primary interface keeps its own traffic.
func (n *NIC) refreshEgress(others state.Records) {
	e := &n.egress
	if e.rank = -1; n.config.Egress.Rank(n.snap.Name) < 0 {
		return
	}
	primary, known := others.Primary()
	if !known { // the record may be lost with its folder: whether the interface keeps its traffic, the kernel tells
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

// timedOut treats a probe that is older than probeTimeout as failed: with traffic flowing the kernel probes again at once,
// so NUD_FAILED is hardly ever visible.
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

var errNotRead = errors.New("the metadata has not been read yet")

// primaryProtected says for each family why the primary interface's own traffic would leave by another interface, were the
// host's to leave there; nil: it would not.
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

// close frees what refreshEgress holds.
func (e *egress) close() {
	if e.primary != nil {
		e.primary.Close()
	}
}

// electEgress is what plumb is told: the decision of now, from the kernel's side as it is.
func (a *Agent) electEgress(s plumb.Snapshot) plumb.Egress {
	rank := a.egress.rank
	if rank < 0 { // should its turn come again, it begins anew
		a.egress.candidates = [2]candidate{{initialized: true}, {initialized: true}}
		return plumb.Egress{}
	}
	for i := range a.egress.candidates {
		f, o := &a.egress.facts[i], &a.egress.candidates[i]
		mine, better := s.Leads(i == 1, rank)
		f.active, f.superseded = mine >= 0, better
		f.unfit, f.gateway = a.unfit(s), s.Gateway(i == 1)
		if a.rolledBack == nil || o.active { // while a change is rolled back, traffic is withdrawn, and not moved
			o.decide(time.Now(), *f)
		}
	}
	return a.electedEgress()
}

// electedEgress is what was decided last.
func (a *Agent) electedEgress() plumb.Egress {
	return plumb.Egress{Rank: max(a.egress.rank, 0), IPv4: a.egress.candidates[0].active, IPv6: a.egress.candidates[1].active}
}

// unfit is why the interface can take no traffic, whatever others do.
func (a *Agent) unfit(s plumb.Snapshot) error {
	switch {
	case a.degraded:
		return errors.New("it runs on its lease alone")
	case !s.Link.Up || !s.Carrier:
		return errors.New("its link is down")
	}
	return nil
}

// reportEgress says what the last reconciliation changed.
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
		if a.rolledBack != nil && o.active { // the rest of the change is tried again at once, traffic only later
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

// egressTrouble is what keeps traffic from leaving by the interface. While interfaces and their processes are
// starting that is no news.
func (n *NIC) egressTrouble(family int, now time.Time) error {
	o := n.egress.candidates[family]
	if o.why.reason == state.EgressNoGateway || o.why.reason == state.EgressUnread { // an interface may have one family alone
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

// probeGateways asks the gateways again whose answer is old.
func (a *Agent) probeGateways(now time.Time) {
	for i, f := range a.egress.facts {
		if f.gateway.IsValid() && !f.superseded && now.Sub(a.egress.asked[i]) >= gatewayEvery && !now.Before(a.egress.candidates[i].heldDownUntil) {
			a.egress.asked[i] = now
			a.warnOnce(fromNeighbours, a.link.Ask(f.gateway))
		}
	}
}

// electing reports whether by which interface traffic leaves is about to be decided.
func (n *NIC) electing() bool {
	if n.egress.rank < 0 {
		return false
	}
	return n.egress.candidates[0].pending(n.egress.facts[0]) || n.egress.candidates[1].pending(n.egress.facts[1])
}

// wakeForEgress sets the timer for the next look, and has the metadata read when traffic was moved.
func (a *Agent) wakeForEgress(ev *events, now time.Time) {
	if a.egress.rank < 0 {
		return
	}
	if a.egress.verify {
		a.egress.verify = false
		a.cloud.Close() // a connection that is open would go on by the interface that it began with
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
