package doctor

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// ruleRows are faults of rules and routes, others' among them, and of what they make of packets.
func ruleRows() map[string][]sick {
	return map[string][]sick{
		"table-collision": {
			{"it changes nothing", routed(func(f *Facts) {
				f.FIB.Routes = append(f.FIB.Routes, via(f.Interfaces[1].table(), "203.0.113.0/24", "10.0.2.9", 3))
			}),
				[]string{"warn table-collision eth1: routes in its table; 203.0.113.0/24 via 10.0.2.9 dev eth1; ip route del 203.0.113.0/24"}},
			{"it leads elsewhere", routed(func(f *Facts) {
				f.FIB.Routes = append(f.FIB.Routes, via(f.Interfaces[1].table(), "192.0.2.0/24", "10.0.0.9", 2))
			}),
				[]string{"fail table-collision eth1: 192.0.2.0/24 via 10.0.0.9 dev eth0"}},
			{"there are no rules that ask the table", routed(func(f *Facts) {
				f.Interfaces[1].Want.Rules = nil
				f.FIB.Routes = append(f.FIB.Routes, via(f.Interfaces[1].table(), "192.0.2.0/24", "10.0.0.9", 2))
			}), nil},
		},
		"rule-collision": {
			{"it decides nothing", routed(func(f *Facts) { f.rule(from(20001, 99, "10.0.2.99/32")) }), []string{"warn rule-collision eth1: the same preference (20001); from 10.0.2.99 lookup 99; above 20001; ip rule add pref 32000 from 10.0.2.99 lookup 99 && ip rule del pref 20001"}},
			{"it decides", routed(func(f *Facts) {
				f.FIB.Routes = append(f.FIB.Routes, via(99, "0.0.0.0/0", "10.0.0.1", 2))
				f.rule(from(10001, 99, "10.0.2.37/32"))
			}), []string{"fail rule-collision eth1: the same preference (10001)"}},
			{"of the other family", routed(func(f *Facts) {
				r := from(20001, 99, "2001:db8::/64")
				r.Six = true
				f.rule(r)
			}), nil},
		},
		"rule-in-front": {
			{"it takes the answers", routed(func(f *Facts) {
				f.FIB.Routes = append(f.FIB.Routes, via(99, "0.0.0.0/0", "10.0.0.1", 2))
				f.rule(from(100, 99, "10.0.2.0/24"))
			}), []string{"fail rule-in-front eth1: comes before its own; 100: from 10.0.2.0/24 lookup 99; via 10.0.0.1 dev eth0, not via 10.0.2.1 dev eth1; give it a preference above 20001"}},
			{"it hides the host's bridges alone", routed(func(f *Facts) {
				f.FIB.Links = append(f.FIB.Links, Link{Name: "docker0", Index: 9, Kind: "bridge"})
				f.FIB.Routes = append(f.FIB.Routes, via(99, "0.0.0.0/0", "10.0.2.1", 3), via(254, "172.17.0.0/16", "", 9))
				f.rule(from(100, 99, "10.0.2.0/24"))
			}), []string{"warn rule-in-front eth1: bridges, tunnels and static routes cannot be reached; from 10.0.2.37 to 172.17.0.1 via 10.0.2.1 dev eth1, not dev docker0"}},
			{"it says what ours say", routed(func(f *Facts) { f.rule(from(100, f.Interfaces[1].table(), "10.0.2.37/32")) }), nil},
			{"it comes behind", routed(func(f *Facts) { f.rule(from(25000, 99, "10.0.2.0/24")) }), nil},
			{"Tailscale's", routed(func(f *Facts) {
				f.FIB.Routes = append(f.FIB.Routes, via(52, "192.0.2.0/24", "", 2))
				f.rule(to(5270, 52))
			}), []string{"fail rule-in-front eth1: 5270: from all lookup 52; set priority = 1000"}},
		},
		"main-default": {
			{"none", func(f *Facts) { f.FIB.Routes = f.FIB.Routes[1:] }, []string{"fail main-default eth0: no default route: the host can reach nothing; have the program that configures eth0"}},
			{"none, and ec2net sets it", func(f *Facts) { f.FIB.Routes, f.Interfaces[0].Hosts = f.FIB.Routes[1:], true }, []string{"fail main-default eth0: ec2net up eth0"}},
			{"only another's, and who configures it is known", func(f *Facts) {
				f.FIB.Routes[0], f.Interfaces[0].Manager = via(254, "0.0.0.0/0", "10.0.2.1", 3), "systemd-networkd"
			},
				[]string{"fail main-default eth0: it has no default route in the main table; default via 10.0.2.1 dev eth1; configured by systemd-networkd; networkctl reconfigure eth0"}},
			{"it has no address either", func(f *Facts) {
				f.FIB.Routes = []Route{via(254, "0.0.0.0/0", "10.0.2.1", 3)}
				f.Interfaces[0].Manager = "ifupdown"
			},
				[]string{"fail main-default eth0: lost its addresses and its default route; ifdown --force eth0; ifup eth0"}},
			{"another's is better", func(f *Facts) {
				f.FIB.Routes[0].Metric = 100
				f.FIB.Routes = append(f.FIB.Routes, via(254, "0.0.0.0/0", "10.0.2.1", 3))
			}, []string{"fail main-default eth1: not by the primary interface eth0; ip route del default via 10.0.2.1 dev eth1"}},
			{"an unreachable one is none", func(f *Facts) { f.FIB.Routes[0].Type = unix.RTN_UNREACHABLE }, []string{"fail main-default eth0: can reach nothing"}},
			{"IPv6 is granted, and has none", func(f *Facts) { f.Interfaces[0].Granted.Addrs6 = metadata.Is([]netip.Addr{addr("2001:db8::29")}) }, nil},
			{"IPv6's leads by another", func(f *Facts) {
				f.Interfaces[0].Granted.Addrs6 = metadata.Is([]netip.Addr{addr("2001:db8::29")})
				f.FIB.Routes = append(f.FIB.Routes, via(254, "::/0", "fe80::1", 3))
			}, []string{"fail main-default eth0: no default route in the main table; default via fe80::1 dev eth1"}},
		},
		"leave": {
			{"all by the wrong interface", routed(func(f *Facts) {
				f.FIB.Rules = []Rule{to(0, 255), to(32766, 254)}
				f.Interfaces[0].Granted.Addrs4.Value = nil
				f.Interfaces[0].Granted.Subnets4.Value = nil
			}),
				[]string{"fail leave eth1: answers from 10.0.2.37 to hosts outside of 10.0.2.0/24 do not leave by it; to 192.0.2.1: via 10.0.0.1 dev eth0; ec2net explain 10.0.2.37 192.0.2.1"}},
			{"no route", routed(func(f *Facts) {
				f.FIB.Routes[len(f.FIB.Routes)-1].Type = unix.RTN_UNREACHABLE
			}), []string{
				"fail leave eth0: answers from 10.0.0.29 to hosts in 10.0.2.0/24 do not leave by it", // it has no rules of its own
				"fail leave eth1: answers from 10.0.2.37 do not leave by it; to 192.0.2.1: unreachable; to 10.0.2.2: unreachable",
			}},
		},
		"enter": {
			{"the reverse path, where the answer is lost too", routed(func(f *Facts) {
				f.FIB.Rules, f.FIB.Links[2].Conf.RPFilter = []Rule{to(0, 255), to(32766, 254)}, 1
			}), []string{"fail enter eth1: the kernel rejects what comes in for 10.0.2.37"}},
			{"the reverse path alone, by a mark", func(f *Facts) {
				f.FIB.Links[2].Conf.RPFilter, f.FIB.Links[2].Conf.RPFilterOwn = 1, 1
				marked(&f.FIB)
				routedProbes(f)
			}, []string{"fail rp_filter eth1: drops what comes in for 10.0.2.37; sysctl -w net.ipv4.conf.eth1.src_valid_mark=1"}},
			{"the reverse path alone, by a user", func(f *Facts) {
				f.FIB.Links[2].Conf.RPFilter = 1
				marked(&f.FIB)
				f.FIB.Rules[0].Mark, f.FIB.Rules[0].Mask, f.FIB.Rules[0].UID = 0, 0, UIDs{1000, 1000, true}
				routedProbes(f)
			}, []string{"fail rp_filter eth1: net.ipv4.conf.eth1.rp_filter=2"}},
			{"an address that is not there", routed(func(f *Facts) { f.FIB.Routes = append(f.FIB.Routes[:4:4], f.FIB.Routes[5:]...) }),
				[]string{"fail enter eth1: rejects what comes in for 10.0.2.37; ec2net explain 192.0.2.1 10.0.2.37 --in eth1"}},
		},
	}
}
