package plumb

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ec2net/metadata"
)

// TestWantEarly: with a priority all rules of all interfaces stand in three preferences, in both families.
func TestWantEarly(t *testing.T) {
	in := ours(secondInterface())
	in.Priority, in.ByInterface, in.Gateway6 = 1000, true, netip.MustParseAddr("fe80:ec2::1")
	check(t, []golden{{"all kinds", in, only("+ rule"), `
+ rule from 10.0.2.0/24 fwmark 10001/0 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 1000
+ rule from 2001:db8:0:2::/64 fwmark 10001/0 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 1000
+ rule from all fwmark 0x2002711/0x7f000000 iif eth1 lookup main suppress_prefixlength 7 pref 1000
+ rule from all fwmark 0x2002711/0x7f000000 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 1000
+ rule from ::/0 fwmark 0x2002711/0x7f000000 iif eth1 lookup main suppress_prefixlength 7 pref 1000
+ rule from ::/0 fwmark 0x2002711/0x7f000000 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 1000
+ rule from 10.0.2.37 lookup 10001 pref 1002
+ rule from 10.0.2.101 lookup 10001 pref 1002
+ rule from 2001:db8:0:2::37 lookup 10001 pref 1002
+ rule from all fwmark 0x2000000/0x7f000000 lookup 10001 pref 1001
+ rule from ::/0 fwmark 0x2000000/0x7f000000 lookup 10001 pref 1001`}})
}

// TestEarlyMoves: from each setting to each other one, what was there goes after what comes, also where the metadata can
// not be asked, and whose a rule is shows at each place.
func TestEarlyMoves(t *testing.T) {
	settings := []uint32{0, 1, 1000, 9990}
	for _, was := range settings {
		for _, is := range settings {
			in := ours(secondInterface())
			in.Priority, in.ByInterface = was, true
			before, _ := Want(in)
			in.Have.State, in.Priority = before, is
			after, _ := Want(in)
			in.Interface.Addrs4, in.Interface.Addrs6 = metadata.Answer[[]netip.Addr]{}, metadata.Answer[[]netip.Addr]{}
			unasked, _ := Want(in)
			plan, late := Diff(before, after), Diff(after, unasked)
			if (was == is && len(plan) > 0) || len(after.Rules) != len(before.Rules) || len(late) > 0 {
				t.Errorf("%d to %d: %d rules become %d:\n%s\nunasked:\n%s", was, is, len(before.Rules), len(after.Rules), plan, late)
			}
			if text := plan.String(); strings.Contains(text, "- rule") && strings.LastIndex(text, "+ rule") > strings.Index(text, "- rule") {
				t.Errorf("%d to %d: something goes before all is there:\n%s", was, is, text)
			}
			for _, r := range after.Rules {
				if n, ok := r.n(); n != 1 || !ok {
					t.Errorf("%s is %d's", r.text(), n)
				}
			}
		}
	}
}

// at sets an interface up with a priority.
func at(t *testing.T, name string, c metadata.Interface, priority uint32) {
	t.Helper()
	l := open(t, name)
	want := func(s Snapshot) (State, error) {
		return Want(Input{Interface: c, Have: s, OwnAddress: true, MainTable: true, Gateway6: netip.MustParseAddr("fe80:ec2::1"), Priority: priority, ByInterface: true})
	}
	for i := range 2 {
		done, err := l.Reconcile(context.Background(), want).both()
		if err != nil || (i == 1 && len(done) > 0) {
			t.Fatalf("%s, priority %d, pass %d: %v\n%s", name, priority, i, err, done)
		}
	}
}

func bothAt(t *testing.T, priority uint32) {
	t.Helper()
	at(t, "eth1", secondInterface(), priority)
	at(t, "eth0", firstInterface(), priority)
	at(t, "eth1", secondInterface(), priority)
	local(t, func(c string) (string, error) { return run("ip", strings.TrimPrefix(c, "ip ")) }, "2001:db8::29", "2001:db8:0:2::37")
}

// tailscale has an exit node take all traffic, by the rules that tailscaled writes.
func tailscale(t *testing.T) {
	t.Helper()
	tunnel(t, "add", nil)
	for _, family := range []string{"", "-6 "} {
		for _, r := range []string{"pref 5210 fwmark 0x80000/0xff0000 lookup main", "pref 5230 fwmark 0x80000/0xff0000 lookup default",
			"pref 5250 fwmark 0x80000/0xff0000 unreachable", "pref 5270 lookup 52"} {
			ip(t, family+"rule add "+r)
		}
		ip(t, family+"route add default dev tun0 table 52")
	}
}

func exitHost(t *testing.T) neighbour {
	t.Helper()
	host(t)
	batch(t, `
link set eth1 up
addr add 2001:db8::29/64 dev eth0 nodad
route add ::/0 via fe80:ec2::1 dev eth0 metric 1024
link add docker0 type bridge
addr add 172.17.0.1/16 dev docker0
addr add fd17::1/64 dev docker0 nodad
link set docker0 up
`)
	return cloudside(t)
}

// beside checks what a host beside an exit node is to do.
func beside(t *testing.T, cloud neighbour, when string) {
	t.Helper()
	answers(t, cloud, when)
	for _, to := range []string{"100.100.1.1", "2001:db8:ffff::9"} {
		if got := route(t, to); !strings.Contains(got, "dev tun0") {
			t.Errorf("%s: the host's own traffic does not use the exit node: %s", when, got)
		}
	}
	for from, to := range map[string]string{"10.0.0.40": "172.17.0.9", "10.0.2.101": "172.17.0.9", "2001:db8::29": "fd17::9", "2001:db8:0:2::37": "fd17::9"} {
		if got := route(t, to+" from "+from); !strings.Contains(got, "dev docker0") {
			t.Errorf("%s: %s does not reach the bridge: %s", when, from, got)
		}
	}
}

// TestEarlyBesideTailscale: an exit node, before and after, and in the moment in which two agent processes differ.
func TestEarlyBesideTailscale(t *testing.T) {
	for _, first := range []string{"Tailscale", "ec2net"} {
		t.Run(first+" first", func(t *testing.T) {
			cloud := exitHost(t)
			if first == "Tailscale" {
				tailscale(t)
				bothAt(t, 0)
				if out, err := cloud.run("ping -n -c 1 -W 1 -I 100.100.1.1 10.0.2.37"); err == nil {
					t.Errorf("the exit node takes nothing, so that the test shows nothing:\n%s", out)
				}
				bothAt(t, 1000)
			} else {
				bothAt(t, 1000)
				tailscale(t)
			}
			beside(t, cloud, "priority 1000")
			at(t, "eth1", secondInterface(), 2000)
			beside(t, cloud, "one at 2000, the other at 1000")
			at(t, "eth0", firstInterface(), 2000)
			beside(t, cloud, "priority 2000")
		})
	}
}

// TestEarlyChangesUnderTraffic: no packet is lost while the setting changes, and who leaves leaves nothing, wherever
// its rules are.
func TestEarlyChangesUnderTraffic(t *testing.T) {
	cloud := exitHost(t)
	bothAt(t, 0)
	answers(t, cloud, "at first")
	done := make(chan string)
	for _, to := range []string{"10.0.0.40", "10.0.2.101", "2001:db8:0:2::37"} {
		from := map[bool]string{false: "100.100.1.1", true: "2001:db8:ffff::9"}[strings.Contains(to, ":")]
		go func() {
			out, err := cloud.run(fmt.Sprintf("ping -n -q -c 150 -i 0.02 -W 5 -I %s %s", from, to))
			if err == nil && strings.Contains(out, " 0% packet loss") {
				out = ""
			}
			done <- out
		}()
	}
	for i := range 6 {
		bothAt(t, []uint32{1000, 0, 1, 9990}[i%4])
	}
	for range 3 {
		if out := <-done; out != "" {
			t.Errorf("lost while the setting changed:\n%s", out)
		}
	}
	at(t, "eth1", secondInterface(), 7000) // and eth0's are elsewhere
	leave(t, "eth1", nil)
	leave(t, "eth0", nil)
	if left := ip(t, "rule") + ip(t, "-6 rule"); strings.Contains(left, "lookup 1000") || strings.Contains(left, "suppress") {
		t.Errorf("left:\n%s", left)
	}
}

// TestEarlyOrphans: the rules of an interface that is gone go, wherever they are, and those of the other stay.
func TestEarlyOrphans(t *testing.T) {
	exitHost(t)
	bothAt(t, 1000)
	ip(t, "link del eth1")
	if _, err := Orphans([]int{0}); err != nil {
		t.Fatal(err)
	}
	left := ip(t, "rule") + ip(t, "-6 rule")
	if strings.Contains(left, "10001") || strings.Contains(left, "0x2711") || !strings.Contains(left, "1002:\tfrom 10.0.0.40 lookup 10000") {
		t.Errorf("left:\n%s", left)
	}
}
