package metadata

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

func azureMAC(n byte) MAC { return MAC{0, 0x0d, 0x3a, 0x11, 0x22, n} }

// twins are two MACs that hash alike.
func twins() (a, b MAC) {
	seen := map[int]MAC{}
	for n := range 1 << 16 {
		m := MAC{0, 0x0d, 0x3a, 7, byte(n >> 8), byte(n)}
		if other, ok := seen[hashed(m)]; ok {
			return other, m
		}
		seen[hashed(m)] = m
	}
	panic("no two MACs hash alike")
}

// TestNumbersStay: whatever happens to the others, and to the document's order, an interface has its number;
// it is the same again after a reboot, when the kernel holds nothing.
func TestNumbersStay(t *testing.T) {
	first := azureMAC(0)
	all := []MAC{first}
	for n := range byte(7) {
		all = append(all, azureMAC(n+1))
	}
	want := numbers(all, first, nil)
	held := maps.Clone(want)
	held[first] = 0
	if len(want) != 7 || want[first] != 0 {
		t.Fatalf("%v", want)
	}
	for _, m := range all {
		for name, have := range map[string]map[MAC]int{"rebooted": nil, "running": held} {
			left := slices.DeleteFunc(slices.Clone(all), func(x MAC) bool { return x == m && m != first })
			slices.Reverse(left)
			got := numbers(left, first, have)
			for _, x := range left {
				if got[x] != want[x] {
					t.Errorf("%s, without %s: %s has %d, before %d", name, m, x, got[x], want[x])
				}
			}
		}
	}
	used := map[int]bool{}
	for m, n := range want {
		if !isNumber(n) || used[n] {
			t.Errorf("%s has %d", m, n)
		}
		used[n] = true
	}
}

func TestNumbersCollide(t *testing.T) {
	first := azureMAC(0)
	a, b := twins()
	n, next := hashed(a), lowestNumber+(hashed(a)-lowestNumber+1)%manyNumbers
	for _, tt := range []struct {
		name string
		all  []MAC
		held map[MAC]int
		a, b int
	}{
		{"both new", []MAC{first, a, b}, nil, n, next},
		{"both new, the other order", []MAC{b, a, first}, nil, n, next},
		{"each alone", []MAC{first, b}, nil, 0, n},
		{"b was first", []MAC{first, a, b}, map[MAC]int{b: n}, next, n},
		{"a is gone", []MAC{first, b}, map[MAC]int{b: next}, 0, next},
		{"a is not listed now, but holds it", []MAC{first, b}, map[MAC]int{a: n}, n, next},
		{"the next is taken too", []MAC{first, a, b}, map[MAC]int{azureMAC(9): next}, n, lowestNumber + (next-lowestNumber+1)%manyNumbers},
		{"held by both", []MAC{first, a, b}, map[MAC]int{a: n, b: n}, n, next},
		{"what is held is no number of Azure", []MAC{first, a, b}, map[MAC]int{a: 3, b: 9001}, n, next},
	} {
		got := numbers(tt.all, first, tt.held)
		if got[a] != tt.a || got[b] != tt.b || got[first] != 0 {
			t.Errorf("%s: %d and %d, want %d and %d", tt.name, got[a], got[b], tt.a, tt.b)
		}
	}
	if m := (MAC{}); numbers([]MAC{m}, first, map[MAC]int{azureMAC(1): lowestNumber + manyNumbers - 1})[m] == 0 {
		t.Error("no number")
	}
}

// TestFirstInterface weighs the facts against each other.
func TestFirstInterface(t *testing.T) {
	one, two, stranger := azureMAC(1), azureMAC(2), azureMAC(3)
	routes := func(by ...MAC) []MAC { return by }
	all := []MAC{two, one}
	for _, tt := range []struct {
		name string
		host Host
		want MAC
	}{
		{"nothing is known", Host{}, MAC{}},
		{"a host route", Host{Platform: routes(one), Default: two}, one},
		{"both host routes", Host{Platform: routes(one, one), Default: two}, one},
		{"one of them moved by hand", Host{Platform: routes(two, one), Default: one}, one},
		{"the other one", Host{Platform: routes(one, two), Default: one}, one},
		{"one moved by hand, of an interface that is set up", Host{Platform: routes(two, one), Default: one, Numbers: map[MAC]int{one: 0, two: 4711}}, one},
		{"one and the default route moved, beside a lease", Host{Platform: routes(two, one), Leased: one, Default: two}, one},
		{"one and the default route moved, set up", Host{Platform: routes(two, one), Default: two, Numbers: map[MAC]int{one: 0}}, one},
		{"one by hand, and the other is missing, set up", Host{Platform: routes(two), Default: one, Numbers: map[MAC]int{one: 0, two: 4711}}, one},
		{"one by each, and nothing else", Host{Platform: routes(two, one)}, MAC{}},
		{"a lease and the default against one by hand", Host{Platform: routes(two), Leased: one, Default: one}, one},
		{"both against a mistake of an earlier time", Host{Platform: routes(one, one), Default: two, Numbers: map[MAC]int{two: 0}}, one},
		{"a host route by a tunnel", Host{Platform: routes(stranger), Leased: one, Default: two}, one},
		{"a lease", Host{Leased: one, Default: two}, one},
		{"a lease of an interface that is set up as another", Host{Leased: two, Default: one, Numbers: map[MAC]int{two: 4711}}, one},
		{"set up as the first already, the default moved", Host{Default: two, Numbers: map[MAC]int{one: 0}}, one},
		{"the default route", Host{Default: one}, one},
		{"the default by another interface that is set up", Host{Default: two, Numbers: map[MAC]int{two: 4711}}, MAC{}},
		{"the default by an interface that is not listed", Host{Default: stranger}, MAC{}},
	} {
		if got := tt.host.first(all); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestFirstInterfaceStays: what a process once knew outlives the facts, and a document without the first
// interface is not ready rather than one in which another interface is the first.
func TestFirstInterfaceStays(t *testing.T) {
	f := newFakeAzure(t, document(t, "three"))
	s := f.client(t)
	if s.Primary() != (MAC{}) {
		t.Error("known before it was asked")
	}
	before, err := s.Read(t.Context(), secondMAC)
	if err != nil || before.Primary || s.Primary() != primaryMAC {
		t.Errorf("%v, %v, first %s", before, err, s.Primary())
	}
	f.set(func() { f.host = Host{Default: secondMAC} })
	if got, err := s.Read(t.Context(), secondMAC); err != nil || !Same(got, before) {
		t.Errorf("%v, %v", got, err)
	}
	first, all, err := s.Interfaces(t.Context())
	if err != nil || first != primaryMAC || len(all) != 3 {
		t.Errorf("interfaces %s of %s, %v", first, all, err)
	}
	f.set(func() { f.host = Host{}; f.document = `{"interface":[{"macAddress":"020000000002"}]}` })
	if _, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrNotReady) {
		t.Errorf("without the first interface: %v", err)
	}
	if got, err := f.client(t).Read(t.Context(), secondMAC); !errors.Is(err, ErrNotReady) {
		t.Errorf("a new process: %v, %v", got, err)
	}
	f.set(func() { f.host = Host{Default: secondMAC, Leased: secondMAC} })
	if got, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrNotReady) || s.Primary() != primaryMAC {
		t.Errorf("without the first interface, the default route moved: %v, %v, first %s", got, err, s.Primary())
	}
	f.set(func() { f.host = Host{Platform: []MAC{secondMAC}, Default: secondMAC} })
	if _, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrNotReady) || s.Primary() != primaryMAC {
		t.Errorf("without the first interface, one route moved by hand: %v, first %s", err, s.Primary())
	}
	f.set(func() { f.document = document(t, "three") })
	if got, err := s.Read(t.Context(), secondMAC); err != nil || !Same(got, before) {
		t.Errorf("the first interface listed again: %v, %v", got, err)
	}
}
