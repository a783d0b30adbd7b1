package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// networkd gives the default routes of all leases one metric. What the host sends by itself leaves by the
// primary, as seen on the wire: also after its link was down, when its own route is the last of the equals.
func TestEqualMetrics(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{RPFilter: 1})
	primary := func() {
		ip(t, c, "route replace 10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.29")
		ip(t, c, "route append default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 1024")
	}
	const second = "default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 1024"
	ip(t, c, "route del default")
	primary()
	ip(t, c, "link set eth1 up")
	ip(t, c, "addr add 10.0.2.37/24 dev eth1")
	ip(t, c, "route append "+second)
	keep(t, c, "eth1").notify.await(t, "STATUS=10.0.2.37")
	k := keep(t, c, "eth0")
	wire, err := c.Capture("eth1")
	must(t, err)
	ahead := func() bool { return strings.Contains(ip(t, c, "route show default dev eth0"), "metric 1023") }
	sends := func(when string) {
		t.Helper()
		eventually(t, hang, "the primary's default route "+when, ahead)
		before := len(wire.Packets(lab.FromInterface, lab.To(lab.ClientIP), lab.Proto(unix.IPPROTO_ICMP)))
		for range 5 {
			_, err := c.Instance().Ping(t.Context(), lab.ClientIP, single)
			must(t, err)
		}
		if n := len(wire.Packets(lab.FromInterface, lab.To(lab.ClientIP), lab.Proto(unix.IPPROTO_ICMP))) - before; n != 0 {
			t.Errorf("%s %d packets left by eth1", when, n)
		}
		settled(t, c, []string{"eth0", "eth1"})
		if out := ec2net(t, c, exitOK, "plan", "eth0"); out != "" {
			t.Errorf("%s: plan:\n%s", when, out)
		}
	}
	sends("at first")
	ip(t, c, "link set eth0 down")
	eventually(t, hang, "the host leaves by eth1", func() bool { return strings.Contains(ip(t, c, "route get "+lab.ClientIP.String()), "eth1") })
	ip(t, c, "link set eth0 up")
	primary()
	sends("when it is back")
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	if out := ec2net(t, c, exitOK, "doctor"); strings.Contains(out, "main-default") {
		t.Errorf("doctor:\n%s", out)
	}

	ip(t, c, "route del "+second)
	eventually(t, hang, "nothing written without a tie", func() bool { return !ahead() })
	ip(t, c, "route append "+second)
	sends("when there is a tie again")
	ec2net(t, c, exitOK, "down", "eth0")
	if out := ip(t, c, "route show default dev eth0"); ahead() || strings.Count(out, "metric 1024") != 1 {
		t.Errorf("after down:\n%s", out)
	}
	k.end(t)
	if strings.Contains(k.log.String(), "rolled back") || strings.Contains(k.log.String(), "default route would go") {
		t.Errorf("a change was taken for a loss:\n%s", k.log)
	}
}
