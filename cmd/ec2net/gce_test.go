package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// gceCloud is an instance in two of Google's networks, as its images have it: strict rp_filter.
func gceCloud(t *testing.T, change func(*lab.Config)) *lab.Cloud {
	t.Helper()
	cfg := lab.GCE.Machine()
	cfg.RPFilter = 1
	change(&cfg)
	return cloud(t, cfg)
}

// Whatever rp_filter says, each address is answered by its interface, for the Internet and for its own network, and IPv6
// leaves by the gateway that the metadata names, since no router advertises itself for everything. The doctor has nothing
// to say. What is granted later is answered, and what goes is not.
func TestGCEFollows(t *testing.T) {
	t.Parallel()
	for mode := range 3 {
		t.Run(string(rune('0'+mode)), func(t *testing.T) {
			t.Parallel()
			c := gceCloud(t, func(cfg *lab.Config) {
				cfg.RPFilter = mode
				cfg.Interfaces[1].Addrs6 = []netip.Addr{addr("2001:db8:9ce:2:0:1::")}
			})
			configure(t, c, soon)
			near, err := c.AddPeer("near", addr("10.20.0.30"))
			must(t, err)
			for _, iface := range []string{"eth0", "eth1"} {
				keep(t, c, iface)
			}
			answers(t, c, lab.EIP1)
			answers(t, c, lab.EIP2)
			answers(t, c, addr("2001:db8:9ce:2:0:1::"))
			reaches(t, near, addr("10.20.0.37"), lab.Ping{})
			public := netip.MustParsePrefix("203.0.113.80/32")
			must(t, c.ForwardTo("eth1", public, true))
			must(t, c.Assign("eth1", addr("10.20.64.7")))
			answersWithin(t, c, hang, public.Addr())
			reaches(t, near, addr("10.20.64.7"), lab.Ping{})
			if found, status := diagnosis(t, c); status != exitOK {
				t.Errorf("the doctor finds, with status %d:\n%s", status, textOf(t, found))
			}
			must(t, c.ForwardTo("eth1", public, false))
			eventually(t, hang, "the forwarded address goes", func() bool { return !strings.Contains(ip(t, c, "rule"), "203.0.113.80") })
			answers(t, c, lab.EIP2)
		})
	}
}

// A host that nobody configures gets its lease and its default route from ec2net, by the gateway, which is not in the
// lease's subnet of one address.
func TestGCEHostThatNobodyConfigures(t *testing.T) {
	t.Parallel()
	c := gceCloud(t, func(*lab.Config) {})
	for _, iface := range []string{"eth0", "eth1"} {
		strip(t, c, iface)
	}
	second, first := start(t, c, "eth1"), start(t, c, "eth0")
	first.notify.await(t, "READY=1")
	second.notify.await(t, "READY=1")
	answersWithin(t, c, hang, lab.EIP1)
	answersWithin(t, c, hang, lab.EIP2)
	says(t, ip(t, c, "-N route show default"), "default via 10.10.0.1 dev eth0 proto 236 src 10.10.0.29 metric 512")
	if got := addresses(t, c, "eth0"); got != "10.10.0.29" {
		t.Errorf("eth0 has %s", got)
	}
	first.stop(t)
	second.stop(t)
}

// Google's agent makes aliases and forwarded addresses local with routes of protocol 66, before ec2net or after it. Nothing
// of that goes, and nothing of it is missed where it is not.
func TestGCEGuestAgent(t *testing.T) {
	t.Parallel()
	c := gceCloud(t, func(*lab.Config) {})
	must(t, c.ForwardTo("eth1", netip.MustParsePrefix("203.0.113.80/32"), true))
	must(t, c.Assign("eth1", addr("10.20.64.7")))
	ip(t, c, "link set eth1 up")
	ip(t, c, "addr add 10.20.0.37/32 dev eth1")
	ip(t, c, "route add local 203.0.113.80 dev eth1 scope host proto 66")
	ec2net(t, c, exitOK, "up", "eth1")
	ec2net(t, c, exitOK, "up", "eth0")
	ip(t, c, "route add local 10.20.64.7 dev eth1 scope host proto 66")
	theirs := ip(t, c, "route show table local proto 66")
	if plan := ec2net(t, c, exitOK, "plan", "eth1"); plan != "" {
		t.Errorf("plan beside the agent's routes:\n%s", plan)
	}
	answers(t, c, addr("203.0.113.80"))
	ec2net(t, c, exitOK, "down", "eth1")
	if got := ip(t, c, "route show table local proto 66"); got != theirs {
		t.Errorf("the agent's routes were\n%s and are\n%s", theirs, got)
	}
}

// An instance in two networks, once: nic1 is silent before, and answers after for its address, its aliases, and what load
// balancers and target instances send to it; the second plan is empty, and `down` leaves nothing.
func TestGCEUpPlanDown(t *testing.T) {
	t.Parallel()
	c := gceCloud(t, func(cfg *lab.Config) {
		cfg.Interfaces[1].Addrs6 = []netip.Addr{addr("2001:db8:9ce:2:0:1::")}
		cfg.Interfaces[1].Targets = []netip.Addr{addr("203.0.113.99")}
	})
	must(t, c.Assign("eth1", addr("10.20.0.38"), addr("10.20.64.7")))
	must(t, c.AssignPrefix("eth1", netip.MustParsePrefix("10.20.65.0/24")))
	must(t, c.ForwardTo("eth1", netip.MustParsePrefix("203.0.113.80/32"), true))
	silent(t, c, lab.EIP2)
	silent(t, c, addr("203.0.113.80"))
	before := world(t, c)
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	for _, iface := range []string{"eth0", "eth1"} {
		if plan := ec2net(t, c, exitOK, "plan", iface); plan != "" {
			t.Errorf("%s: plan after up:\n%s", iface, plan)
		}
	}
	for _, a := range []netip.Addr{lab.EIP1, lab.EIP2, addr("203.0.113.80"), addr("203.0.113.99")} {
		answers(t, c, a)
	}
	says(t, ip(t, c, "rule"), "from 10.20.0.37 lookup 10001", "from 10.20.65.0/24 lookup 10001", "from 203.0.113.80 lookup 10001", "from 10.10.0.29 lookup 10000")
	says(t, ip(t, c, "route show table 10001"), "10.20.0.1 ", "10.20.0.0/20 via 10.20.0.1", "default via 10.20.0.1")
	if routes := ip(t, c, "route show table 10001"); strings.Contains(routes, "10.20.0.0/20 dev") {
		t.Errorf("the subnet is on the link:\n%s", routes)
	}
	says(t, ec2net(t, c, exitOK, "status"), "eth0: primary interface", "eth1: 10.20.0.37 and 1 more, table 10001", "drift       none")
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c, exitOK, "down", iface)
	}
	unchanged(t, c, before, "up and down")
}
