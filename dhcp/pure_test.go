package dhcp

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	d := defaultTiming()
	low := func(int64) int64 { return 0 }
	high := func(n int64) int64 { return n - 1 }
	for try, want := range []time.Duration{4, 8, 16, 32, 64, 64, 64} {
		if got := d.backoff(try, low); got != (want-1)*time.Second {
			t.Errorf("try %d: at least %s", try, got)
		}
		if got := d.backoff(try, high); got != (want+1)*time.Second {
			t.Errorf("try %d: at most %s", try, got)
		}
	}
	if got := d.backoff(1<<30, low); got != 63*time.Second {
		t.Errorf("after a long time: %s", got)
	}
}

func TestPauses(t *testing.T) {
	d := defaultTiming()
	for naks, want := range []time.Duration{0, 0, 2, 4, 8, 16, 32, 64, 64} {
		if got := d.nakWait(naks); got != want*time.Second {
			t.Errorf("%d NAKs: %s", naks, got)
		}
	}
	for conflicts, want := range map[int]time.Duration{1: 10, 9: 10, 10: 60, 99: 60} {
		if got := d.conflictPause(conflicts); got != want*time.Second {
			t.Errorf("%d conflicts: %s", conflicts, got)
		}
	}
}

func TestRenewWait(t *testing.T) {
	d := defaultTiming()
	for _, c := range []struct{ left, span, want time.Duration }{
		{22 * time.Minute, 22 * time.Minute, 11 * time.Minute}, // half of what is left
		{90 * time.Second, 22 * time.Minute, time.Minute},      // at least a minute
		{30 * time.Second, 22 * time.Minute, 30 * time.Second}, // but not beyond the end
		{45 * time.Second, 45 * time.Second, 22500 * time.Millisecond},
		{12 * time.Second, 45 * time.Second, 11250 * time.Millisecond}, // a short lease: a quarter of T1 to T2
		{-time.Second, time.Minute, 10 * time.Millisecond},
		{0, 0, 10 * time.Millisecond},
	} {
		if got := d.renewWait(c.left, c.span); got != c.want {
			t.Errorf("%s left of %s: %s, want %s", c.left, c.span, got, c.want)
		}
	}
}

func TestNextState(t *testing.T) {
	// A row for each state; the columns are due, offered, granted, silent, worthless, denied, taken, lapsed.
	table := map[State][8]State{
		Init:       {Selecting, Selecting, Bound, Selecting, Init, Init, Init, Init},
		InitReboot: {Init, Init, Bound, Init, Init, Init, Init, Init},
		Selecting:  {Init, Requesting, Bound, Init, Init, Init, Init, Init},
		Requesting: {Init, Init, Bound, Init, Init, Init, Init, Init},
		Bound:      {Renewing, Renewing, Bound, Renewing, Init, Init, Init, Init},
		Renewing:   {Rebinding, Rebinding, Bound, Rebinding, Init, Init, Init, Init},
		Rebinding:  {Init, Init, Bound, Init, Init, Init, Init, Init},
	}
	for s, row := range table {
		for o, want := range row {
			if got := next(s, outcome(o)); got != want {
				t.Errorf("%s and outcome %d: %s, want %s", s, o, got, want)
			}
		}
	}
	if fmt.Sprint(Init, InitReboot, Selecting, Requesting, Bound, Renewing, Rebinding) != "INIT INIT-REBOOT SELECTING REQUESTING BOUND RENEWING REBINDING" {
		t.Error("names of the states")
	}
}

func TestSettle(t *testing.T) {
	for o, keeps := range map[outcome]bool{due: true, offered: true, granted: true, silent: true, worthless: true, denied: false, taken: false, lapsed: false} {
		m := machine{timing: defaultTiming(), lease: &Lease{}}
		m.settle(o)
		if (m.lease != nil) != keeps {
			t.Errorf("outcome %d: lease kept %v", o, m.lease != nil)
		}
	}
	m := machine{timing: defaultTiming()}
	for _, want := range []time.Duration{0, 2, 4, 8} {
		if m.settle(denied); m.pause != want*time.Second {
			t.Errorf("pause %s, want %d s", m.pause, want)
		}
	}
	m.settle(granted)
	if m.settle(denied); m.pause != 0 {
		t.Errorf("the first NAK after a lease costs %s", m.pause)
	}
	if m.settle(taken); m.pause != 10*time.Second {
		t.Errorf("pause after a conflict: %s", m.pause)
	}
}

func TestAdoptCountsOnTheBootClock(t *testing.T) {
	m := machine{}
	m.adopt(&Lease{Addr: pfx("10.0.0.37/24"), Start: time.Now().Add(-time.Minute), Expires: time.Hour})
	if age := bootNow().minus(m.born); m.lease == nil || age < time.Minute || age > time.Minute+patience {
		t.Errorf("age %s", age)
	}
	for name, l := range map[string]*Lease{
		"none": nil, "expired": {Addr: pfx("10.0.0.37/24"), Start: time.Now().Add(-time.Hour), Expires: time.Minute},
		"from the future": {Addr: pfx("10.0.0.37/24"), Start: time.Now().Add(time.Hour), Expires: Infinite},
	} {
		m := machine{}
		if m.adopt(l); m.lease != nil {
			t.Errorf("%s: adopted", name)
		}
	}
}

func TestBootClock(t *testing.T) {
	if got := bootTime(5).plus(Infinite); got != forever {
		t.Errorf("never ends at %d", got)
	}
	if got := bootTime(-5).plus(Infinite); got < forever-5 {
		t.Errorf("never ends at %d", got)
	}
	why := errors.New("why")
	begin := bootNow()
	ctx, stop, err := until(context.Background(), begin.plus(50*time.Millisecond), why)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	<-ctx.Done()
	if took := bootNow().minus(begin); context.Cause(ctx) != why || took < 50*time.Millisecond || took > patience {
		t.Errorf("ended after %s: %v", took, context.Cause(ctx))
	}
	// A time that is over, and one before the machine started.
	for _, at := range []bootTime{begin, 0, -1} {
		ctx, stop, err := until(context.Background(), at, why)
		if err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		stop()
		if context.Cause(ctx) != why {
			t.Errorf("%d: %v", at, context.Cause(ctx))
		}
	}
	ctx, stop, err = until(context.Background(), forever, why)
	if err != nil || ctx.Err() != nil {
		t.Errorf("for ever: %v, %v", err, ctx.Err())
	}
	stop()
	parent, cancel := context.WithCancelCause(context.Background())
	ctx, stop, err = until(parent, begin.plus(time.Hour), why)
	if err != nil {
		t.Fatal(err)
	}
	other := errors.New("other")
	cancel(other)
	if <-ctx.Done(); context.Cause(ctx) != other {
		t.Errorf("ended by its parent: %v", context.Cause(ctx))
	}
	stop()
}
