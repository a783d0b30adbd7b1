package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"ec2net/plumb"
)

func TestRepairsAreFastUntilTheyAreAFight(t *testing.T) {
	var r repairs
	now := time.Unix(1_000_000, 0)
	said := 0
	for i := range repairsMax {
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
	if d := r.delay(now); d < 8*time.Second || d > repairWindow {
		t.Errorf("in a fight the next repair waits %s, want almost %s", d, repairWindow)
	}
	for range 1000 { // an hour of fight: one repair whenever it is allowed
		now = now.Add(r.delay(now))
		if r.made(now) != "" {
			t.Fatal("the same fight was announced again")
		}
	}
	now = now.Add(time.Hour)
	if d := r.delay(now); d != burst {
		t.Errorf("after an hour of peace a repair waits %s, want %s", d, burst)
	}
}

func TestCulpritWithoutAProcess(t *testing.T) {
	for _, port := range []uint32{0, 1 << 31} {
		if got := culprit(port); got != "another program" {
			t.Errorf("culprit(%d) = %q", port, got)
		}
	}
}
