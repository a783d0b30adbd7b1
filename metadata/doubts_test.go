package metadata

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// at is a reading at a second.
func at(s int, others ...Interface) Term {
	return Term{At: time.Unix(int64(s), 0), Hold: 30 * time.Second, Others: others}
}

// TestDoubts follows one list through readings at given seconds.
func TestDoubts(t *testing.T) {
	whole, less, none := addrs("10.0.2.37", "10.0.2.51"), addrs("10.0.2.37"), None[[]netip.Addr]()
	another := Interface{MAC: primaryMAC, Addrs4: addrs("10.0.2.51")}
	type step struct {
		second int
		now    Answer[[]netip.Addr]
		others []Interface
		want   Answer[[]netip.Addr]
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"a glitch of two seconds", []step{{1, less, nil, whole}, {2, less, nil, whole}, {3, whole, nil, whole}, {40, whole, nil, whole}}},
		{"gone for good", []step{{1, less, nil, whole}, {2, less, nil, whole}, {30, less, nil, whole}, {31, less, nil, less}}},
		{"two readings far apart", []step{{1, less, nil, whole}, {100, less, nil, less}}},
		{"a glitch now and then", []step{{1, less, nil, whole}, {20, whole, nil, whole}, {21, less, nil, whole}, {49, less, nil, whole}, {51, less, nil, less}}},
		{"not asked says nothing", []step{{1, less, nil, whole}, {20, Answer[[]netip.Addr]{}, nil, whole}, {31, less, nil, less}}},
		{"another interface has it", []step{{1, less, []Interface{another}, less}}},
		{"another interface has it later", []step{{1, less, nil, whole}, {2, less, []Interface{another}, less}}},
		{"all of them", []step{{1, none, nil, whole}, {31, none, nil, none}}},
		{"the primary", []step{
			{1, addrs("10.0.2.51"), nil, whole}, {2, addrs("10.0.2.51", "10.0.2.60"), nil, addrs("10.0.2.37", "10.0.2.51", "10.0.2.60")},
			{31, addrs("10.0.2.51", "10.0.2.60"), nil, addrs("10.0.2.51", "10.0.2.60")},
		}},
		{"another order", []step{{1, addrs("10.0.2.51", "10.0.2.37"), nil, addrs("10.0.2.51", "10.0.2.37")}}},
	} {
		var d Doubts
		settled := d.Settle(Interface{}, Interface{MAC: secondMAC, Addrs4: whole}, at(0))
		for _, s := range tt.steps {
			settled = d.Settle(settled, Interface{MAC: secondMAC, Addrs4: s.now}, at(s.second, s.others...))
			if !sameList(settled.Addrs4, s.want) {
				t.Errorf("%s, second %d: %v, want %v", tt.name, s.second, settled.Addrs4, s.want)
			}
			_, open := d.Due(30 * time.Second)
			if in := s.now.Status != Unavailable && !sameList(s.now, s.want); (in && (!open || d.Text() == "")) || (!in && s.now.Status != Unavailable && open) {
				t.Errorf("%s, second %d: in doubt %v, and it says %v %q", tt.name, s.second, in, open, d.Text())
			}
		}
	}
}

// TestDoubtsOfAll: blocks, subnets and the gateway wait as addresses do, and blocks move as they do.
func TestDoubtsOfAll(t *testing.T) {
	before := Interface{MAC: secondMAC, Addrs6: addrs("2001:db8::1"), Subnets4: prefixes("10.0.2.0/24"), Subnets6: prefixes("2001:db8::/64"),
		Prefixes4: prefixes("10.0.2.64/28"), Prefixes6: prefixes("2001:db8:0:0:7::/80"), Gateway4: netip.MustParseAddr("10.0.2.1")}
	now := Interface{MAC: secondMAC, Addrs6: None[[]netip.Addr](), Subnets4: None[[]netip.Prefix](), Subnets6: None[[]netip.Prefix](),
		Prefixes4: None[[]netip.Prefix](), Prefixes6: None[[]netip.Prefix]()}
	var d Doubts
	if got := d.Settle(before, now, at(0)); !Same(got, before) {
		t.Errorf("after one reading: %v", got)
	}
	if got := d.Settle(before, now, at(29)); !Same(got, before) {
		t.Errorf("within the time: %v", got)
	}
	if got := d.Settle(before, now, at(30)); !Same(got, now) {
		t.Errorf("after the time: %v", got)
	}
	moved := Interface{MAC: primaryMAC, Prefixes4: before.Prefixes4, Prefixes6: before.Prefixes6, Addrs6: before.Addrs6}
	if got := d.Settle(before, now, at(40, moved)); len(got.Prefixes4.Value)+len(got.Prefixes6.Value)+len(got.Addrs6.Value) > 0 {
		t.Errorf("moved: %v", got)
	}
	if !Lacks(before, now) || Lacks(before, before) || Lacks(before, Interface{MAC: secondMAC}) || Lacks(before, Interface{MAC: primaryMAC}) {
		t.Error("what is missing is not seen, or what is not is")
	}
}

// TestDoubtsHistory follows random readings of a list against a plain model: a value goes when every reading of it
// over the time lacked it, and nothing is invented.
func TestDoubtsHistory(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var d Doubts
		var settled Interface
		listed := map[netip.Addr]int{} // the second before the first reading that lacks it
		for second := 0; second < 200; second += 1 + r.IntN(12) {
			now := randomInterface(r)
			settled = d.Settle(settled, now, at(second))
			if now.Addrs4.Status == Unavailable {
				continue
			}
			for a, since := range listed {
				switch {
				case slices.Contains(now.Addrs4.Value, a):
					listed[a] = -1
				case since < 0:
					listed[a] = second
				}
				if gone := listed[a] >= 0 && second-listed[a] >= 30; gone == slices.Contains(settled.Addrs4.Value, a) {
					t.Fatalf("second %d: %s is gone %v, and settled has %v", second, a, gone, settled.Addrs4)
				} else if gone {
					delete(listed, a)
				}
			}
			for _, a := range now.Addrs4.Value {
				listed[a] = -1
			}
			if len(settled.Addrs4.Value) != len(listed) {
				t.Fatalf("second %d: %v, want %v", second, settled.Addrs4, listed)
			}
		}
	}
}
