package plumb

import (
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withMarks is the world with what it takes to answer by interface.
func withMarks(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/eth1/src_valid_mark")
	if err != nil {
		t.Fatal(err)
	}
	return append(world(t), "src_valid_mark "+string(b), nft(t, "list ruleset\n"))
}

// TestCrashByInterface kills a process before each operation that has to do with replies by interface, on the way there,
// away from it, and to another number: the next one gets there, and a leave gives back what was found.
func TestCrashByInterface(t *testing.T) {
	moved := dual()
	moved.DeviceNumber = 2
	on := func(b *Baseline) func(Snapshot) (State, error) { return answering(dual(), b) }
	none := func(b *Baseline) func(Snapshot) (State, error) {
		return func(s Snapshot) (State, error) { return Detached(s, b), nil }
	}
	for _, c := range []crash{
		{"on", "0", none, on}, {"on where it was set", "1", none, on}, {"off", "0", on, bySource}, {"off where it was set", "1", on, bySource},
		{"renumbered", "0", on, func(b *Baseline) func(Snapshot) (State, error) { return answering(moved, b) }},
		{"left", "0", on, none}, {"left where it was set", "1", on, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for k := 0; c.after(t, k); k++ {
			}
		})
	}
}

type crash struct {
	name, found string // src_valid_mark
	from, to    func(*Baseline) func(Snapshot) (State, error)
}

// after kills the process when k of the operations that count are still to come, and all the others done;
// false: there are not so many.
func (c crash) after(t *testing.T, k int) bool {
	host(t)
	sysctl(t, "ipv4/conf/eth1/src_valid_mark", c.found)
	before, l := withMarks(t), marking(t)
	was := &Baseline{Link: read(t, l).Link}
	settleTo(t, l, c.from(was))
	have := read(t, l)
	state, err := c.to(was)(have)
	if err != nil {
		t.Fatal(err)
	}
	plan := Diff(have.State, state)
	at := -1
	for i := len(plan) - 1; i >= 0 && k >= 0; i-- {
		if at = i; concernsMarks(plan[i]) {
			k--
		}
	}
	if k >= 0 {
		return false
	}
	if _, err := l.Apply(plan[:at], have); err != nil {
		t.Fatalf("%d operations: %v", at, err)
	}
	next := marking(t)
	settleTo(t, next, c.to(was))
	got := repliesOf(read(t, next).State)
	if want := repliesOf(state); got != want {
		t.Errorf("killed after %d operations of\n%s: %q, want %q", at, plan, got, want)
	}
	if _, err := marking(t).Leave(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, withMarks(t)); d != "" {
		t.Errorf("killed after %d operations, and left (-before +after)\n%s", at, d)
	}
	return true
}

func concernsMarks(o Op) bool {
	switch x := o.obj.(type) {
	case Rule:
		return x.Mask != 0
	case packetTable, linkValidMark:
		return true
	}
	return false
}

func bySource(b *Baseline) func(Snapshot) (State, error) {
	return func(s Snapshot) (State, error) {
		return Want(Input{Interface: dual(), Have: s, OwnAddress: true, MainTable: true, Gateway6: netip.MustParseAddr("fe80:ec2::1"), Baseline: b})
	}
}

// marking is a process that knows from its record that the interface may have a table.
func marking(t testing.TB) *Link {
	t.Helper()
	l := open(t, "eth1")
	l.scope.Numbers, l.scope.Packets = []int{1, 2}, true
	return l
}

func settleTo(t testing.TB, l *Link, want func(Snapshot) (State, error)) {
	t.Helper()
	for i := range 2 {
		done, err := l.Reconcile(t.Context(), want).both()
		if err != nil || (i == 1 && len(done) > 0) {
			t.Fatalf("reconcile %d: %v\n%s", i, err, done)
		}
	}
}
