package agent

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/plumb"
)

func TestRepairsAreFastUntilTheyAreAFight(t *testing.T) {
	var r repairs
	now := time.Unix(1_000_000, 0)
	said := 0
	for i := range RepairsMax {
		if d := r.delay(now); d != burst {
			t.Fatalf("repair %d waits %s, want %s", i, d, burst)
		}
		r.hint(plumb.Change{Removed: "rule from 10.0.2.37 lookup 10001 pref 20001", By: uint32(os.Getpid())})
		if text := r.made(now); text != "" {
			said++
			for _, want := range []string{"process", "rule from 10.0.2.37 lookup 10001"} {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not name %q", text, want)
				}
			}
		}
		now = now.Add(100 * time.Millisecond)
	}
	if said != 1 {
		t.Errorf("a fight was announced %d times, want once", said)
	}
	if d := r.delay(now); d != repairPause-100*time.Millisecond {
		t.Errorf("in a fight the next repair waits %s, want what is left of %s", d, repairPause)
	}
	if !r.fighting(now) {
		t.Error("that is no fight")
	}
	for range 1000 { // an hour of fight: one repair whenever it is allowed
		now = now.Add(r.delay(now))
		if r.made(now) != "" {
			t.Fatal("the same fight was announced again")
		}
	}
	now = now.Add(time.Hour)
	if r.fighting(now) {
		t.Error("after an hour of peace it is still a fight")
	}
	if d := r.delay(now); d != burst {
		t.Errorf("after an hour of peace a repair waits %s, want %s", d, burst)
	}
}

func TestCulpritWithoutAProcess(t *testing.T) {
	for _, port := range []uint32{0, 1 << 31} {
		if got, ok := culprit(port); ok || got != "another program" {
			t.Errorf("culprit(%d) = %q, %v", port, got, ok)
		}
	}
}

// Looking at the kernel costs a twentieth of a core at most, however many notifications come.
func TestALookIsFollowedByAPause(t *testing.T) {
	for cost, pause := range map[time.Duration]time.Duration{
		0:                      burst,
		time.Millisecond:       20 * time.Millisecond,
		30 * time.Millisecond:  600 * time.Millisecond,
		400 * time.Millisecond: repairPause,
	} {
		var r repairs
		end := time.Unix(1_000_000, 0)
		r.charge(cost, end)
		if d := r.delay(end); d != pause {
			t.Errorf("after a look of %s the next one waits %s, want %s", cost, d, pause)
		}
	}
}

// On a busy host a look takes long because it waits. That is no reason to put off the next one.
func TestALookThatWaits(t *testing.T) {
	var r repairs
	must(t, r.measure(func() error { time.Sleep(200 * time.Millisecond); return nil }))
	if d := r.delay(time.Now()); d > repairPause/4 {
		t.Errorf("after a look that waited for 200ms the next one waits %s", d)
	}
}

// A complaint that comes and goes is made once in an hour.
func TestSaid(t *testing.T) {
	s, now := newLogLimiter(), time.Unix(1_000_000, 0)
	for _, step := range []struct {
		after time.Duration
		text  string
		news  bool
	}{
		{0, "", false}, {0, "broken", true}, {0, "broken", false}, {0, "", false}, {time.Minute, "broken", false},
		{0, "worse", true}, {0, "broken", false}, {0, "", false}, {time.Hour, "broken", true},
	} {
		now = now.Add(step.after)
		if got := s.isNew("x", step.text, now); got != step.news {
			t.Errorf("%q: news %v, want %v", step.text, got, step.news)
		}
	}
	for i := range 10 * warningsMax {
		s.isNew("x", strings.Repeat("y", i), now)
	}
	if len(s.loggedAt) > warningsMax {
		t.Errorf("%d complaints are remembered", len(s.loggedAt))
	}
}

// A look at the kernel fails, of an interface that holds: there is another one soon, whatever happens meanwhile.
func TestRetry(t *testing.T) {
	link, err := plumb.Open("lo")
	must(t, err)
	link.Close()
	log := logrus.New()
	log.SetOutput(t.Output()) // of the closed handle
	a := &Agent{NIC: NIC{link: link, log: log, logLimiter: newLogLimiter(), setUp: true, store: stored(t), startedAt: time.Now()}, converged: true}
	a.egress.rank = -1
	ev := &events{repair: time.NewTimer(time.Hour)}
	must(t, a.repair(context.Background(), ev))
	if a.retryFailedApply(ev); !ev.armed {
		t.Error("nobody looks again")
	}
	select {
	case <-ev.repair.C:
	case <-time.After(10 * time.Second):
		t.Error("the timer is not set")
	}
}
