package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// NetworkManager adds 20000 to the metric of a default route whose connectivity it doubts. The host's own
// traffic leaves by the primary all the same, whether the penalty was there before ec2net or comes later.
func TestPenalisedPrimary(t *testing.T) {
	t.Parallel()
	for _, six := range []bool{false, true} {
		name, flag, to, proto := "IPv4", "-4", lab.ClientIP, unix.IPPROTO_ICMP
		if six {
			name, flag, to, proto = "IPv6", "-6", lab.ClientIP6, unix.IPPROTO_ICMPV6
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, dual(lab.Config{RPFilter: 1}))
			before, via := "0", "via 10.0.0.1"
			if six {
				route := ip(t, c, "-6 route show default dev eth0")
				before, via = wordAfter(route, "metric "), "via "+wordAfter(route, "via ")
			}
			metric := func(from, to string) {
				t.Helper()
				ip(t, c, flag+" route add default "+via+" dev eth0 metric "+to)
				ip(t, c, flag+" route del default "+via+" dev eth0 metric "+from)
			}
			byFirst := func() bool { return strings.Contains(ip(t, c, flag+" route get "+to.String()), "dev eth0") }
			defaults := func() string { return ip(t, c, flag+" route show default") }
			metric(before, "20100")
			out, status := on(t, c, "ec2net", "--cloud", "ec2", "up", "eth1")
			if status != exitPartial || !strings.Contains(out, "would come before the host's own default route") {
				t.Errorf("up eth1 beside a penalised primary: exit status %d\n%s", status, out)
			}
			if !byFirst() {
				t.Errorf("the host leaves by eth1:\n%s", defaults())
			}
			first, second := keep(t, c, "eth0"), keep(t, c, "eth1")
			sound := func(when, wanted string) {
				t.Helper()
				eventually(t, hang, when, func() bool {
					d := defaults()
					return strings.Contains(d, "metric 9999") == (wanted == "copied") && strings.Contains(d, "metric 10001")
				})
				if !byFirst() {
					t.Errorf("%s: the host leaves by eth1:\n%s", when, defaults())
				}
			}
			sound("penalised before", "copied")
			metric("20100", "100")
			sound("the penalty is gone", "not copied")
			wire, err := c.Capture("eth1")
			must(t, err)
			metric("100", "20100")
			sound("penalised at run time", "copied")
			reaches(t, c.Instance(), to, lab.Ping{})
			if got := wire.Packets(lab.FromInterface, lab.To(to), lab.Proto(proto)); len(got) != 0 {
				t.Errorf("%d packets left by eth1", len(got))
			}
			first.stop(t)
			second.stop(t)
			ec2net(t, c, exitOK, "down", "eth1")
			ec2net(t, c, exitOK, "down", "eth0")
		})
	}
}
