package plumb

import (
	"fmt"
	"testing"

	"ec2net/metadata"
)

// planned is the plan of the first pass, and what it was made from.
func planned(t testing.TB, l *Link, c metadata.Interface) (Plan, Snapshot) {
	t.Helper()
	have := read(t, l)
	l.Index = have.Index
	state, err := wanting(c)(have)
	if err != nil {
		t.Fatal(err)
	}
	return Diff(have.State, state), have
}

// TestCrash: a process that is killed after any operation leaves what the next one completes, and
// what a leave takes back.
func TestCrash(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	plan, _ := planned(t, l, full())
	reconcile(t, l, full())
	undisturbed := world(t)
	for k := range len(plan) + 1 {
		host(t)
		before := world(t)
		first := open(t, "eth1")
		was := found(t, first)
		plan, have := planned(t, first, full())
		if _, err := first.Apply(plan[:k], have); err != nil {
			t.Fatalf("%d operations: %v", k, err)
		}
		next := open(t, "eth1")
		next.scope.Numbers = []int{1}
		reconcile(t, next, full())
		same(t, fmt.Sprintf("killed after %d operations of setting up and run again", k), undisturbed)
		leave(t, "eth1", was, 1)
		same(t, fmt.Sprintf("killed after %d operations, run again and left", k), before)
	}
}

// TestCrashThenLeave: the killed process is not run again; the interface is given up.
func TestCrashThenLeave(t *testing.T) {
	for k := 0; ; k++ {
		host(t)
		before := world(t)
		first := open(t, "eth1")
		was := found(t, first)
		plan, have := planned(t, first, full())
		if k > len(plan) {
			return
		}
		if _, err := first.Apply(plan[:k], have); err != nil {
			t.Fatalf("%d operations: %v", k, err)
		}
		leave(t, "eth1", was, 1)
		same(t, fmt.Sprintf("killed after %d operations of setting up and left", k), before)
	}
}

// TestCrashWhileLeaving: the killed leave is repeated.
func TestCrashWhileLeaving(t *testing.T) {
	for k := 0; ; k++ {
		host(t)
		before := world(t)
		l := open(t, "eth1")
		was := found(t, l)
		reconcile(t, l, full())
		have := read(t, l)
		plan := Diff(have.State, Detached(have, was))
		if k > len(plan) {
			return
		}
		if _, err := l.Apply(plan[:k], have); err != nil {
			t.Fatalf("%d operations: %v", k, err)
		}
		leave(t, "eth1", was, 1)
		same(t, fmt.Sprintf("killed after %d operations of leaving and left again", k), before)
	}
}

// TestCrashWhileChanging: killed on the way from one set of addresses to another, with a new primary
// and another number.
func TestCrashWhileChanging(t *testing.T) {
	changed := full()
	changed.Addrs4, changed.Prefixes4 = addrs("10.0.2.4", "10.0.2.37", "10.0.2.6"), metadata.Interface{}.Prefixes4
	changed.Prefixes4.Status = metadata.Absent
	changed.DeviceNumber = 2
	host(t)
	l := open(t, "eth1")
	reconcile(t, l, full())
	reconcile(t, l, changed)
	undisturbed := world(t)
	for k := 0; ; k++ {
		host(t)
		before := world(t)
		first := open(t, "eth1")
		was := found(t, first)
		reconcile(t, first, full())
		plan, have := planned(t, first, changed)
		if k > len(plan) {
			return
		}
		if _, err := first.Apply(plan[:k], have); err != nil {
			t.Fatalf("%d operations: %v", k, err)
		}
		next := open(t, "eth1")
		next.scope.Numbers = []int{1, 2}
		reconcile(t, next, changed)
		same(t, fmt.Sprintf("killed after %d operations of a change and run again", k), undisturbed)
		leave(t, "eth1", was, 1, 2)
		same(t, fmt.Sprintf("killed after %d operations of a change, run again and left", k), before)
	}
}
