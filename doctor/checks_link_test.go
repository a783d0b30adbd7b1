package doctor

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// linkRows are faults of what an interface is and has.
func linkRows() map[string][]sick {
	return map[string][]sick{
		"readable": {{"without rights", one(func(c *Interface) { c.Unread, c.Managed = "no", false }), []string{"unknown readable eth1: cannot be read: no; as root"}}},
		"set-up": {
			{"it waits, and a process with it", one(func(c *Interface) { c.Waiting, c.AgentPID = "for DHCP", 7 }), []string{"warn set-up eth1: not ready yet: for DHCP; wait, or see the rest"}},
			{"it waits, and nobody with it", one(func(c *Interface) { c.Waiting = "for DHCP" }), []string{"warn set-up eth1: once it is published: ec2net up eth1"}},
			{"nobody set it up", one(func(c *Interface) { c.SetUp, c.Plan = false, groupPlan(3, "eth1") }), []string{"fail set-up eth1: nobody has set it up; ec2net up eth1"}},
			{"nobody, and nothing is to do", one(func(c *Interface) { c.SetUp = false }), nil},
			{"the primary has no rules", func(f *Facts) { f.Interfaces[0].SetUp, f.Interfaces[0].Plan = false, groupPlan(2, "eth0") },
				[]string{"fail set-up eth0: no rules beside the other interfaces: hosts in their subnets, but not in its own"}},
			{"the primary has no rules, and the kernel says whom that concerns", routed(func(f *Facts) { f.Interfaces[0].SetUp, f.Interfaces[0].Plan = false, groupPlan(2, "eth0") }),
				[]string{"fail set-up eth0: hosts in 10.0.2.0/24 get no answer from it; all others do"}},
		},
		"values": {{"two", one(func(c *Interface) { c.Problems = []error{errors.New("a"), errors.New("b")} }), []string{"warn values eth1: ignored; a\nb; report it"}}},
		"manager": {
			{"beside our lease", one(func(c *Interface) {
				c.Owner, c.Leasing = &dhcp.Owner{Program: "NetworkManager", Why: "it says so"}, "native"
			}),
				[]string{"warn manager eth1: NetworkManager and ec2net both; it says so; systemctl restart ec2net-ifup@eth1"}},
			{"it has the lease", one(func(c *Interface) { c.Owner, c.Leasing = &dhcp.Owner{Program: "NetworkManager"}, "NetworkManager" }), nil},
			{"it is not set up", one(func(c *Interface) { c.Owner, c.Leasing, c.SetUp = &dhcp.Owner{Program: "x"}, "off", false }), nil},
		},
		"link": {{"down", one(func(c *Interface) { c.Have.Link.Up = false }), []string{"fail link eth1: none of its addresses answers; ip link set eth1 up"}}},
		"carrier": {
			{"none", one(func(c *Interface) { c.Have.Carrier = false }), []string{"fail carrier eth1: no carrier; attached"}},
			{"none, because it is down", one(func(c *Interface) { c.Have.Carrier, c.Have.Link.Up = false, false }), nil},
		},
		"vf": {
			{"with an address", func(f *Facts) {
				f.FIB.Links = append(f.FIB.Links, Link{Name: "vf0", Index: 9, MAC: f.Interfaces[1].MAC})
				f.FIB.Routes = append(f.FIB.Routes, Route{Table: 255, Dst: prefix("10.0.2.99/32"), Type: unix.RTN_LOCAL, Hops: []Hop{{Index: 9}}})
			}, []string{"fail vf eth1: vf0 has the same MAC address; 10.0.2.99; ip addr flush dev vf0"}},
			{"without one", func(f *Facts) {
				f.FIB.Links = append(f.FIB.Links, Link{Name: "vf0", Index: 9, MAC: f.Interfaces[1].MAC})
			}, nil},
			{"a VLAN on top", func(f *Facts) {
				f.FIB.Links = append(f.FIB.Links, Link{Name: "eth1.7", Index: 9, MAC: f.Interfaces[1].MAC, Kind: "vlan"})
				f.FIB.Routes = append(f.FIB.Routes, Route{Table: 255, Dst: prefix("10.7.0.1/32"), Type: unix.RTN_LOCAL, Hops: []Hop{{Index: 9}}})
			}, nil},
		},
		"ipv6": {
			{"granted and off", one(func(c *Interface) {
				c.Have.NoIPv6, c.Granted.Addrs6 = true, metadata.Is([]netip.Addr{addr("2001:db8::37")})
			}),
				[]string{"warn ipv6 eth1: IPv6 is switched off on it; 2001:db8::37; sysctl -w net.ipv6.conf.eth1.disable_ipv6=0"}},
			{"off", one(func(c *Interface) { c.Have.NoIPv6 = true }), nil},
		},
		"plan":     {{"missing", one(func(c *Interface) { c.Plan = groupPlan(3, "eth1") }), []string{"fail group eth1: the guard rules do not cover it; missing: ~ link eth1 group 236; ec2net up eth1"}}},
		"left-out": {{"two things", one(func(c *Interface) { c.Refused = errors.New("a\nb") }), []string{"warn left-out eth1: a; b"}}},
		"extra-address": {
			{"one", one(func(c *Interface) { c.Have.Addrs = []plumb.Addr{{Prefix: prefix("10.0.2.99/24")}} }), []string{"warn extra-address eth1: 10.0.2.99; ip addr del 10.0.2.99 dev eth1"}},
			{"of the other interface", one(func(c *Interface) {
				c.Have.Addrs, c.Manager = []plumb.Addr{{Prefix: prefix("10.0.0.29/24")}}, "netplan"
			}),
				[]string{"warn moved-address eth1: 10.0.0.29, which the cloud has moved to eth0; configured by netplan; ip addr del 10.0.0.29/24 dev eth1"}},
			{"ours, link-local, granted, or in a delegated block", one(func(c *Interface) {
				c.Granted.Prefixes4 = metadata.Is([]netip.Prefix{prefix("10.0.2.48/28")})
				c.Have.Addrs = []plumb.Addr{{Prefix: prefix("10.0.2.99/32"), Ours: true}, {Prefix: prefix("fe80::1/64")}, {Prefix: prefix("10.0.2.37/24")}, {Prefix: prefix("10.0.2.50/32")}}
			}), nil},
			{"the cloud could not be asked", one(func(c *Interface) {
				c.Granted.Addrs6.Status = metadata.Unavailable
				c.Have.Addrs = []plumb.Addr{{Prefix: prefix("2001:db8::9/64")}}
			}), nil},
			{"from an earlier reading", one(func(c *Interface) {
				c.Source, c.Have.Addrs = FromRecord, []plumb.Addr{{Prefix: prefix("10.0.2.99/24")}}
			}), nil},
		},
		"arp": {
			{"it answers nothing", func(f *Facts) { f.FIB.Links[2].Conf.ARPIgnore = 8 }, []string{"fail arp eth1: answers no ARP for its addresses; arp_ignore is 8; net.ipv4.conf.eth1.arp_ignore=0"}},
			{"not for secondary addresses", func(f *Facts) {
				f.FIB.Links[2].Conf.ARPIgnore = 2
				f.Interfaces[1].Granted.Addrs4.Value = []netip.Addr{addr("10.0.2.37"), addr("10.0.2.38")}
			}, []string{"fail arp eth1: secondary addresses; arp_ignore is 2; arp_ignore=1"}},
			{"it has one address", func(f *Facts) { f.FIB.Links[2].Conf.ARPIgnore = 2 }, nil},
			{"IPv6 alone", func(f *Facts) { f.FIB.Links[2].Conf.ARPIgnore, f.Interfaces[1].Granted.Addrs4.Value = 8, nil }, nil},
		},
	}
}
