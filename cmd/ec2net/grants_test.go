package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// granted2 has a second address and a block of each family on eth1, and a second address on eth0.
func granted2() lab.Config {
	eth0, eth1 := lab.Eth0(), lab.Eth1()
	eth0.Addrs4 = append(slices.Clone(eth0.Addrs4), addr("10.0.0.40"))
	eth1.Addrs4 = append(slices.Clone(eth1.Addrs4), addr("10.0.2.51"))
	eth1.Prefixes4 = []netip.Prefix{netip.MustParsePrefix("10.0.2.96/28")}
	eth1.Addrs6 = []netip.Addr{addr("2001:db8:ec2:2::37"), addr("2001:db8:ec2:2::51")}
	eth1.Prefixes6 = []netip.Prefix{netip.MustParsePrefix("2001:db8:ec2:2:7::/80")}
	return lab.Config{Interfaces: []lab.Interface{eth0, eth1}}
}

// missingRules are what somebody may have deleted of a set-up, each with what is to come back.
var missingRules = []struct{ damage, back string }{
	{"ip rule del from 10.0.2.37 pref 20001", "+ rule from 10.0.2.37 lookup 10001 pref 20001"},
	{"ip rule del from 10.0.2.51 pref 20001", "+ rule from 10.0.2.51 lookup 10001 pref 20001"},
	{"ip rule del from 10.0.2.96/28 pref 20001", "+ rule from 10.0.2.96/28 lookup 10001 pref 20001"},
	{"ip -6 rule del from 2001:db8:ec2:2::37 pref 20001", "+ rule from 2001:db8:ec2:2::37 lookup 10001 pref 20001"},
	{"ip -6 rule del from 2001:db8:ec2:2:7::/80 pref 20001", "+ rule from 2001:db8:ec2:2:7::/80 lookup 10001 pref 20001"},
	{"ip rule del pref 10001", "+ rule from 10.0.2.0/24 lookup main suppress_prefixlength"},
	{"ip route del default table 10001", "+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37"},
	{"ip addr del 10.0.2.51/32 dev eth1", "+ addr 10.0.2.51/32 dev eth1 noprefixroute"},
	{"ip -6 rule flush protocol 236", "+ rule from 2001:db8:ec2:2::51 lookup 10001 pref 20001"},
}

// A rule that is missing while nobody keeps the interface is drift: `up` puts it back, and nothing else is done,
// above all no address is taken off; with the records and without them.
func TestUpAfterARuleWentMissing(t *testing.T) {
	t.Parallel()
	c := cloud(t, granted2())
	upAsPlanned(t, c, exitOK, "up", "eth1")
	upAsPlanned(t, c, exitOK, "up", "eth0")
	held := world(t, c)
	for _, records := range []string{"true", "rm /run/ec2net/*.json"} {
		for _, m := range missingRules {
			shell(t, c.Instance(), m.damage, records)
			removed := removals(t, c)
			done := operations(upAsPlanned(t, c, exitOK, "up", "eth1"))
			if !slices.ContainsFunc(done, func(op string) bool { return strings.HasPrefix(op, m.back) }) {
				t.Errorf("after %q, %s: it did\n%s\nand not %s", m.damage, records, strings.Join(done, "\n"), m.back)
			}
			if gone := removed(); gone != "" {
				t.Errorf("after %q, %s: taken away\n%s", m.damage, records, gone)
			}
			if d := cmp.Diff(held, world(t, c)); d != "" {
				t.Errorf("after %q, %s (-before +after):\n%s", m.damage, records, d)
			}
		}
	}
	shell(t, c.Instance(), "ip rule del from 10.0.0.40 pref 20000")
	removed := removals(t, c)
	done := upAsPlanned(t, c, exitOK, "up", "eth0")
	if gone := removed(); gone != "" || len(operations(done)) != 1 {
		t.Errorf("of the primary: taken away %q; done\n%s", gone, done)
	}
}

// The same of the unit: a process that starts anew where a rule is missing.
func TestRunAfterARuleWentMissing(t *testing.T) {
	t.Parallel()
	c := cloud(t, granted2())
	for _, end := range []func(*kept){func(k *kept) { k.stop(t) }, func(k *kept) { _ = k.Process.Kill(); <-k.ended }} {
		for _, m := range missingRules[:5] {
			k := keep(t, c, "eth1")
			k.notify.await(t, "lease until")
			held := world(t, c)
			end(k)
			shell(t, c.Instance(), m.damage)
			removed := removals(t, c)
			k = keep(t, c, "eth1")
			restored(t, c, held, m.damage)
			if gone := removed(); gone != "" {
				t.Errorf("after %q: taken away\n%s", m.damage, gone)
			}
			k.stop(t)
		}
	}
}

// removals watches what is taken away until the function that it returns is called.
func removals(t *testing.T, c *lab.Cloud) func() string {
	t.Helper()
	seen := monitored(t, c)
	return func() string {
		t.Helper()
		return strings.Join(slices.DeleteFunc(seen(), func(line string) bool { return !strings.HasPrefix(line, "Deleted ") }), "\n")
	}
}

// monitored watches the instance's addresses, routes and rules. The function that it returns ends that, and tells each
// change as ip(8) does.
func monitored(t *testing.T, c *lab.Cloud) func() []string {
	t.Helper()
	cmd := c.Instance().Command(t.Context(), "ip", "monitor", "address", "route", "rule")
	seen := &lab.Log{}
	cmd.Stdout = seen
	must(t, cmd.Start())
	mark := func(a string) {
		ip(t, c, "route add blackhole "+a+" table 4242")
		ip(t, c, "route del blackhole "+a+" table 4242")
	}
	eventually(t, hang, "ip monitor", func() bool { // it listens once it tells of a change that is made for it
		mark("192.0.2.255")
		return strings.Contains(seen.String(), "Deleted blackhole")
	})
	return func() (out []string) {
		t.Helper()
		mark("192.0.2.254")
		eventually(t, hang, "ip monitor", func() bool { return strings.Contains(seen.String(), "Deleted blackhole 192.0.2.254") })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for line := range strings.Lines(seen.String()) {
			if !strings.Contains(line, "blackhole") {
				out = append(out, strings.TrimSpace(line))
			}
		}
		return out
	}
}
