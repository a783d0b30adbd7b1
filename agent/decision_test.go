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
	fine := candidateFacts{firstChoice: true, gateway: addr("10.0.2.1"), neighbour: plumb.Answers}
	without := func(change func(*candidateFacts)) candidateFacts {
		f := fine
		change(&f)
		return f
	}
	none := candidateFacts{neighbour: plumb.Unasked}
	decided := func(s state.EgressState, why state.EgressReason) state.EgressDecision {
		return state.EgressDecision{State: s, Reason: why}
	}
	for _, tt := range []struct {
		name     string
		was      candidate
		four     candidateFacts
		six      candidateFacts
		decision [2]state.EgressDecision
		text     string
	}{
		{"it leaves", candidate{initialized: true}, fine, none, [2]state.EgressDecision{decided(state.EgressActive, "")}, "IPv4 by this interface"},
		{"both leave", candidate{initialized: true}, fine, fine, [2]state.EgressDecision{decided(state.EgressActive, ""), decided(state.EgressActive, "")},
			"IPv4 and IPv6 by this interface"},
		{"a better one has it", candidate{initialized: true}, without(func(f *candidateFacts) { f.superseded = true }), none,
			[2]state.EgressDecision{decided(state.EgressStandby, "")}, "IPv4 by a preferred interface"},
		{"the gateway is asked", candidate{initialized: true}, without(func(f *candidateFacts) { f.neighbour = plumb.Asking }), none,
			[2]state.EgressDecision{decided(state.EgressPending, "")}, "IPv4 switching to this interface"},
		{"no gateway at all", candidate{initialized: true}, none, none, [2]state.EgressDecision{decided(state.EgressBlocked, state.EgressNoGateway)},
			"IPv4 not by this interface: it has no gateway"},
		{"a silent gateway", candidate{initialized: true}, without(func(f *candidateFacts) { f.neighbour = plumb.Silent }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressGateway)}, "IPv4 not by this interface: its gateway 10.0.2.1 does not answer"},
		{"no primary", candidate{initialized: true}, without(func(f *candidateFacts) { f.primary = errors.New("x") }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressNoPrimary)}, "IPv4 not by this interface: x"},
		{"an unprotected primary", candidate{initialized: true}, without(func(f *candidateFacts) { f.primary = fmt.Errorf("eth0: %w", plumb.ErrUnprotected) }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressUnprotected)}, "IPv4 not by this interface: eth0: its own rules are not set up yet"},
		{"the metadata was not asked", candidate{initialized: true}, without(func(f *candidateFacts) { f.metadata = errNotRead }), none,
			[2]state.EgressDecision{decided(state.EgressBlocked, state.EgressUnread)}, "IPv4 not by this interface: the metadata has not been read yet"},
		{"the link fell", candidate{initialized: true, active: true}, without(func(f *candidateFacts) { f.unfit = errors.New("its link is down") }), fine,
			[2]state.EgressDecision{decided(state.EgressWithdrawn, state.EgressLink), decided(state.EgressActive, "")},
			"IPv4 withdrawn: its link is down; next attempt at " + Clock(now.Add(holdDownFirst)) + "; IPv6 by this interface"},
		{"unproved", candidate{initialized: true, active: true, activeSince: now.Add(-time.Hour)}, fine, none,
			[2]state.EgressDecision{decided(state.EgressWithdrawn, state.EgressMetadata)},
			"IPv4 withdrawn: the metadata did not answer within 7s; next attempt at " + Clock(now.Add(holdDownFirst))},
	} {
		candidates, facts := [2]candidate{tt.was, {initialized: true}}, [2]candidateFacts{tt.four, tt.six}
		for i := range candidates {
			candidates[i].decide(now, facts[i])
		}
		e := egressRecord(1, candidates, facts)
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
		o            candidate
		stays, young bool
		want         string
	}{
		{"it leaves", candidate{active: true}, false, false, ""},
		{"a better one has it", candidate{superseded: true, failures: 1}, false, false, ""},
		{"a silent gateway", candidate{why: gateway}, false, false, "the host's own traffic does not leave by this interface: its gateway is silent"},
		{"at the beginning", candidate{why: gateway}, true, true, ""},
		{"later", candidate{why: gateway}, true, false, "the host's own traffic does not leave by this interface: its gateway is silent"},
		{"taken back at the beginning", candidate{why: gateway, failures: 1}, true, true, "the host's own traffic was withdrawn from this interface: its gateway is silent"},
		{"taken back, and a better one has had it since", candidate{failures: 1}, true, false, ""},
		{"no such family", candidate{why: candidateFacts{}.hindrance()}, false, false, ""},
		{"no such family any more", candidate{why: candidateFacts{}.hindrance(), failures: 1}, false, false, ""},
		{"nobody asked yet", candidate{why: candidateFacts{gateway: netip.IPv4Unspecified(), metadata: errNotRead}.hindrance()}, false, false, ""},
	} {
		now := time.Now()
		n := &NIC{daemon: tt.stays, startedAt: now}
		if !tt.young {
			n.startedAt = now.Add(-Silence)
		}
		n.egress.candidates[1] = tt.o
		if err := n.egressTrouble(1, now); (err == nil) != (tt.want == "") || (err != nil && err.Error() != tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
