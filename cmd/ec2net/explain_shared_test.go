package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// An address that two interfaces have comes in by the one that the cloud grants it to, whatever the kernel's order is.
func TestExplainSharedAddress(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0(), lab.Eth1(), {Name: "eth2", Subnet: "subnet-c", Addrs4: []netip.Addr{addr("10.0.2.38"), addr("10.0.2.101")}}}})
	for _, iface := range []string{"eth1", "eth2", "eth0"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	shell(t, c.Instance(), "ip addr add 10.0.2.101/24 dev eth1", "ip addr add 192.0.2.9/32 dev eth0", "ip addr add 192.0.2.9/32 dev eth1",
		"ip route del local 10.0.2.101 dev eth2 table local", "ip route append local 10.0.2.101 dev eth2 table local proto kernel scope host src 10.0.2.101")
	e := explain(t, c, exitOK, "198.51.100.146", "10.0.2.101")
	if e.There.In != "eth2" || e.Back == nil || e.Back.By[0] != "eth2" {
		t.Errorf("in by %s:\n%+v", e.There.In, e)
	}
	out := strings.Join(strings.Fields(ec2net(t, c, exitOK, "explain", "198.51.100.146", "10.0.2.101")), " ")
	says(t, out, "Note: 10.0.2.101 is an address of eth1, too; this assumes that the packet comes in by eth2, to which the cloud grants it, according to ec2net's rule (use --in for another)")
	if e := explain(t, c, exitOK, "--in", "eth2", "198.51.100.146", "10.0.2.101"); len(e.Notes) != 0 {
		t.Errorf("asked for by name: %q", e.Notes)
	}
	out, _ = on(t, c, "ec2net", "explain", "198.51.100.146", "192.0.2.9")
	says(t, strings.Join(strings.Fields(out), " "), "the first that the kernel lists")
}
