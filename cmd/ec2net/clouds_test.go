package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// Clouds that several files of tests begin with.

// full is an interface with something in every key.
func full(t *testing.T) *lab.Cloud {
	t.Helper()
	eth1 := lab.Eth1()
	eth1.Addrs4 = append(eth1.Addrs4, addr("10.0.2.40"), addr("10.0.2.4"))
	eth1.Addrs6 = []netip.Addr{addr("2001:db8:ec2:2::37"), addr("2001:db8:ec2:2::40")}
	eth1.Prefixes4 = []netip.Prefix{netip.MustParsePrefix("10.0.2.208/28")}
	eth1.Prefixes6 = []netip.Prefix{netip.MustParsePrefix("2001:db8:ec2:2:1::/80")}
	return hostile(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0(), eth1}})
}

// dual is seed 002 with IPv6 addresses on both interfaces.
func dual(cfg lab.Config) lab.Config {
	eth0, eth1 := lab.Eth0(), lab.Eth1()
	eth0.Addrs6, eth1.Addrs6 = []netip.Addr{eth0v6}, in6
	cfg.Interfaces = []lab.Interface{eth0, eth1}
	return cfg
}

// egressCloud has the primary eth0 and, in subnets of their own, eth2 and eth3, in both families.
func egressCloud(t *testing.T) *lab.Cloud {
	t.Helper()
	prefix := netip.MustParsePrefix
	iface := func(name, four, six string, eip netip.Addr) lab.Interface {
		return lab.Interface{Name: name, Addrs4: []netip.Addr{addr(four)}, Addrs6: []netip.Addr{addr(six)}, EIPs: map[netip.Addr]netip.Addr{addr(four): eip}}
	}
	c := hostile(t, lab.Config{
		RPFilter: 1,
		Subnets: []lab.Subnet{
			{ID: "subnet-a", CIDR: prefix("10.0.0.0/24"), IPv6: prefix("2001:db8:ec2::/64")},
			{ID: "subnet-b", CIDR: prefix("10.0.2.0/24"), IPv6: prefix("2001:db8:ec2:2::/64")},
			{ID: "subnet-c", CIDR: prefix("10.0.3.0/24"), IPv6: prefix("2001:db8:ec2:3::/64")},
		},
		Interfaces: []lab.Interface{
			iface("eth0", "10.0.0.29", "2001:db8:ec2::29", lab.EIP1),
			iface("eth2", "10.0.2.37", "2001:db8:ec2:2::37", egressEIP2),
			iface("eth3", "10.0.3.37", "2001:db8:ec2:3::37", egressEIP3),
		},
	})
	eventually(t, hang, "the first interface's addresses", func() bool { // in the kernel's own time
		return strings.Contains(ip(t, c, "-6 route show table local"), "local 2001:db8:ec2::29 ")
	})
	return c
}

// azureCloud is seed 001's machine: eth1 is the primary, eth2 and eth3 are beside it.
func azureCloud(t *testing.T, cfg lab.Config) *lab.Cloud {
	t.Helper()
	cfg.Cloud = lab.Azure
	return cloud(t, cfg)
}

// unconfigured is a cloud whose instance nobody has configured: no interface is up, and the metadata is reached by a
// lease alone.
func unconfigured(t *testing.T, cfg lab.Config) *lab.Cloud {
	t.Helper()
	c := cloud(t, cfg)
	for _, iface := range c.Interfaces() {
		strip(t, c, iface.Name)
	}
	return c
}
