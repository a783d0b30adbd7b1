package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// twoNetworkCards has two interfaces with device number 1, as instances with several network cards have.
func twoNetworkCards(t *testing.T) *lab.Cloud {
	t.Helper()
	eth1 := lab.Eth1()
	eth1.DeviceNumber, eth1.Addrs6 = 1, []netip.Addr{addr("2001:db8:ec2:2::37")}
	eth2 := lab.Interface{
		Name: "eth2", NetworkCard: 1, DeviceNumber: 1, Addrs4: []netip.Addr{addr("10.0.2.60")}, Addrs6: []netip.Addr{addr("2001:db8:ec2:2::60")},
		EIPs: map[netip.Addr]netip.Addr{addr("10.0.2.60"): addr("203.0.113.60")},
	}
	return hostile(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0(), eth1, eth2}})
}

// late has the metadata not publish yet on which network card eth2 is.
func late(t *testing.T, c *lab.Cloud) (heal func()) {
	t.Helper()
	return spoil(t, c, lab.Fault{Interface: "eth2", Path: "network-card-index", Absent: true})
}

// both want an answer of each address of the two interfaces, in both families.
func both(t *testing.T, c *lab.Cloud) {
	t.Helper()
	for _, a := range []netip.Addr{lab.EIP2, addr("203.0.113.60"), addr("2001:db8:ec2:2::37"), addr("2001:db8:ec2:2::60")} {
		eventually(t, hang, a.String()+" answers", func() bool { return echoes(t, c, a) })
	}
}

// An interface whose network card is not published yet has the number of another one by its device number. It never
// writes into that one's table or rules: it takes another number, says so, and answers; and moves when the metadata
// tells the two apart.
func TestNetworkCardIsLate(t *testing.T) {
	t.Parallel()
	c := twoNetworkCards(t)
	heal := late(t, c)
	first := keep(t, c, "eth1")
	first.notify.await(t, "lease until")
	changes := monitored(t, c)
	k := start(t, c, "eth2")
	k.notify.await(t, "READY=1")
	k.notify.await(t, "lease until")
	both(t, c)
	spare := "190" + strings.TrimSpace(shellOut(t, c, "printf %02d $(cat /sys/class/net/eth2/ifindex)"))
	k.logs(t, "eth1 holds table 10001, which the metadata's numbers give to this interface too: using table "+spare)
	says(t, statusOf1(t, c, "eth2"), "10.0.2.60 and 1 more, table "+spare, "drift       none")
	says(t, statusOf1(t, c, "eth1"), "table 10001", "drift       none")
	says(t, strings.Join(strings.Fields(report(t, c)), " "), "eth1 holds table 10001")
	heal()
	k.reload(t, c)
	k.notify.await(t, "10.0.2.60 and 1 more, table 10101")
	both(t, c)
	for _, line := range changes() {
		if (strings.HasPrefix(line, "Deleted ") && strings.Contains(line, "10001")) || (strings.Contains(line, "eth2") && strings.Contains(line, "10001")) {
			t.Errorf("eth1's table and rules: %s", line)
		}
	}
	if out := ip(t, c, "rule") + ip(t, c, "-6 rule") + ip(t, c, "route show table all"); strings.Contains(out, spare) {
		t.Errorf("left behind:\n%s", out)
	}
	if n := repairsIn(first); n > 0 {
		t.Errorf("eth1 was repaired %d times:\n%s", n, first.log)
	}
}

// repairsIn counts what a process wrote after it had set its interface up.
func repairsIn(k *kept) int {
	_, after, _ := strings.Cut(k.log.String(), "lease of ")
	return strings.Count(after, "+ rule")
}

// The one with the missing key comes first, or both at the same moment; and by hand. Both answer, and both are right in
// the end.
func TestNetworkCardIsLateAndFirst(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"first", "together", "by hand"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := twoNetworkCards(t)
			configure(t, c, "main_table = false\n") // main's default route of IPv6, which the lab's first interface has none of, is not moved about here
			heal := late(t, c)
			switch how {
			case "first":
				keep(t, c, "eth2")
				keep(t, c, "eth1")
			case "together":
				one, two := start(t, c, "eth1"), start(t, c, "eth2")
				one.notify.await(t, "READY=1")
				two.notify.await(t, "READY=1")
			default:
				upAsPlanned(t, c, exitOK, "up", "eth1")
				says(t, upAsPlanned(t, c, exitPartial, "up", "eth2"), "eth1 holds table 10001")
				upAsPlanned(t, c, exitOK, "up", "eth1")
			}
			both(t, c)
			heal()
			if how == "by hand" {
				upAsPlanned(t, c, exitOK, "up", "eth2")
			} else {
				shell(t, c.Instance(), "kill -HUP $(cat /run/ec2net/eth1.lock) $(cat /run/ec2net/eth2.lock)")
			}
			want := map[string]string{"10001": "10.0.2.37", "10101": "10.0.2.60"}
			eventually(t, hang, "each has its own table", func() bool {
				rules := ip(t, c, "rule") + ip(t, c, "-6 rule")
				for table, a := range want {
					if !strings.Contains(rules, "from "+a+" lookup "+table) {
						return false
					}
				}
				return !strings.Contains(rules, "lookup 190")
			})
			both(t, c)
		})
	}
}

func shellOut(t *testing.T, c *lab.Cloud, cmd string) string {
	t.Helper()
	out, status := runOn(c.Instance(), cmd)
	if status != 0 {
		t.Fatalf("%s: exit status %d\n%s", cmd, status, out)
	}
	return out
}
