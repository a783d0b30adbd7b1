package plumb

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
)

// holds tells whether some line has all tokens of want, in their order.
func holds(lines, want string) bool {
	for _, line := range strings.Split(lines, "\n") {
		rest := strings.Fields(want)
		for _, token := range strings.Fields(line) {
			if len(rest) > 0 && token == rest[0] {
				rest = rest[1:]
			}
		}
		if len(rest) == 0 {
			return true
		}
	}
	return false
}

// TestSeeds: the lines that the authors of the seeds show, but for the rule's preference and the
// routes' protocol, are lines of the real ip(8).
func TestSeeds(t *testing.T) {
	for _, tt := range []struct {
		name, addr0, gateway0, own, addr, subnet, gateway string
		more                                              []string // of main
	}{
		{"000", "10.242.81.39/25", "10.242.81.1", "10.242.81.0/25 dev eth0 scope link src 10.242.81.39",
			"100.64.0.130", "100.64.0.0/24", "100.64.0.1", []string{"169.254.169.254 dev eth0"}},
		{"002, first half", "10.0.0.29/24", "10.0.0.1", "10.0.0.0/24 dev eth0 scope link src 10.0.0.29",
			"10.0.2.37", "10.0.2.0/24", "10.0.2.1", nil},
		{"002, Amazon Linux", "10.0.0.220/24", "10.0.0.1", "10.0.0.0/24 dev eth0 scope link src 10.0.0.220",
			"10.0.2.142", "10.0.2.0/24", "10.0.2.1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hostLike(t, tt.addr0, tt.gateway0)
			for _, r := range tt.more {
				ip(t, "route add "+r)
			}
			before := linesOf(t, "eth0")
			reconcile(t, open(t, "eth1"), iface(func(c *metadata.Interface) { c.Addrs4, c.Subnets4 = addrs(tt.addr), prefixes(tt.subnet) }))

			subnet := tt.subnet + " dev eth1 scope link src " + tt.addr
			for cmd, want := range map[string][]string{
				"rule":                   {"0: from all lookup local", "from " + tt.addr + " lookup 10001", "32766: from all lookup main", "32767: from all lookup default"},
				"route show table 10001": {"default via " + tt.gateway + " dev eth1", subnet},
				"route show table main": append(tt.more, "default via "+tt.gateway0+" dev eth0",
					"default via "+tt.gateway+" dev eth1 metric 10001", tt.own, subnet),
			} {
				out := ip(t, cmd)
				for _, w := range want {
					if !holds(out, w) {
						t.Errorf("ip %s has no line %q:\n%s", cmd, w, out)
					}
				}
			}
			if d := cmp.Diff(before, linesOf(t, "eth0")); d != "" {
				t.Errorf("eth0's own (-before +after):\n%s", d)
			}
		})
	}
}

// linesOf are the addresses and routes of one interface.
func linesOf(t testing.TB, dev string) []string {
	t.Helper()
	return slices.DeleteFunc(world(t), func(l string) bool {
		return !strings.Contains(l+" ", " "+dev+" ") || strings.Contains(l, "link/ether")
	})
}

// source is the address that the kernel chooses when a program names none.
func source(t testing.TB, get string) string {
	t.Helper()
	out := ip(t, "route get "+get)
	_, after, _ := strings.Cut(out, " src ")
	return strings.Fields(after + " none")[0]
}

// TestPrimaryIsThePreferredSource with every other address below it, whatever came first (seed 003).
func TestPrimaryIsThePreferredSource(t *testing.T) {
	for promote := range 2 {
		t.Run("promote_secondaries="+strconv.Itoa(promote), func(t *testing.T) {
			host(t)
			sysctl(t, "ipv4/conf/eth1/promote_secondaries", strconv.Itoa(promote))
			l := open(t, "eth1")
			c := iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5", "10.0.2.6") })
			six := dual()
			c.Addrs6, c.Subnets6 = six.Addrs6, six.Subnets6
			verdict := func(when string) {
				t.Helper()
				for _, dst := range []string{"10.0.2.200", "198.51.100.1 oif eth1"} {
					if src := source(t, dst); src != "10.0.2.37" {
						t.Errorf("%s, to %s: src %s", when, dst, src)
					}
				}
				for _, dst := range []string{"2001:db8:0:2::200", "2001:db8:ffff::1 oif eth1"} {
					if src := source(t, dst); src != "2001:db8:0:2::37" {
						t.Errorf("%s, to %s: src %s", when, dst, src)
					}
				}
			}
			reconcile(t, l, c)
			verdict("after set-up")
			ip(t, "addr del 10.0.2.37/24 dev eth1")
			ip(t, "addr del 2001:db8:0:2::37/128 dev eth1")
			reconcile(t, l, c)
			verdict("after the primary was deleted and put back")
			c.Addrs4.Value = append(c.Addrs4.Value, netip.MustParseAddr("10.0.2.17"))
			reconcile(t, l, c)
			verdict("after one more")
			for _, a := range c.Addrs4.Value {
				if !strings.Contains(ip(t, "addr show dev eth1"), a.String()+"/") {
					t.Errorf("%s is missing", a)
				}
			}
		})
	}
}

// TestStrictReversePath: what comes in by eth1 passes without a sysctl changed (seed 004). The first
// verdict shows that the test can tell.
func TestStrictReversePath(t *testing.T) {
	host(t)
	batch(t, "link set eth1 up\naddr add 10.0.2.37/24 dev eth1\n")
	in := "198.51.100.9 iif eth1"
	pass := func(dst string) bool {
		_, err := run("ip", "route get "+dst+" from "+in)
		return err == nil
	}
	sysctl(t, "ipv4/conf/eth1/rp_filter", "1")
	if pass("10.0.2.37") {
		t.Fatal("a host without ec2net takes the packet under the strict filter too: the test proves nothing")
	}
	batch(t, "addr del 10.0.2.37/24 dev eth1\nlink set eth1 down\n")
	reconcile(t, open(t, "eth1"), iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4") }))
	for filter := range 3 {
		sysctl(t, "ipv4/conf/all/rp_filter", strconv.Itoa(filter))
		sysctl(t, "ipv4/conf/eth1/rp_filter", strconv.Itoa(filter))
		for _, dst := range []string{"10.0.2.37", "10.0.2.4"} {
			if !pass(dst) {
				t.Errorf("rp_filter=%d drops what comes for %s by eth1", filter, dst)
			}
		}
	}
}
