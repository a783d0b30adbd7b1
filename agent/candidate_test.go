package agent

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/plumb"
)

// step is a moment, what is known then, and what has to be decided.
type step struct {
	at    time.Duration
	facts func(*candidateFacts)
	on    bool
	why   string // part of it; empty: nothing stands in the way
}

func TestOutlet(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	fine := func(*candidateFacts) {}
	read := func(at time.Duration) func(*candidateFacts) {
		return func(f *candidateFacts) { f.active, f.readAt = true, start.Add(at) }
	}
	silent := func(f *candidateFacts) { f.active, f.neighbour = true, plumb.Silent }
	open := func(f *candidateFacts) {
		f.active, f.primary, f.readAt = true, errors.New("no rule from 10.0.0.29"), start.Add(time.Millisecond)
	}
	for name, steps := range map[string][]step{
		"moved, proved, and it stays": {
			{0, fine, true, ""}, {time.Second, read(time.Second), true, ""}, {time.Hour, read(time.Second), true, ""},
		},
		"the metadata does not answer afterwards": {
			{0, fine, true, ""}, {6 * time.Second, fine, true, ""}, {7 * time.Second, fine, false, "did not answer within 7s"},
			{16 * time.Second, fine, false, "did not answer"}, {17 * time.Second, fine, true, ""},
		},
		"it answered just before only": {
			{0, fine, true, ""}, {7 * time.Second, read(-time.Second), false, "did not answer"},
		},
		"once proved, an outage of the metadata changes nothing": {
			{0, fine, true, ""}, {time.Second, read(time.Second), true, ""},
			{time.Minute, func(f *candidateFacts) { f.metadata = errors.New("it times out") }, true, ""},
		},
		"not moved while the metadata does not answer": {
			{0, func(f *candidateFacts) { f.metadata = errors.New("it times out") }, false, "could not be verified"}, {time.Second, fine, true, ""},
		},
		"the gateway falls silent, again and again: longer pauses": {
			{0, fine, true, ""}, {time.Second, silent, false, "gateway 10.0.2.1 does not answer"},
			{10 * time.Second, fine, false, "does not answer"}, {11 * time.Second, fine, true, ""},
			{12 * time.Second, silent, false, "does not answer"}, {31 * time.Second, fine, false, "does not answer"}, {32 * time.Second, fine, true, ""},
		},
		"a fall long ago counts no more": {
			{0, fine, true, ""}, {time.Second, silent, false, "does not answer"}, {11 * time.Second, fine, true, ""},
			{12 * time.Second, read(12 * time.Second), true, ""}, {time.Hour, read(time.Hour), true, ""},
			{time.Hour + time.Second, silent, false, "does not answer"}, {time.Hour + 11*time.Second, fine, true, ""},
		},
		"a gateway that is being asked is waited for": {
			{0, func(f *candidateFacts) { f.neighbour = plumb.Asking }, false, ""}, {time.Second, fine, true, ""},
		},
		"what an earlier process decided holds": {
			{0, func(f *candidateFacts) { f.active, f.metadata, f.neighbour = true, errNotRead, plumb.Unasked }, true, ""}, {time.Minute, read(-time.Hour), true, ""},
		},
		"the primary's rules are missing for a moment": {
			{0, fine, true, ""}, {time.Second, open, true, ""}, {1900 * time.Millisecond, open, true, ""}, {1950 * time.Millisecond, read(time.Second), true, ""},
			{3 * time.Second, open, true, ""}, {4 * time.Second, open, false, "no rule from 10.0.0.29"},
		},
		"a better interface has it": {
			{0, fine, true, ""}, {time.Second, func(f *candidateFacts) { f.active, f.superseded = true, true }, false, ""}, {2 * time.Second, fine, true, ""},
		},
		"a junior waits for a better one": {
			{0, func(f *candidateFacts) { f.firstChoice = false }, false, ""}, {1900 * time.Millisecond, func(f *candidateFacts) { f.firstChoice = false }, false, ""},
			{2 * time.Second, func(f *candidateFacts) { f.firstChoice = false }, true, ""},
		},
		"no link": {
			{0, fine, true, ""}, {time.Second, func(f *candidateFacts) { f.unfit = errors.New("its link is down") }, false, "its link is down"},
		},
		"no gateway": {{0, func(f *candidateFacts) { f.gateway = netip.Addr{} }, false, "it has no gateway"}},
	} {
		t.Run(name, func(t *testing.T) {
			var o candidate
			for _, s := range steps {
				f := candidateFacts{firstChoice: true, gateway: addr("10.0.2.1"), neighbour: plumb.Answers}
				s.facts(&f)
				o.decide(start.Add(s.at), f)
				if o.active != s.on || (s.why == "") != (o.why == obstacle{}) || !strings.Contains(o.why.text, s.why) {
					t.Errorf("at %s: on %v, because %q; want %v, %q", s.at, o.active, o.why.text, s.on, s.why)
				}
				if next := o.pause(start.Add(s.at), f); next < 0 || next > holdDownMax || (next == 0 && !f.superseded && f.gateway.IsValid()) {
					t.Errorf("at %s: the next look in %s", s.at, next)
				}
			}
		})
	}
}

// Pauses double up to their limit, whatever happens.
func TestOutletRests(t *testing.T) {
	var o candidate
	now := time.Now()
	for i := range 100 {
		o.active = true
		o.withdraw(now, obstacle{text: "x"})
		if rest := o.heldDownUntil.Sub(now); rest < holdDownFirst || rest > holdDownMax || (i > 5 && rest != holdDownMax) {
			t.Fatalf("fall %d: rest of %s", i, rest)
		}
	}
}

// An interface that is none of the list for a while, as one with another name, has no turn that it could keep.
func TestOutletBeginsAnew(t *testing.T) {
	a := &Agent{NIC: NIC{log: logrus.New(), logLimiter: newLogLimiter()}}
	a.egress.candidates[0] = candidate{initialized: true, active: true, verified: true, activeSince: time.Now()}
	a.egress.rank = -1
	a.electEgress(plumb.Snapshot{})
	a.egress.rank = 0
	s := plumb.Snapshot{State: plumb.State{Link: plumb.LinkState{Up: true}}, Carrier: true}
	if e := a.electEgress(s); e.IPv4 {
		t.Error("traffic leaves by an interface whose gateway nobody asked")
	}
	s.Routes = []plumb.Route{{Table: 10001, Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.2.1"), Ours: true}}
	a.egress.facts[0] = candidateFacts{firstChoice: true, neighbour: plumb.Answers}
	was := a.egress.candidates
	if e := a.electEgress(s); !e.IPv4 {
		t.Error("traffic does not leave by an interface whose gateway answers")
	}
	if a.reportEgress(was); !a.egress.verify {
		t.Error("the metadata is not asked whether it answers")
	}
}

// A gateway is dead also where the host's traffic has the kernel ask again the moment that it gave up.
func TestGatewayAskedInVain(t *testing.T) {
	var e egress
	now := time.Now()
	for s := range 4 {
		if n := e.timedOut(1, plumb.Asking, now.Add(time.Duration(s)*time.Second)); n != plumb.Asking {
			t.Errorf("after %d s: %d", s, n)
		}
	}
	if n := e.timedOut(1, plumb.Asking, now.Add(4*time.Second)); n != plumb.Silent {
		t.Errorf("after 4 s: %d", n)
	}
	if n := e.timedOut(1, plumb.Answers, now.Add(5*time.Second)); n != plumb.Answers {
		t.Errorf("answered: %d", n)
	}
	if n := e.timedOut(1, plumb.Asking, now.Add(6*time.Second)); n != plumb.Asking {
		t.Errorf("asked anew: %d", n)
	}
}
