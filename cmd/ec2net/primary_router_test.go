package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// The primary answers by itself also when main has lost its default route, whoever took it away: the
// router is still there. Nothing of its answers may leave by the other interface meanwhile.
func TestPrimaryWithoutDefaultRoute(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, lose string }{
		{"route deleted", "ip route del default dev eth0"},
		{"link down and up", "ip link set eth0 down && ip link set eth0 up"},
		{"address taken and given back", "ip addr del 10.0.0.29/24 dev eth0 && ip addr add 10.0.0.29/24 dev eth0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{RPFilter: 1})
			must(t, c.Assign("eth0", addr("10.0.0.5")))
			must(t, c.AssociateEIP(addr("10.0.0.5"), addr("203.0.113.5")))
			first := keep(t, c, "eth0")
			second := keep(t, c, "eth1")
			for _, to := range []string{lab.EIP1.String(), "203.0.113.5"} {
				answersWithin(t, c, hang, addr(to))
			}
			wire, err := c.Capture("eth1")
			must(t, err)
			shell(t, c.Instance(), tt.lose)
			sound := func(when string) {
				t.Helper()
				for _, to := range []string{lab.EIP1.String(), "203.0.113.5"} {
					answersWithin(t, c, hang, addr(to))
				}
				eventually(t, hang, "nothing to do "+when, func() bool {
					out, status := on(t, c, "ec2net", "--cloud", "ec2", "plan", "eth0")
					return status == exitOK && out == ""
				})
			}
			sound("without a default route in main")
			if tt.name == "route deleted" {
				if got := wire.Packets(lab.FromInterface, lab.To(lab.ClientIP), lab.Proto(unix.IPPROTO_ICMP)); len(got) != 0 {
					t.Errorf("%d answers left by eth1: %v", len(got), got)
				}
			}
			first.stop(t)
			first = keep(t, c, "eth0")
			sound("after a restart")
			answers(t, c, lab.EIP2)
			ip(t, c, "route add default via 10.0.0.1 dev eth0 onlink")
			sound("with the route back")
			first.stop(t)
			second.stop(t)
		})
	}
}

// The secondary addresses of the primary go with its primary address, and come back with it: a network manager that
// starts meanwhile finds an interface that nobody has configured. Nothing is lost by it, as none of them is
// reached without, and a connection lives through a restart of a DHCP client.
func TestSecondariesFollowThePrimaryAddress(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{RPFilter: 1})
	must(t, c.Assign("eth0", addr("10.0.0.5")))
	must(t, c.AssociateEIP(addr("10.0.0.5"), addr("203.0.113.5")))
	second, first := keep(t, c, "eth1"), keep(t, c, "eth0")
	answersWithin(t, c, hang, addr("203.0.113.5"))
	end := session(t, c, "10.0.0.5", addr("203.0.113.5"))
	bare := func() bool { return !strings.Contains(ip(t, c, "-4 -o addr show dev eth0"), "inet ") }
	for range 3 {
		ip(t, c, "addr del 10.0.0.29/24 dev eth0")
		eventually(t, hang, "no address on eth0", bare)
		answers(t, c, lab.EIP2)
		shell(t, c.Instance(), "ip addr add 10.0.0.29/24 dev eth0", "ip route replace default via 10.0.0.1 dev eth0")
		answersWithin(t, c, hang, addr("203.0.113.5"))
		answersWithin(t, c, hang, lab.EIP1)
	}
	end()
	ip(t, c, "addr del 10.0.0.29/24 dev eth0")
	eventually(t, hang, "no address on eth0", bare)
	first.logs(t, "does not have its primary address 10.0.0.29 yet", "10.0.0.5 waits for it")
	first.stop(t)
	if out, status := on(t, c, "ec2net", "--cloud", "ec2", "up", "eth0"); status != exitPartial || !bare() {
		t.Errorf("up without the primary address: exit status %d\n%s", status, out)
	}
	second.stop(t)
}
