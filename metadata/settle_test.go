package metadata

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func TestSettle(t *testing.T) {
	none, unasked := None[[]netip.Addr](), Answer[[]netip.Addr]{}
	for _, tt := range []struct {
		name              string
		before, now, want Answer[[]netip.Addr]
	}{
		{"the same", addrs("10.0.2.37"), addrs("10.0.2.37"), addrs("10.0.2.37")},
		{"one more", addrs("10.0.2.37"), addrs("10.0.2.37", "10.0.2.5"), addrs("10.0.2.37", "10.0.2.5")},
		{"one less", addrs("10.0.2.37", "10.0.2.5"), addrs("10.0.2.37"), addrs("10.0.2.37", "10.0.2.5")},
		{"another primary", addrs("10.0.2.37", "10.0.2.5"), addrs("10.0.2.5"), addrs("10.0.2.5", "10.0.2.37")},
		{"suddenly none", addrs("10.0.2.37"), none, addrs("10.0.2.37")},
		{"none twice", none, none, none},
		{"first one", none, addrs("10.0.2.37"), addrs("10.0.2.37")},
		{"not asked", addrs("10.0.2.37"), unasked, addrs("10.0.2.37")},
		{"none, then not asked", none, unasked, none},
		{"never asked", unasked, unasked, unasked},
		{"asked at last", unasked, addrs("10.0.2.37"), addrs("10.0.2.37")},
		{"none at last", unasked, none, none},
	} {
		before, now := Interface{MAC: secondMAC, Addrs4: tt.before}, Interface{MAC: secondMAC, Addrs4: tt.now}
		if got := Settle(before, now).Addrs4; !sameList(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSettleIdentity(t *testing.T) {
	before := Interface{MAC: secondMAC, ID: "eni-1", DeviceNumber: 1, Gateway4: netip.MustParseAddr("10.0.2.1"), Problems: []error{errPage}, Addrs4: addrs("10.0.2.37")}
	now := Interface{MAC: secondMAC, ID: "eni-2", DeviceNumber: 2, NetworkCard: 1, Primary: true}
	got := Settle(before, now)
	if got.ID != now.ID || got.N() != now.N() || !got.Primary || got.Problems != nil {
		t.Errorf("got %v", got)
	}
	before.Gateway6 = netip.MustParseAddr("fe80::1")
	if Settle(before, now).Gateway6 != before.Gateway6 || got.Gateway4 != before.Gateway4 || Settle(now, now).Gateway4.IsValid() {
		t.Error("the gateway goes with the first reading without it, or never")
	}
	now.MAC = primaryMAC
	if got := Settle(before, now); !Same(got, now) {
		t.Errorf("another interface's addresses: %v", got)
	}
	if got := Settle(Interface{}, before); !Same(got, before) {
		t.Errorf("no reading before: %v", got)
	}
}

func randomList[T any](r *rand.Rand, make func(int) T) Answer[[]T] {
	switch r.IntN(4) {
	case 0:
		return Answer[[]T]{}
	case 1:
		return None[[]T]()
	}
	var v []T
	for _, n := range r.Perm(5)[:1+r.IntN(5)] {
		v = append(v, make(n))
	}
	return Is(v)
}

func randomInterface(r *rand.Rand) Interface {
	block4 := func(n int) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n)}), 24) }
	block6 := func(n int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 7: byte(n)}), 64)
	}
	i := Interface{MAC: secondMAC, DeviceNumber: r.IntN(3), ID: []string{"eni-1", "eni-2"}[r.IntN(2)]}
	i.Addrs4 = randomList(r, func(n int) netip.Addr { return block4(n).Addr().Next() })
	i.Addrs6 = randomList(r, func(n int) netip.Addr { return block6(n).Addr().Next() })
	i.Subnets4, i.Prefixes4 = randomList(r, block4), randomList(r, block4)
	i.Subnets6, i.Prefixes6 = randomList(r, block6), randomList(r, block6)
	return i
}

// grants lists everything that a reading gives its interface, as text.
func grants(i Interface) []string {
	var all []string
	for k, a := range []Answer[[]netip.Addr]{i.Addrs4, i.Addrs6} {
		for _, v := range a.Value {
			all = append(all, string(rune('a'+k))+v.String())
		}
	}
	for k, a := range []Answer[[]netip.Prefix]{i.Subnets4, i.Subnets6, i.Prefixes4, i.Prefixes6} {
		for _, v := range a.Value {
			all = append(all, string(rune('p'+k))+v.String())
		}
	}
	return all
}

func TestSettleProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		before, now := randomInterface(r), randomInterface(r)
		b, n := grants(before), grants(now)
		got := Settle(before, now)
		g := grants(got)
		for _, v := range append(slices.Clone(b), n...) {
			if !slices.Contains(g, v) {
				t.Fatalf("%s lost\nbefore %v\nnow %v\ngot %v", v, before, now, got)
			}
		}
		for _, v := range g {
			if !slices.Contains(b, v) && !slices.Contains(n, v) {
				t.Fatalf("%s invented\nbefore %v\nnow %v\ngot %v", v, before, now, got)
			}
		}
		if !slices.Equal(b, grants(before)) || !slices.Equal(n, grants(now)) {
			t.Fatal("an argument was changed")
		}
		if !Same(Settle(before, got), got) || !Same(Settle(got, got), got) || !Same(Settle(now, now), now) {
			t.Fatalf("not idempotent\nbefore %v\nnow %v\ngot %v", before, now, got)
		}
		if now.Addrs4.Status == Present && !slices.Equal(got.Addrs4.Value[:len(now.Addrs4.Value)], now.Addrs4.Value) {
			t.Fatalf("now's order is not first: %v, %v", now.Addrs4, got.Addrs4)
		}
		if got.N() != now.N() || got.ID != now.ID {
			t.Fatal("not the number and name of now")
		}
	}
}

// TestHistory follows random readings of one list the way that Settle's comment says, against a
// plain model: a value goes when the last two readings that were available both lack it.
func TestHistory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var last Interface
		var heard [][]netip.Addr // available readings
		for range 30 {
			now := randomInterface(r)
			act := Settle(last, now)
			last = Carry(last, now)
			if now.Addrs4.Status != Unavailable {
				heard = append(heard, now.Addrs4.Value)
			} else if len(heard) > 0 {
				checkModel(t, heard[len(heard)-1:], act.Addrs4.Value)
				continue
			}
			checkModel(t, heard[max(0, len(heard)-2):], act.Addrs4.Value)
		}
	}
}

func checkModel(t *testing.T, readings [][]netip.Addr, got []netip.Addr) {
	t.Helper()
	for _, reading := range readings {
		for _, a := range reading {
			if !slices.Contains(got, a) {
				t.Fatalf("%v lost: %v of %v", a, got, readings)
			}
		}
	}
	for _, a := range got {
		if !slices.ContainsFunc(readings, func(v []netip.Addr) bool { return slices.Contains(v, a) }) {
			t.Fatalf("%v kept: %v of %v", a, got, readings)
		}
	}
}

func TestSame(t *testing.T) {
	whole := fixtures[1].want
	if !Same(whole, whole) {
		t.Fatal("not the same as itself")
	}
	for n, change := range []func(*Interface){
		func(i *Interface) { i.MAC[5]++ },
		func(i *Interface) { i.ID += "0" },
		func(i *Interface) { i.NetworkCard++ },
		func(i *Interface) { i.DeviceNumber++ },
		func(i *Interface) { i.Primary = true },
		func(i *Interface) { i.Gateway4 = netip.MustParseAddr("10.0.2.1") },
		func(i *Interface) { i.Gateway6 = netip.MustParseAddr("fe80::1") },
		func(i *Interface) { i.MTU = 1460 },
		func(i *Interface) { i.Addrs4 = addrs("10.0.2.5", "10.0.2.37", "10.0.2.200") },
		func(i *Interface) { i.Addrs6.Status = Unavailable },
		func(i *Interface) { i.Subnets4 = None[[]netip.Prefix]() },
		func(i *Interface) { i.Subnets6 = prefixes("2001:db8::/64") },
		func(i *Interface) { i.Prefixes4 = prefixes("10.0.2.64/28") },
		func(i *Interface) { i.Prefixes6.Value = nil },
	} {
		other := whole
		if change(&other); Same(whole, other) || Same(other, whole) {
			t.Errorf("change %d is not seen", n)
		}
	}
	other := whole
	if other.Problems = []error{errors.New("said")}; !Same(whole, other) {
		t.Error("problems make a difference")
	}
}
