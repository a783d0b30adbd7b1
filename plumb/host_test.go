package plumb

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
)

const tunnelled = "tuntap add dev tun0 mode tun\nlink set tun0 up\n"

// TestReadHost: what the kernel says of the host's interfaces, as DHCP clients and operators leave it.
func TestReadHost(t *testing.T) {
	wire, imds := netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("169.254.169.254")
	one, two := mac("02:00:00:00:00:10"), mac("02:00:00:00:00:11")
	for _, tt := range []struct {
		name, commands string
		want           metadata.Host
	}{
		{"a default route", "", metadata.Host{Default: one}},
		{"a host route", "route add 168.63.129.16 via 10.0.0.1 dev eth0\nroute replace default dev eth1", metadata.Host{Platform: []metadata.MAC{one}, Default: two}},
		{"to the metadata only", "route add 169.254.169.254 dev eth0\nroute replace default dev eth1", metadata.Host{Platform: []metadata.MAC{one}, Default: two}},
		{"a host route by each interface", "route add 168.63.129.16 via 10.0.0.1 dev eth0 metric 100\nroute add 168.63.129.16 dev eth1 metric 200", metadata.Host{Platform: []metadata.MAC{one}, Default: one}},
		{"a host route by hand", "route add 168.63.129.16 dev eth1\nroute add 169.254.169.254 via 10.0.0.1 dev eth0", metadata.Host{Platform: []metadata.MAC{two, one}, Default: one}},
		{"beside equal default routes", "route add 168.63.129.16 dev eth1\nroute del default\nroute add default dev eth1 metric 1024\nroute append default via 10.0.0.1 dev eth0 metric 1024\nroute add default dev eth1 metric 10001 proto 236", metadata.Host{Platform: []metadata.MAC{two}}},
		{"beside a better default route", "route add 168.63.129.16 dev eth1\nroute add default dev eth1 metric 50\nroute add unreachable default metric 60", metadata.Host{Platform: []metadata.MAC{two}, Default: one}},
		{"a host route by each interface, equal", "route add 168.63.129.16 dev eth1 metric 1024\nroute append 168.63.129.16 via 10.0.0.1 dev eth0 metric 1024", metadata.Host{}},
		{"equal default routes", "route del default\nroute add default dev eth1 metric 1024\nroute append default via 10.0.0.1 dev eth0 metric 1024", metadata.Host{}},
		{"a default route of another metric", "route add default dev eth1 metric 1024", metadata.Host{Default: one}},
		{"a zeroconf route", "route add 169.254.0.0/16 dev eth1", metadata.Host{Default: one}},
		{"unreachable", "route add unreachable 168.63.129.16\nroute add 169.254.169.254 dev eth0", metadata.Host{Platform: []metadata.MAC{one}}},
		{"no route", "route del default\nroute add blackhole 169.254.169.254", metadata.Host{}},
		{"two next hops", "route replace default nexthop dev eth0 nexthop dev eth1", metadata.Host{}},
		{"numbers", "route add 10.9.0.0/24 dev eth0 table 10000 proto 236\nroute add 10.9.0.0/24 dev eth1 table 14711 proto 236\nroute add 2001:db8::/64 dev eth1 table 14711 proto 236",
			metadata.Host{Default: one, Numbers: map[metadata.MAC]int{one: 0, two: 4711}}},
		{"not ours, or on a lease alone", "route add 10.9.0.0/24 dev eth0 table 10005\nroute add 10.9.0.0/24 dev eth1 table 19003 proto 236\nroute add 10.8.0.0/24 dev eth1 metric 10007 proto 236",
			metadata.Host{Default: one}},
		{"the default route of an interface on its lease alone", "route del default\nroute add default via 10.0.2.1 dev eth1 onlink metric 19003 proto 236", metadata.Host{}},
		{"a host route that is copied for [egress]", "route add 168.63.129.16 via 10.0.0.1 dev eth0 table 10000 proto 236\nrule add to 168.63.129.16 lookup 10000 pref 30000",
			metadata.Host{Platform: []metadata.MAC{one}, Default: one, Numbers: map[metadata.MAC]int{one: 0}}},
		{"through a tunnel, by a rule", tunnelled + "rule add pref 220 lookup 220\nroute add default dev tun0 table 220\nroute add 168.63.129.16 via 10.0.0.1 dev eth0 metric 100\nroute add 168.63.129.16 dev eth1 metric 200", metadata.Host{Platform: []metadata.MAC{one}, Default: one}},
		{"through a tunnel, by halves", tunnelled + "route add 0.0.0.0/1 dev tun0\nroute add 128.0.0.0/1 dev tun0", metadata.Host{Default: one}},
		{"through a tunnel, and equal below", tunnelled + "route add 128.0.0.0/1 dev tun0\nroute del default\nroute add default dev eth1 metric 1024\nroute append default via 10.0.0.1 dev eth0 metric 1024", metadata.Host{}},
		{"an enslaved interface", "link add br0 type bridge\nlink set eth1 master br0\nroute add 10.9.0.0/24 dev eth1 table 14711 proto 236", metadata.Host{Default: one}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host(t)
			batch(t, "link set eth1 up\n"+tt.commands)
			got, err := ReadHost(wire, imds)
			if len(got.Numbers) == 0 {
				got.Numbers = nil
			}
			if got.MTUs[one] != 1500 {
				t.Errorf("the MTU of %s is %d", one, got.MTUs[one])
			}
			got.MTUs = nil
			if d := cmp.Diff(tt.want, got); err != nil || d != "" {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
		})
	}
}
