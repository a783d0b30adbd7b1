package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ec2net/metadata"
)

// checkSetUp tells an interface that waits for something from one that nobody has set up. The primary interface of a host
// with several needs nothing to answer but the rules that keep its answers to other interfaces' subnets on it.
func checkSetUp(f Facts, c Interface) []Finding {
	switch {
	case c.Waiting != "":
		out := Finding{ID: "set-up", Verdict: Warn, Interface: c.Name, Summary: "it is not ready yet: " + c.Waiting, Remedy: "wait, or see the rest of this report"}
		if c.AgentPID == 0 { // nobody waits for it
			out.Remedy = "once it is published: " + again(c)
		}
		return []Finding{out}
	case c.SetUp || len(c.Plan) == 0:
		return nil
	}
	out := Finding{ID: "set-up", Verdict: Fail, Interface: c.Name, Summary: "nobody has set it up", Remedy: again(c)}
	if c.Primary && len(c.Granted.Addrs4.Value)+len(c.Granted.Addrs6.Value) <= 1 {
		out.Summary = "it has no rules beside the other interfaces: hosts in their subnets, but not in its own, get no answer from it"
		if hosts := f.peers(c, c.sources(), func(p Probe) bool { return !f.right(c, p) }); hosts != "" {
			out.Summary = "it has no rules beside the other interfaces: " + hosts + " get no answer from it; all others do"
		}
	}
	return []Finding{out}
}

// again is how the interface is set up once more.
func again(c Interface) string {
	switch {
	case c.Stopped != "":
		return c.Stopped
	case c.AgentPID != 0 && c.Outdated:
		return fmt.Sprintf("process %d uses an older configuration: systemctl restart %s", c.AgentPID, c.unit())
	case c.AgentPID != 0:
		return fmt.Sprintf("process %d should restore it within seconds; if not: systemctl restart %s", c.AgentPID, c.unit())
	}
	if c.Unit != "" {
		return c.start()
	}
	return "ec2net up " + c.Name
}

// checkValues passes on what metadata.Interface.Problems says: keys whose values were not believed.
func checkValues(_ Facts, c Interface) []Finding {
	if len(c.Problems) == 0 {
		return nil
	}
	return []Finding{{
		ID: "values", Verdict: Warn, Interface: c.Name, Summary: "the metadata gives an invalid value for it, which is ignored",
		Evidence: []string{errors.Join(c.Problems...).Error()}, Remedy: "if it lasts, report it to the cloud",
	}}
}

// checkLeftOut: something of the interface cannot be set up as things are.
func checkLeftOut(_ Facts, c Interface) []Finding {
	if c.Refused == nil {
		return nil
	}
	return []Finding{{
		ID: "left-out", Verdict: Warn, Interface: c.Name, Summary: "part of it cannot be set up",
		Evidence: strings.Split(c.Refused.Error(), "\n"), Remedy: "fix the cause shown above; everything else is set up",
	}}
}

// checkManager finds another program that configures the interface (dhcp.FindOwner) while ec2net does, too: both would
// give it a lease and remove each other's routes.
func checkManager(_ Facts, c Interface) []Finding {
	if c.Owner == nil || !c.SetUp || (c.Leasing != "native" && c.Leasing != "off") {
		return nil
	}
	return []Finding{{
		ID: "manager", Verdict: Warn, Interface: c.Name, Summary: c.Owner.Program + " and ec2net both configure it",
		Evidence: []string{c.Owner.Why},
		Remedy:   fmt.Sprintf("keep %s off the interface, or let it have the lease: systemctl restart %s", c.Owner.Program, c.unit()),
	}}
}

// checkLink fails on a link that is administratively down (IFF_UP).
func checkLink(_ Facts, c Interface) []Finding {
	if c.Have.Link.Up {
		return nil
	}
	return []Finding{{
		ID: "link", Verdict: Fail, Interface: c.Name, Summary: "it is down: none of its addresses answers",
		Remedy: "ip link set " + c.Name + " up; then " + again(c),
	}}
}

// checkCarrier fails on a link that is up and has no signal (IFF_LOWER_UP of netdevice(7)).
func checkCarrier(_ Facts, c Interface) []Finding {
	if c.Have.Carrier || !c.Have.Link.Up {
		return nil
	}
	return []Finding{{
		ID: "carrier", Verdict: Fail, Interface: c.Name, Summary: "it has no carrier",
		Remedy: "look at the interface in the cloud: is it attached? see dmesg for its driver",
	}}
}

// checkVF: where a virtual function stands behind an interface, both have one MAC address, and only the interface may
// have addresses.
func checkVF(f Facts, c Interface) (out []Finding) {
	for _, l := range f.FIB.Links {
		if !l.standsBehind(c) {
			continue
		}
		if has := f.FIB.addressesOf(l.Index); len(has) > 0 {
			out = append(out, Finding{
				ID: "vf", Verdict: Fail, Interface: c.Name, Summary: fmt.Sprintf("%s has the same MAC address and has addresses, although it is the virtual function behind the interface", l.Name),
				Evidence: []string{fmt.Sprintf("%s: %v", l.Name, has)}, Remedy: "ip addr flush dev " + l.Name + "; keep your network manager off it",
			})
		}
	}
	return out
}

// standsBehind: the device is another one with the interface's MAC address, and none of those that are made on top of
// an interface and take its address over.
func (l Link) standsBehind(c Interface) bool {
	if l.MAC != c.MAC || l.Index == c.Index || c.MAC == (metadata.MAC{}) {
		return false
	}
	return !slices.Contains([]string{"vlan", "macvlan", "bridge", "bond"}, l.Kind)
}

// addressesOf are a device's own addresses but for link-local ones.
func (f FIB) addressesOf(index int) (out []netip.Addr) {
	for _, r := range f.Routes {
		if r.localOf(index) && r.Dst.IsSingleIP() && !r.Dst.Addr().IsLinkLocalUnicast() {
			out = append(out, r.Dst.Addr())
		}
	}
	return out
}

// checkIPv6 warns where addresses of the cloud's cannot be set, because of net.ipv6.conf.IF.disable_ipv6
// (Documentation/networking/ip-sysctl.rst).
func checkIPv6(_ Facts, c Interface) []Finding {
	if !c.Have.NoIPv6 || len(c.Granted.Addrs6.Value) == 0 {
		return nil
	}
	return []Finding{{
		ID: "ipv6", Verdict: Warn, Interface: c.Name, Summary: "the cloud grants it IPv6 addresses, but IPv6 is switched off on it", about: c.Granted.Addrs6.Value,
		Evidence: []string{fmt.Sprintf("%v; disable_ipv6 is 1", c.Granted.Addrs6.Value)},
		Remedy:   fmt.Sprintf("sysctl -w net.ipv6.conf.%s.disable_ipv6=0", c.Name),
	}}
}

// checkARP looks at what decides whether the interface answers ARP. Two interfaces in one subnet answer for each
// other's addresses by default; a cloud's fabric does not go by that, so it is no finding there.
func checkARP(f Facts, c Interface) []Finding {
	conf := f.FIB.link(c.Index).Conf
	switch {
	case len(c.Granted.Addrs4.Value) == 0:
		return nil
	case conf.ARPIgnore >= 3:
		return []Finding{arp(c, Fail, "it answers no ARP for its addresses", fmt.Sprintf("arp_ignore is %d", conf.ARPIgnore),
			"sysctl -w net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf."+c.Name+".arp_ignore=0")}
	case conf.ARPIgnore == 2 && len(c.Granted.Addrs4.Value) > 1:
		return []Finding{arp(c, Fail, "it answers no ARP for its secondary addresses, which are /32", "arp_ignore is 2",
			"sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf."+c.Name+".arp_ignore=1")}
	}
	if f.Cloud.Traits().FabricARP {
		return nil
	}
	other, shared := f.neighbour(c)
	if !shared || conf.ARPIgnore != 0 || conf.ARPFilter != 0 {
		return nil
	}
	return []Finding{arp(c, Warn, "it answers ARP for "+other.Name+", which is in the same subnet (ARP flux)", "arp_ignore and arp_filter are 0",
		"sysctl -w net.ipv4.conf.all.arp_ignore=1")}
}

func arp(c Interface, v Verdict, summary, evidence, remedy string) Finding {
	return Finding{ID: "arp", Verdict: v, Interface: c.Name, Summary: summary, Evidence: []string{evidence}, Remedy: remedy}
}

// neighbour is another interface in one of the interface's IPv4 subnets.
func (f Facts) neighbour(c Interface) (Interface, bool) {
	for _, o := range f.Interfaces {
		for _, p := range o.Granted.Subnets4.Value {
			for _, q := range c.Granted.Subnets4.Value {
				if o.Index != c.Index && p == q {
					return o, true
				}
			}
		}
	}
	return Interface{}, false
}
