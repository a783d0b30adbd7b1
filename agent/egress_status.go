package agent

import (
	"errors"
	"fmt"
	"net"
	"time"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// What the record, STATUS and the log say of [egress], what a plan assumes of it, and mistakes in the section that no
// single interface's record can show.

// egressStatus is the interface's part in [egress], for its record; nil: it is no candidate.
func (a *Agent) egressStatus() *state.Egress {
	switch rank := a.config.Egress.Rank(a.snap.Name); {
	case rank < 0 || a.settled.MAC == (metadata.MAC{}) || a.record.LeftTo != "":
		return nil
	case a.settled.Primary:
		return &state.Egress{Rank: rank, State: "no change needed: this is the primary interface"}
	}
	if a.egress.rank < 0 {
		return nil
	}
	return egressRecord(a.egress.rank, a.egress.candidates, a.egress.facts)
}

// egressRecord puts the decisions of both families into one sentence; one family alone where the other has no
// gateway.
func egressRecord(rank int, candidates [2]candidate, facts [2]candidateFacts) *state.Egress {
	e := &state.Egress{Rank: rank, IPv4: candidates[0].active, IPv6: candidates[1].active}
	texts := [2]string{}
	for i, decision := range []*state.EgressDecision{&e.Decided4, &e.Decided6} {
		o := candidates[i]
		if facts[i].gateway.IsValid() || o.active || (i == 0 && !facts[1].gateway.IsValid()) {
			texts[i], *decision = o.text(), o.decision()
		}
	}
	switch {
	case texts[0] == texts[1]:
		e.State = "IPv4 and IPv6 " + texts[0]
	case texts[1] == "":
		e.State = "IPv4 " + texts[0]
	case texts[0] == "":
		e.State = "IPv6 " + texts[1]
	default:
		e.State = "IPv4 " + texts[0] + "; IPv6 " + texts[1]
	}
	return e
}

// decision is the state with its reason, where there is one.
func (o candidate) decision() state.EgressDecision {
	d := state.EgressDecision{State: o.state()}
	if d.State == state.EgressWithdrawn || d.State == state.EgressBlocked {
		d.Reason = o.why.reason
	}
	return d
}

// text is one family's part of the sentence. It changes only when the facts do, so it has times, not ages.
func (o candidate) text() string {
	switch o.state() {
	case state.EgressActive:
		return "by this interface"
	case state.EgressStandby:
		return "by a preferred interface"
	case state.EgressWithdrawn:
		if o.heldDownUntil.After(time.Now()) {
			return fmt.Sprintf("withdrawn: %s; next attempt at %s", o.why.text, Clock(o.heldDownUntil))
		}
		return "withdrawn: " + o.why.text
	case state.EgressBlocked:
		return "not by this interface: " + o.why.text
	}
	return "switching to this interface"
}

// plannedEgress is the decision that a plan assumes: what the kernel has, and otherwise that traffic moves here
// unless something known forbids it. Whether the gateway answers, only `up` finds out. The interface need not be up
// yet.
func (n *NIC) plannedEgress(others state.Records) plumb.Egress {
	if n.refreshEgress(others); n.egress.rank < 0 {
		return plumb.Egress{}
	}
	e := plumb.Egress{Rank: n.egress.rank}
	for i := range n.egress.candidates {
		f := n.egress.facts[i]
		mine, better := n.snap.Leads(i == 1, n.egress.rank)
		// The interface need not be up yet, nor have its table.
		ok := !better && f.neighbour != plumb.Silent && f.primary == nil
		if f.primary != nil {
			n.egress.candidates[i].why = ofPrimary(f.primary)
		}
		if i == 0 {
			e.IPv4 = mine >= 0 || ok
		} else {
			e.IPv6 = mine >= 0 || ok
		}
	}
	return e
}

// warnHostConfig logs mistakes in [egress] and [nat]. Only the process of the primary interface does, and only when
// all interfaces have had the time to appear; `up` does at once.
func (a *Agent) warnHostConfig() {
	if len(a.config.Egress.Interfaces)+len(a.config.NAT.From) == 0 || (a.daemon && (!a.settled.Primary || time.Since(a.startedAt) < startupTime)) {
		return
	}
	primary := a.snap.Name
	if !a.settled.Primary {
		r, _ := a.store.All().Primary()
		primary = r.Name
	}
	a.warnOnce(fromFile, errors.Join(append(EgressMistakes(a.config, primary), a.nat.refused...)...))
}

// EgressMistakes are errors for those interfaces of [egress] that can never carry the host's traffic: not there, not
// managed, or listed behind the primary interface.
func EgressMistakes(conf config.Config, primary string) (out []error) {
	last := conf.Egress.Rank(primary)
	for i, n := range conf.Egress.Interfaces {
		link, err := net.InterfaceByName(n.Name)
		switch {
		case err != nil:
			out = append(out, fmt.Errorf("%s: [egress] there is no network interface %s here", n.At, n.Name))
		case !managed(conf, link):
			out = append(out, fmt.Errorf("%s: [egress] %s is not managed, so traffic cannot leave by it", n.At, n.Name))
		case last >= 0 && i > last:
			out = append(out, fmt.Errorf("%s: [egress] %s is never used: it is listed after %s, the primary interface, which is the fallback", n.At, n.Name, primary))
		}
	}
	return out
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
