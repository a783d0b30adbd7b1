package metadata

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"testing"

	"ec2net/test/testkit"
)

func addrs(s ...string) Answer[[]netip.Addr] { return Is(testkit.Addrs(s...)) }

func prefixes(s ...string) Answer[[]netip.Prefix] { return Is(testkit.Prefixes(s...)) }

// bare is a second interface of which nothing is known but that it has nothing.
func bare() Interface {
	return Interface{MAC: secondMAC, ID: "eni-0a1b2c3d4e5f60002", DeviceNumber: 1,
		Addrs4: None[[]netip.Addr](), Addrs6: None[[]netip.Addr](),
		Subnets4: None[[]netip.Prefix](), Subnets6: None[[]netip.Prefix](),
		Prefixes4: None[[]netip.Prefix](), Prefixes6: None[[]netip.Prefix]()}
}

func with(change func(*Interface)) Interface {
	i := bare()
	change(&i)
	return i
}

// fixtures says what each folder of testdata is read as, with how many problems, how many requests
// a first reading of the second interface takes, the token included, and how many a repeated one.
var fixtures = []struct {
	name         string
	want         Interface
	problems     int
	first, again int
}{
	{"plain", with(func(i *Interface) {
		i.Addrs4, i.Subnets4 = addrs("10.0.2.37"), prefixes("10.0.2.0/24")
	}), 0, 7, 2},
	{"full", with(func(i *Interface) {
		i.NetworkCard, i.DeviceNumber = 1, 2
		i.Addrs4, i.Subnets4 = addrs("10.0.2.37", "10.0.2.5", "10.0.2.200"), prefixes("10.0.2.0/24")
		i.Addrs6, i.Subnets6 = addrs("2001:db8:1:2::37", "2001:db8:1:2::5"), prefixes("2001:db8:1:2::/64")
		i.Prefixes4, i.Prefixes6 = prefixes("10.0.2.64/28", "10.0.2.96/28"), prefixes("2001:db8:1:2:a::/80")
	}), 0, 12, 6},
	{"ipv6-only", with(func(i *Interface) {
		i.Addrs6, i.Subnets6 = addrs("2001:db8:1:2::37"), prefixes("2001:db8:1:2::/64")
	}), 0, 7, 3},
	{"efa-only", with(func(i *Interface) { i.NetworkCard = 3 }), 0, 6, 1},
	{"wild", with(func(i *Interface) {
		i.Addrs4, i.Subnets4 = addrs("10.0.2.37", "10.0.2.5", "10.0.2.6"), prefixes("10.0.2.0/24")
		i.Addrs6, i.Subnets6 = addrs("2001:db8:1:2::37"), prefixes("2001:db8:1:2::/64", "2001:db8:1:3::/64")
		i.Prefixes6 = prefixes("2001:db8:1:2:a::/80")
	}), 9 + 1 + 6 + 2, 12, 7},
	{"hundred", with(func(i *Interface) {
		var all []string
		for n := 200; n > 100; n-- {
			all = append(all, fmt.Sprintf("10.0.255.%d", n))
		}
		i.Addrs4, i.Subnets4 = addrs(all...), prefixes("10.0.0.0/15")
	}), 0, 7, 2},
}

func TestFixtures(t *testing.T) {
	for _, tt := range fixtures {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.name)
			s := f.client(t)
			for n, want := range []int{tt.first, tt.first + tt.again, tt.first + 2*tt.again} {
				got, err := s.Read(t.Context(), secondMAC)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 && len(got.Problems) != tt.problems {
					t.Errorf("%d problems, want %d: %v", len(got.Problems), tt.problems, got.Problems)
				}
				if got.Problems = nil; !reflect.DeepEqual(got, tt.want) {
					t.Errorf("reading %d:\n got %v\nwant %v", n, got, tt.want)
				}
				if s.Requests() != want {
					t.Errorf("%d requests after reading %d, want %d: %v", s.Requests(), n, want, f.hits)
				}
			}
		})
	}
}

func TestPrimary(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t)
	for range 2 {
		got, err := s.Read(t.Context(), primaryMAC)
		if err != nil || !got.Primary || got.N() != 0 || got.Addrs4.Value[0] != netip.MustParseAddr("10.0.1.10") {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if s.Requests() != 9 {
		t.Errorf("%d requests, want 9 (7 + 2): %v", s.Requests(), f.hits)
	}
}

func TestInterfaces(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t)
	for range 2 {
		first, all, err := s.Interfaces(t.Context())
		if err != nil || first != primaryMAC || !reflect.DeepEqual(all, []MAC{primaryMAC, secondMAC}) {
			t.Errorf("got %v, %v, %v", first, all, err)
		}
	}
	if s.Requests() != 4 {
		t.Errorf("%d requests, want 4 (token, 2 lists, mac): %v", s.Requests(), f.hits)
	}
}

func TestInterfacesErrors(t *testing.T) {
	for _, tt := range []struct {
		key  string
		do   http.HandlerFunc
		want error
	}{
		{keyMACs, status(404), ErrNotReady}, // there is always a first interface: not "no interfaces"
		{keyMACs, body(""), ErrNotReady},
		{keyMACs, body("<html>"), ErrUnavailable},
		{keyMACs, body("02:00:00:00:00:01/\nnot-a-mac/"), ErrUnavailable},
		{keyMACs, body("01:00:5e:00:00:01/"), ErrUnavailable},
		{keyMACs, status(503), ErrUnavailable},
		{keyFirst, status(404), ErrNotReady},
		{keyFirst, body("00:00:00:00:00:00"), ErrUnavailable},
		{keyFirst, status(403), ErrDisabled},
	} {
		f := newFake(t, "plain")
		f.fail(tt.key, tt.do)
		if first, all, err := f.client(t).Interfaces(t.Context()); !errors.Is(err, tt.want) || all != nil || first != (MAC{}) {
			t.Errorf("%s: %v, %v, %v; want %v", tt.key, first, all, err, tt.want)
		}
	}
}
