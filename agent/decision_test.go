package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

// What the record says of the host's own traffic, for a person and for programs.
func TestEgressDecision(t *testing.T) {
	now := time.Now()
	fine := outletFacts{senior: true, gateway: addr("10.0.2.1"), neighbour: plumb.Answers}
	without := func(change func(*outletFacts)) outletFacts {
		f := fine
		change(&f)
		return f
	}
	none := outletFacts{neighbour: plumb.Unasked}
	decided := func(s state.EgressState, why state.EgressReason) state.EgressDecision {
		return state.EgressDecision{State: s, Reason: why}
	}
	for _, tt := range []struct {
		name     string
		was      outlet
		four     outletFacts
		six      outletFacts
		decision [2]state.EgressDecision
		text     string
	}{
		{"it leaves", outlet{begun: true}, fine, none, [2]state.EgressDecision{decided(state.EgressActive, "")}, "IPv4 by this interface"},
		{"both leave", outlet{begun: true}, fine, fine, [2]state.EgressDecision{decided(state.EgressActive, ""), decided(state.EgressActive, "")},
			"IPv4 and IPv6 by this interface"},
		{"a better one has it", outlet{begun: true}, without(func(f *outletFacts) { f.better = true }), none,
			[2]state.EgressDecision{decided(state.EgressStandby, "")}, "IPv4 by a preferred interface"},
		{"the gateway is asked", outlet{begun: true}, without(func(f *outletFacts) { f.neighbour = plumb.Asking }), none,
			[2]state.EgressDecision{decided(state.EgressPending, "")}, "IPv4 switching to this interface"},
		{"no gateway at all", outlet{begun: true}, none, none, [2]state.EgressDecision{decided(state.EgressBlocked, state.EgressNoGateway)},
			"IPv4 not by this interface: it has no gateway"},
		{"a silent gateway", outlet{begun: true}, without(func(f *outletFacts) { f.neighbour = plumb.Silent }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressGateway)}, "IPv4 not by this interface: its gateway 10.0.2.1 does not answer"},
		{"no primary", outlet{begun: true}, without(func(f *outletFacts) { f.primary = errors.New("x") }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressNoPrimary)}, "IPv4 not by this interface: x"},
		{"an unprotected primary", outlet{begun: true}, without(func(f *outletFacts) { f.primary = fmt.Errorf("eth0: %w", plumb.ErrUnprotected) }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressUnprotected)}, "IPv4 not by this interface: eth0: its own rules are not set up yet"},
		{"the metadata was not asked", outlet{begun: true}, without(func(f *outletFacts) { f.metadata = errUnread }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressUnread)}, "IPv4 not by this interface: the metadata has not been read yet"},
		{"the link fell", outlet{begun: true, on: true}, without(func(f *outletFacts) { f.set = errors.New("its link is down") }), fine,
			[2]state.EgressDecision{decided(state.EgressWithdrawn, state.EgressLink), decided(state.EgressActive, "")},
			"IPv4 withdrawn: its link is down; next attempt at " + Clock(now.Add(restFirst)) + "; IPv6 by this interface"},
		{"unproved", outlet{begun: true, on: true, since: now.Add(-time.Hour)}, fine, none,
			[2]state.EgressDecision{decided(state.EgressWithdrawn, state.EgressMetadata)},
			"IPv4 withdrawn: the metadata did not answer within 7s; next attempt at " + Clock(now.Add(restFirst))},
	} {
		outlets, facts := [2]outlet{tt.was, {begun: true}}, [2]outletFacts{tt.four, tt.six}
		for i := range outlets {
			outlets[i].decide(now, facts[i])
		}
		e := leaving(1, outlets, facts)
		if e.Decided4 != tt.decision[0] || e.Decided6 != tt.decision[1] || e.State != tt.text {
			t.Errorf("%s: IPv4 %+v, IPv6 %+v, %q\nwant %+v, %q", tt.name, e.Decided4, e.Decided6, e.State, tt.decision, tt.text)
		}
	}
}

// The agent complains of what keeps traffic away, but not of what is so for a while, nor of a family that the interface
// has not got.
func TestEgressTrouble(t *testing.T) {
	gateway := obstacle{state.EgressGateway, "its gateway is silent"}
	for _, tt := range []struct {
		name         string
		o            outlet
		stays, young bool
		want         string
	}{
		{"it leaves", outlet{on: true}, false, false, ""},
		{"a better one has it", outlet{better: true, falls: 1}, false, false, ""},
		{"a silent gateway", outlet{why: gateway}, false, false, "the host's own traffic does not leave by this interface: its gateway is silent"},
		{"at the beginning", outlet{why: gateway}, true, true, ""},
		{"later", outlet{why: gateway}, true, false, "the host's own traffic does not leave by this interface: its gateway is silent"},
		{"taken back at the beginning", outlet{why: gateway, falls: 1}, true, true, "the host's own traffic was withdrawn from this interface: its gateway is silent"},
		{"taken back, and a better one has had it since", outlet{falls: 1}, true, false, ""},
		{"no such family", outlet{why: outletFacts{}.hindrance()}, false, false, ""},
		{"no such family any more", outlet{why: outletFacts{}.hindrance(), falls: 1}, false, false, ""},
		{"nobody asked yet", outlet{why: outletFacts{gateway: netip.IPv4Unspecified(), metadata: errUnread}.hindrance()}, false, false, ""},
	} {
		now := time.Now()
		n := &NIC{stays: tt.stays, begun: now}
		if !tt.young {
			n.begun = now.Add(-Silence)
		}
		n.egress.outlets[1] = tt.o
		if err := n.egressTrouble(1, now); (err == nil) != (tt.want == "") || (err != nil && err.Error() != tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
