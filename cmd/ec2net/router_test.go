package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// A lease of one address names a router outside of it, which the metadata's subnet may hold; the static routes of a
// lease hold for what comes from the interface's own addresses and what the host sends, also by a router outside of the
// subnet.
func TestLeaseOfASingleAddress(t *testing.T) {
	t.Parallel()
	single := 32
	// 10.0.3.1 on the link, 10.9.0.0/16 by it, 10.8.0.0/16 by the subnet's, and the default by that
	routes := []byte{32, 10, 0, 3, 1, 0, 0, 0, 0, 16, 10, 9, 10, 0, 3, 1, 16, 10, 8, 10, 0, 2, 1, 0, 10, 0, 2, 1}
	for _, tt := range []struct {
		name        string
		fault       lab.DHCPFault
		table, main []string
	}{
		{"option 3", lab.DHCPFault{Mask: &single}, nil, nil},
		{"option 121", lab.DHCPFault{Mask: &single, Options: map[uint8][]byte{121: routes}},
			[]string{"10.0.3.1 dev eth1 proto 236 scope link", "10.9.0.0/16 via 10.0.3.1 dev eth1 proto 236 onlink", "10.8.0.0/16 via 10.0.2.1 dev eth1 proto 236"},
			[]string{"10.0.3.1 dev eth1 proto 236 scope link src 10.0.2.37 metric 10001", "10.9.0.0/16 via 10.0.3.1 dev eth1 proto 236 src 10.0.2.37 metric 10001 onlink",
				"10.8.0.0/16 via 10.0.2.1 dev eth1 proto 236 src 10.0.2.37 metric 10001"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{RPFilter: 1})
			spoilDHCP(t, c, tt.fault)
			ec2net(t, c, exitOK, "up", "eth1")
			answers(t, c, lab.EIP2)
			table := ip(t, c, "route show table 10001")
			for _, line := range append(tt.table, "default via 10.0.2.1 dev eth1 proto 236 src 10.0.2.37", "10.0.2.0/24 dev eth1 proto 236 scope link src 10.0.2.37") {
				holds(t, table, line)
			}
			main := ip(t, c, "route show table main")
			for _, line := range tt.main {
				holds(t, main, line)
			}
			settledWell(t, c)
		})
	}
}

// A lease's router outside of the subnet that the metadata names is not used, since the cloud's own is known. That is
// said wherever one looks.
func TestRouterOutside(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{RPFilter: 1})
	spoilDHCP(t, c, lab.DHCPFault{Router: addr("10.0.3.1")})
	const why = "ignored the lease's router 10.0.3.1: it is outside the subnet 10.0.2.0/24, whose router is 10.0.2.1 according to the cloud"
	says(t, ec2net(t, c, exitPartial, "up", "eth1"), why)
	ec2net(t, c, exitOK, "up", "eth0")
	answers(t, c, lab.EIP2)
	holds(t, ip(t, c, "route show table 10001"), "default via 10.0.2.1 dev eth1 proto 236 src 10.0.2.37")
	says(t, statusOf1(t, c, "eth1"), "left out    "+why)
	says(t, ec2net(t, c, exitOK, "status", "--json"), why)
	findings, status := diagnosis(t, c)
	if roots(findings) != "warn left-out eth1" || status != exitOK {
		t.Errorf("status %d\n%s", status, report(t, c))
	}
	says(t, strings.Join(strings.Fields(report(t, c)), " "), why)
}

// settledWell: nothing is to do, by all that look.
func settledWell(t *testing.T, c *lab.Cloud) {
	t.Helper()
	if out := ec2net(t, c, exitOK, "plan", "eth1"); out != "" {
		t.Errorf("after up there is something to do:\n%s", out)
	}
	says(t, statusOf1(t, c, "eth1"), "drift       none")
	ec2net(t, c, exitOK, "up", "eth0")
	if findings, status := diagnosis(t, c); roots(findings) != "" || status != exitOK {
		t.Errorf("status %d\n%s", status, report(t, c))
	}
}

// Without the metadata, a /32 and a router that some program, or a lease, brought are all that is known.
func TestDegradedOnASingleAddress(t *testing.T) {
	t.Parallel()
	single := 32
	for name, set := range map[string][]string{
		"from its lease": nil,
		"by another program": {"ip link set eth1 up", "ip addr add 10.0.2.37/32 dev eth1", "ip route add 10.0.2.1 dev eth1",
			"ip route add default via 10.0.2.1 dev eth1 metric 300"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{RPFilter: 1})
			spoilDHCP(t, c, lab.DHCPFault{Mask: &single})
			heal := spoil(t, c, lab.Fault{Status: 403})
			shell(t, c.Instance(), set...)
			says(t, ec2net(t, c, exitPartial, "up", "eth1"), "partly set up: degraded: 10.0.2.37/32 ")
			answers(t, c, lab.EIP2)
			holds(t, ip(t, c, "route show table "+leaseTable(t, c, "eth1")), "default via 10.0.2.1 dev eth1")
			says(t, statusOf1(t, c, "eth1"), "drift       none")
			heal()
			says(t, ec2net(t, c, exitOK, "up", "eth1"), "ready: 10.0.2.37, table 10001")
			answers(t, c, lab.EIP2)
		})
	}
}
