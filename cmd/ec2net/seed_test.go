package main

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// Seed 002, to the letter: two elastic IPs, the second one dead however rp_filter stands; with
// ec2net both answer, and no sysctl was changed.
func TestSeed002(t *testing.T) {
	t.Parallel()
	for rp := range 3 {
		t.Run(fmt.Sprintf("rp_filter %d", rp), func(t *testing.T) {
			c := cloud(t, lab.Config{RPFilter: rp})
			eth0 := ip(t, c, "-4 -o addr show dev eth0") + ip(t, c, "route show dev eth0")
			sysctls, _ := on(t, c, "sh", "-c", "cat /proc/sys/net/ipv4/conf/*/*")
			answers(t, c, lab.EIP1)
			silent(t, c, lab.EIP2)

			ec2net(t, c, exitOK, "up", "eth1")
			answers(t, c, lab.EIP1)
			answers(t, c, lab.EIP2)
			holds(t, ip(t, c, "rule"), "from 10.0.2.37 lookup 10001")
			table := ip(t, c, "route show table 10001")
			holds(t, table, "default via 10.0.2.1 dev eth1")
			holds(t, table, "10.0.2.0/24 dev eth1 scope link src 10.0.2.37")
			main := ip(t, c, "route show table main")
			holds(t, main, "default via 10.0.2.1 dev eth1 metric 10001")
			holds(t, main, "10.0.2.0/24 dev eth1 scope link src 10.0.2.37")
			if d := cmp.Diff(eth0, ip(t, c, "-4 -o addr show dev eth0")+ip(t, c, "route show dev eth0")); d != "" {
				t.Errorf("eth0 was touched:\n%s", d)
			}
			if now, _ := on(t, c, "sh", "-c", "cat /proc/sys/net/ipv4/conf/*/*"); now != sysctls {
				t.Error("a sysctl was changed")
			}
			ec2net(t, c, exitOK, "down", "eth1")
			answers(t, c, lab.EIP1)
		})
	}
}

// seed000 is the instance of seed 000.
func seed000() lab.Config {
	prefix := netip.MustParsePrefix
	return lab.Config{
		VPC:     []netip.Prefix{prefix("10.242.0.0/16"), prefix("100.64.0.0/16")},
		Subnets: []lab.Subnet{{ID: "subnet-a", CIDR: prefix("10.242.81.0/25")}, {ID: "subnet-b", CIDR: prefix("100.64.0.0/24")}},
		Interfaces: []lab.Interface{
			{Name: "eth0", Addrs4: []netip.Addr{addr("10.242.81.39")}, EIPs: map[netip.Addr]netip.Addr{addr("10.242.81.39"): lab.EIP1}},
			{Name: "eth1", Addrs4: []netip.Addr{addr("100.64.0.130")}, EIPs: map[netip.Addr]netip.Addr{addr("100.64.0.130"): lab.EIP2}},
		},
	}
}

func TestSeed000(t *testing.T) {
	t.Parallel()
	c := cloud(t, seed000())
	silent(t, c, lab.EIP2)
	ec2net(t, c, exitOK, "up", "eth1")
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	holds(t, ip(t, c, "rule"), "from 100.64.0.130 lookup 10001")
	table := ip(t, c, "route show table 10001")
	holds(t, table, "default via 100.64.0.1 dev eth1")
	holds(t, table, "100.64.0.0/24 dev eth1 scope link src 100.64.0.130")
	main := ip(t, c, "route show table main")
	for _, line := range []string{
		"default via 10.242.81.1 dev eth0",
		"default via 100.64.0.1 dev eth1 metric 10001",
		"10.242.81.0/25 dev eth0 proto kernel scope link src 10.242.81.39",
		"100.64.0.0/24 dev eth1 scope link src 100.64.0.130",
	} {
		holds(t, main, line)
	}
}
