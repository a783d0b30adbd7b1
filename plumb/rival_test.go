package plumb

import (
	"net/netip"
	"slices"
	"testing"
)

// When the primary's IPv4 default route is written once more, and when not.
func TestWantAhead(t *testing.T) {
	tie := func(metric uint32, rivals ...CompetingDefault) Input {
		return first(func(in *Input) {
			in.Have.Routes[0].Metric, in.Have.Routes[0].Src = metric, in.Interface.Addrs4.Value[0]
			in.Have.Competing = rivals
		})
	}
	written := only("via 10.0.0.1 dev eth0 src")
	const ahead = "+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 1023"
	const penalised = "+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 9999"
	tie6 := func(metric uint32, rivals ...CompetingDefault) Input {
		return first(func(in *Input) { in.Have.Routes[1].Metric, in.Have.Competing = metric, rivals })
	}
	written6 := only("via fe80::1 dev eth0 metric")
	mine := tie(1024, interfaceRival(1024))
	mine.MainTable = false
	check(t, []golden{
		{"nobody beside it", tie(1024), written, ""},
		{"equal", tie(1024, interfaceRival(1024)), written, ahead},
		{"equal, and ours far behind", tie(1024, CompetingDefault{Metric: 10001, Ours: true}, interfaceRival(1024)), written, ahead},
		{"others behind it", tie(1024, interfaceRival(1025)), written, ""},
		{"another before it", tie(1024, interfaceRival(1024), interfaceRival(1023)), written, ""},
		{"a VPN's before it", tie(1024, interfaceRival(1024), CompetingDefault{Metric: 50}), written, ""},
		{"a VPN's beside it", tie(1024, interfaceRival(1024), CompetingDefault{Metric: 1024}), written, ""},
		{"nothing is below 0", tie(0, interfaceRival(0)), written, ""},
		{"1", tie(1, interfaceRival(1)), written, "+ route default via 10.0.0.1 dev eth0 src 10.0.0.29"},
		{"what tells an interface's number", tie(10006, interfaceRival(10006)), written, penalised},
		{"NetworkManager's penalty", tie(20100), written, penalised},
		{"and ours before it", tie(20100, CompetingDefault{Metric: 10001, Ours: true}), written, penalised},
		{"and others behind it", tie(20100, interfaceRival(20101)), written, penalised},
		{"and a VPN's before it", tie(20100, CompetingDefault{Metric: 50}), written, ""},
		{"and another's by a penalty too", tie(20100, interfaceRival(20099)), written, ""},
		{"the last metric before the interfaces'", tie(10000), written, ""},
		{"IPv6: NetworkManager's penalty", tie6(20100), written6, "+ route default via fe80::1 dev eth0 metric 9999"},
		{"IPv6: and a VPN's before it", tie6(20100, CompetingDefault{Metric: 50, Six: true}), written6, ""},
		{"IPv6: of IPv4 is another matter", tie6(20100, CompetingDefault{Metric: 50}), written6, "+ route default via fe80::1 dev eth0 metric 9999"},
		{"main is not ours to write", mine, written, ""},
	})
}

func interfaceRival(metric uint32) CompetingDefault {
	return CompetingDefault{Metric: metric, Interface: true}
}

// A secondary's default route is not written to main where the host itself would then leave by it.
func TestWantOvertakes(t *testing.T) {
	beside := func(change func(*Input), rivals ...CompetingDefault) Input {
		in := ours(eth1())
		in.Have.Competing = rivals
		change(&in)
		return in
	}
	nothing := func(*Input) {}
	main := only("default via 10.0.2.1 dev eth1 src")
	const (
		written = "+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001"
		not     = "! route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001 would come before the host's own default route, " +
			"which has a higher metric: left out until the primary interface's default route comes first (run \"ec2net up\" for the primary interface)"
	)
	copied := CompetingDefault{Metric: 9999, Ours: true}
	check(t, []golden{
		{"the host has none", beside(nothing), main, written},
		{"the host's before it", beside(nothing, CompetingDefault{Metric: 100}), main, written},
		{"penalised", beside(nothing, interfaceRival(20100)), main, not},
		{"equal", beside(nothing, interfaceRival(10001)), main, not},
		{"another's of ours does not count", beside(nothing, interfaceRival(20100), CompetingDefault{Metric: 10002, Ours: true}), main, not},
		{"penalised, and once more before", beside(nothing, interfaceRival(20100), copied), main, written},
		{"of IPv6", beside(nothing, CompetingDefault{Metric: 20100, Six: true}), main, written},
		{"the host leaves by this interface", beside(func(in *Input) {
			in.Have.Routes = []Route{foreign("0.0.0.0/0", "10.0.2.1", func(r *Route) { r.Metric = 101 })}
		}, interfaceRival(20100)), main, written},
		{"it was written before", beside(func(in *Input) {
			in.Have.Routes = []Route{{Table: tableMain, Dst: everywhere(false), Via: netip.MustParseAddr("10.0.2.1"), Src: netip.MustParseAddr("10.0.2.37"), Metric: 10001, Ours: true}}
		}, interfaceRival(20100)), main, "- " + written[2:] + "\n" + not},
	})
}

// What the kernel says of the default routes beside an interface's, and that a change of them is noticed.
func TestRivals(t *testing.T) {
	host(t)
	batch(t, "link set eth1 up\nlink set eth1 group 236\naddr add 10.0.2.37/24 dev eth1\nlink add br0 type bridge\nlink set br0 up\nroute del default\n")
	l := open(t, "eth0")
	rivals := func() []CompetingDefault {
		s, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		l.publish()
		return s.Competing
	}
	ip(t, "route add default via 10.0.2.1 dev eth1 metric 1024")
	if got := rivals(); len(got) != 1 || got[0] != interfaceRival(1024) {
		t.Errorf("without a default route of its own: %v", got)
	}
	ip(t, "route append default via 10.0.0.1 dev eth0 metric 1024")
	if got := rivals(); len(got) != 1 || got[0] != (interfaceRival(1024)) {
		t.Errorf("equal: %v", got)
	}
	w := watch(t, l)
	for _, tt := range []struct {
		route string
		want  CompetingDefault
	}{
		{"default dev br0 metric 50", CompetingDefault{Metric: 50}},
		{"unreachable default metric 60", CompetingDefault{Metric: 60}},
		{"default metric 70 nexthop via 10.0.0.1 dev eth0 nexthop via 10.0.2.1 dev eth1", CompetingDefault{Metric: 70}},
		{"default via 10.0.2.1 dev eth1 metric 80", interfaceRival(80)},
	} {
		ip(t, "route add "+tt.route)
		w.until("")
		if got := rivals(); len(got) != 2 || got[0] != tt.want {
			t.Errorf("%s: %v", tt.route, got)
		}
		ip(t, "route del "+tt.route)
		w.until("")
	}
	ip(t, "route add default via 10.0.2.1 dev eth1 metric 90 proto 236")
	w.until("")
	batch(t, "route add default dev br0 table 7\nroute add default dev br0 tos 0x10\nroute add 0.0.0.0/1 dev br0\nroute add default via 10.0.2.1 dev eth1 metric 10001 proto 236\n")
	want := []CompetingDefault{{Metric: 90, Ours: true}, interfaceRival(1024), {Metric: 10001, Ours: true}}
	if got := rivals(); !slices.Equal(got, want) {
		t.Errorf("ours, and what is no default route of main: %v", got)
	}
	ip(t, "addr add fd00::37/64 dev eth1 nodad")
	w.until("")
	ip(t, "-6 route add default via fd00::1 dev eth1 metric 20101")
	w.until("")
	if got := rivals(); !slices.Equal(got, append(want, CompetingDefault{Metric: 20101, Interface: true, Six: true})) {
		t.Errorf("with IPv6: %v", got)
	}
	ip(t, "link set eth1 group 0")
	l.scope.Peers = nil
	if got := rivals(); len(got) != 0 {
		t.Errorf("no other cloud interface: %v", got)
	}
}
