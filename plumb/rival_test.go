package plumb

import "testing"

// When the primary's IPv4 default route is written once more, and when not.
func TestWantAhead(t *testing.T) {
	tie := func(metric uint32, rivals ...Rival) Input {
		return first(func(in *Input) {
			in.Have.Routes[0].Metric, in.Have.Routes[0].Src = metric, in.Card.Addrs4.Value[0]
			in.Have.Rivals = rivals
		})
	}
	written := only("via 10.0.0.1 dev eth0 src")
	const ahead = "+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 1023"
	mine := tie(1024, Rival{1024, true})
	mine.MainTable = false
	check(t, []golden{
		{"nobody beside it", tie(1024), written, ""},
		{"equal", tie(1024, Rival{1024, true}), written, ahead},
		{"equal, and ours far behind", tie(1024, Rival{10001, false}, Rival{1024, true}), written, ahead},
		{"others behind it", tie(1024, Rival{1025, true}), written, ""},
		{"another before it", tie(1024, Rival{1024, true}, Rival{1023, true}), written, ""},
		{"a VPN's before it", tie(1024, Rival{1024, true}, Rival{50, false}), written, ""},
		{"a VPN's beside it", tie(1024, Rival{1024, true}, Rival{1024, false}), written, ""},
		{"nothing is below 0", tie(0, Rival{0, true}), written, ""},
		{"1", tie(1, Rival{1, true}), written, "+ route default via 10.0.0.1 dev eth0 src 10.0.0.29"},
		{"what tells a card's number", tie(10006, Rival{10006, true}), written, ""},
		{"main is not ours to write", mine, written, ""},
	})
}

// What the kernel says of the default routes beside a card's, and that a change of them is noticed.
func TestRivals(t *testing.T) {
	host(t)
	batch(t, "link set eth1 up\nlink set eth1 group 236\naddr add 10.0.2.37/24 dev eth1\nlink add br0 type bridge\nlink set br0 up\nroute del default\n")
	l := open(t, "eth0")
	rivals := func() []Rival {
		s, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		l.publish()
		return s.Rivals
	}
	ip(t, "route add default via 10.0.2.1 dev eth1 metric 1024")
	if got := rivals(); len(got) != 0 {
		t.Errorf("without a default route of its own: %v", got)
	}
	ip(t, "route append default via 10.0.0.1 dev eth0 metric 1024")
	if got := rivals(); len(got) != 1 || got[0] != (Rival{1024, true}) {
		t.Errorf("equal: %v", got)
	}
	w := watch(t, l)
	for _, tt := range []struct {
		route string
		want  Rival
	}{
		{"default dev br0 metric 50", Rival{50, false}},
		{"unreachable default metric 60", Rival{60, false}},
		{"default metric 70 nexthop via 10.0.0.1 dev eth0 nexthop via 10.0.2.1 dev eth1", Rival{70, false}},
		{"default via 10.0.2.1 dev eth1 metric 80", Rival{80, true}},
	} {
		ip(t, "route add "+tt.route)
		w.until("")
		if got := rivals(); len(got) != 2 || got[0] != tt.want {
			t.Errorf("%s: %v", tt.route, got)
		}
		ip(t, "route del "+tt.route)
		w.until("")
	}
	batch(t, "route add default via 10.0.2.1 dev eth1 metric 90 proto 236\nroute add default dev br0 table 7\nroute add default dev br0 tos 0x10\nroute add 0.0.0.0/1 dev br0\n")
	if got := rivals(); len(got) != 2 || got[0] != (Rival{90, false}) {
		t.Errorf("ours, and what is no default route of main: %v", got)
	}
	ip(t, "link set eth1 group 0")
	if got := rivals(); len(got) != 0 {
		t.Errorf("no other cloud card: %v", got)
	}
}
