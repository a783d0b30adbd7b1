package plumb

import (
	"net/netip"
	"regexp"
	"slices"
	"testing"
)

// Who carries the host's own traffic, by the kernel's word.
func TestLead(t *testing.T) {
	for _, tt := range []struct {
		name, routes string
		eth0, eth1   bool // the host leaves elsewhere
	}{
		{"seed 002", "", false, true},
		{"no default route", "route del default", false, false},
		{"eth1 has a worse one", "route add default via 10.0.2.1 dev eth1 metric 200", false, true},
		{"eth1 has a better one", "route del default\nroute add default via 10.0.0.1 dev eth0 metric 300\nroute add default via 10.0.2.1 dev eth1 metric 200", true, false},
		{"equal metrics", "route append default via 10.0.2.1 dev eth1", false, false},
		{"ours says nothing for the interface, and all for another", "route del default\nroute add default via 10.0.2.1 dev eth1 metric 10001 proto 236", true, false},
		{"ours beside a worse one", "route del default\nroute add default via 10.0.0.1 dev eth0 metric 20000\nroute add default via 10.0.2.1 dev eth1 metric 10001 proto 236", true, true},
		{"ours that the host lives by", "route del default\nroute add default via 10.0.0.1 dev eth0 metric 512 proto 236\nroute add default via 10.0.2.1 dev eth1 metric 10001 proto 236", false, true},
		{"by both at once", "route replace default nexthop via 10.0.0.1 dev eth0 nexthop via 10.0.2.1 dev eth1", false, false},
		{"by both at once, and eth0 before", "route add default metric 500 nexthop via 10.0.0.1 dev eth0 nexthop via 10.0.2.1 dev eth1", false, true},
		{"a VPN's comes first", "tuntap add dev tun0 mode tun\nlink set tun0 up\nroute del default\nroute add default via 10.0.0.1 dev eth0 metric 300\nroute add default dev tun0 metric 50", false, true},
		{"a VPN has the only one", "tuntap add dev tun0 mode tun\nlink set tun0 up\nroute replace default dev tun0", false, false},
		{"by a bridge", "link add br0 type bridge\nlink set br0 up\nroute replace default dev br0", true, true},
		{"of another type, table or service", "route del default\nroute add unreachable default\nroute add default via 10.0.0.1 dev eth0 table 7\nroute add default via 10.0.0.1 dev eth0 tos 0x10", false, false},
		{"a subnet from 0 is no default", "route del default\nroute add 0.0.0.0/1 via 10.0.0.1 dev eth0", false, false},
		{"IPv4 decides", "route add ::/0 via fe80::1 dev eth1", false, true},
		{"IPv6 where there is no other", "route del default\nroute add ::/0 via fe80::1 dev eth1 metric 1024", true, false},
		{"IPv6, equal", "route del default\nroute append ::/0 via fe80::1 dev eth1 metric 1024\nroute append ::/0 via fe80::1 dev eth0 metric 1024", false, false},
		{"IPv6, one better", "route del default\nroute add ::/0 via fe80::1 dev eth1 metric 1024\nroute add ::/0 via fe80::1 dev eth0 metric 100", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host(t)
			batch(t, "link set eth1 up\naddr add 10.0.2.37/24 dev eth1\n"+tt.routes+"\n")
			l := open(t, "eth0")
			for name, want := range map[string]bool{"eth0": tt.eth0, "eth1": tt.eth1} {
				got, err := l.Lead(index(t, name))
				if got.Elsewhere != want || err != nil {
					t.Errorf("beside %s the host leaves elsewhere: %t (%v), want %t", name, got.Elsewhere, err, want)
				}
				other := map[string]string{"eth0": "eth1", "eth1": "eth0"}[name]
				if tied := tie.MatchString(tt.name); tied != slices.Equal(got.Tied, []int{index(t, other)}) {
					t.Errorf("%s is tied with %v: %t wanted", name, got.Tied, tied)
				}
			}
		})
	}
}

// tie matches the cases of TestLead in which eth0 and eth1 are on a par.
var tie = regexp.MustCompile(`equal|by both at once$`)

// What another program's set-up says of the lease behind it.
func TestForeign(t *testing.T) {
	p := netip.MustParsePrefix
	table := func(n uint32) func(*Route) { return func(r *Route) { r.Table = n } }
	metric := func(n uint32) func(*Route) { return func(r *Route) { r.Metric = n } }
	for _, tt := range []struct {
		name         string
		addrs        []Addr
		routes       []Route
		addr, router string
	}{
		{"nothing", nil, nil, "", ""},
		{"address alone", []Addr{{Prefix: p("10.0.2.37/24")}}, nil, "10.0.2.37/24", "invalid IP"},
		{"ours, link-local, IPv6 and a single host are none", []Addr{
			{Prefix: p("10.0.2.4/24"), Ours: true}, {Prefix: p("169.254.7.7/16")}, {Prefix: p("2001:db8::1/64")}, {Prefix: p("10.0.2.5/32")},
		}, nil, "", ""},
		{"the first", []Addr{{Prefix: p("10.0.2.5/32")}, {Prefix: p("10.0.2.37/24")}, {Prefix: p("10.0.2.38/24")}}, nil, "10.0.2.37/24", "invalid IP"},
		{"router of main", []Addr{{Prefix: p("10.0.2.37/24")}}, []Route{
			foreign("0.0.0.0/0", "10.0.2.9", table(7)), foreign("0.0.0.0/0", "10.0.2.1", metric(200)), foreign("0.0.0.0/0", "10.0.2.8", metric(300)),
		}, "10.0.2.37/24", "10.0.2.1"},
		{"router of the program's own table", []Addr{{Prefix: p("10.0.2.37/24")}}, []Route{foreign("0.0.0.0/0", "10.0.2.9", table(7))}, "10.0.2.37/24", "10.0.2.9"},
		{"a router outside of the subnet", []Addr{{Prefix: p("10.0.2.37/24")}}, []Route{foreign("0.0.0.0/0", "10.0.3.1")}, "10.0.2.37/24", "10.0.3.1"},
		{"one of the subnet comes first", []Addr{{Prefix: p("10.0.2.37/24")}}, []Route{
			foreign("0.0.0.0/0", "10.0.3.1"), foreign("0.0.0.0/0", "10.0.2.1", metric(300)),
		}, "10.0.2.37/24", "10.0.2.1"},
		{"a subnet of one address, and its router", []Addr{{Prefix: p("10.0.2.37/32")}}, []Route{
			foreign("10.0.2.1/32", ""), foreign("0.0.0.0/0", "10.0.2.1"),
		}, "10.0.2.37/32", "10.0.2.1"},
		{"no router", []Addr{{Prefix: p("10.0.2.37/24")}}, []Route{
			foreign("10.9.0.0/16", "10.0.2.9"), foreign("0.0.0.0/0", "10.0.2.7", func(r *Route) { r.Ours = true }),
		}, "10.0.2.37/24", "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := with(func(s *Snapshot) { s.Addrs, s.Routes = tt.addrs, tt.routes })
			switch l := s.Foreign(); {
			case l == nil:
				if tt.addr != "" {
					t.Error("nothing was found")
				}
			case l.Addr.String() != tt.addr || l.Router.String() != tt.router:
				t.Errorf("%s by %s, want %s by %s", l.Addr, l.Router, tt.addr, tt.router)
			}
		})
	}
}
