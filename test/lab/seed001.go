package lab

import "net/netip"

// Seed001 is the virtual machine of seed 001, as far as its author shows it: three interfaces in three subnets
// of one virtual network, public addresses for the first two, IP forwarding on each. The primary's address
// and the third subnet are the author's; the other subnets are what is left of the network.
func Seed001() Config {
	eip := func(k Interface, public netip.Addr) Interface {
		k.EIPs = map[netip.Addr]netip.Addr{k.Addrs4[0]: public}
		return k
	}
	iface := func(name, addr string) Interface {
		return Interface{Name: name, Addrs4: []netip.Addr{netip.MustParseAddr(addr)}, Forwarding: true}
	}
	return Config{Cloud: Azure, Interfaces: []Interface{
		eip(iface("eth1", "172.22.5.68"), EIP1), eip(iface("eth2", "172.22.5.4"), EIP2), iface("eth3", "172.22.5.132"),
	}}
}

// azureVNet is seed 001's network, and an IPv6 block beside it.
func azureVNet() (blocks []netip.Prefix, subnets []Subnet) {
	p := netip.MustParsePrefix
	return []netip.Prefix{p("172.22.5.0/24"), p("2001:db8:a2e::/56")}, []Subnet{
		{ID: "subnet1", CIDR: p("172.22.5.64/26"), IPv6: p("2001:db8:a2e:1::/64")},
		{ID: "subnet2", CIDR: p("172.22.5.0/26"), IPv6: p("2001:db8:a2e:2::/64")},
		{ID: "subnet3", CIDR: p("172.22.5.128/26"), IPv6: p("2001:db8:a2e:3::/64")},
	}
}
