package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

var (
	block4 = netip.MustParsePrefix("10.0.2.64/28")
	block6 = netip.MustParsePrefix("2001:db8:ec2:2:1::/80")
)

// delegating is a cloud whose eth1 has a block of each family.
func delegating(t *testing.T) *lab.Cloud {
	t.Helper()
	cfg := dual(lab.Config{RPFilter: 1})
	cfg.Interfaces[1].Prefixes4, cfg.Interfaces[1].Prefixes6 = []netip.Prefix{block4}, []netip.Prefix{block6}
	return cloud(t, cfg)
}

// What the three settings write, whether the host answers for an address inside of a block, and that
// one can be changed into another and all of them be taken away.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	c := delegating(t)
	up := func() {
		t.Helper()
		ip(t, c, "link set eth1 up")
		linkLocals(t, c, "eth1")
	}
	up()
	before := world(t, c)
	peer, err := c.AddPeer("neighbour", addr("10.0.2.200"), addr("2001:db8:ec2:2::200"))
	must(t, err)
	for _, tt := range []struct {
		setting      string
		rules, local bool
	}{
		{`prefixes = "local"`, true, true},
		{`prefixes = "rules"`, true, false},
		{`prefixes = "off"`, false, false},
		{``, true, false},
		{`prefixes = "local"`, true, true},
	} {
		configure(t, c, tt.setting)
		ec2net(t, c, exitOK, "up", "eth1")
		dropped, err := c.SourceCheck() // while it is being set up, the kernel may refuse a DHCP answer (ICMP) before its rules are there
		must(t, err)
		if out := ec2net(t, c, exitOK, "plan", "eth1"); out != "" {
			t.Errorf("%s: plan after up:\n%s", tt.setting, out)
		}
		if out := ec2net(t, c, exitOK, "status", "eth1"); !strings.Contains(out, "none") {
			t.Errorf("%s: status:\n%s", tt.setting, out)
		}
		rules := ip(t, c, "rule") + ip(t, c, "-6 rule")
		for _, p := range []netip.Prefix{block4, block6} {
			if got := strings.Contains(rules, "from "+p.String()+" lookup 10001"); got != tt.rules {
				t.Errorf("%s: a rule from %s: %v", tt.setting, p, got)
			}
			inside, asker := p.Addr().Next(), peer
			if p == block6 { // of which the lab's router does not answer neighbour solicitations
				asker = c.Client()
			}
			if tt.local {
				reaches(t, asker, inside, lab.Ping{})
			} else if _, err := asker.Ping(t.Context(), inside, lab.Ping{Timeout: 200 * time.Millisecond}); err == nil {
				t.Errorf("%s: %s answers", tt.setting, inside)
			}
		}
		if drops, err := c.SourceCheck(); err != nil || !slices.Equal(drops, dropped) {
			t.Errorf("%s: answers left by the wrong interface: %v, before that %v (%v)", tt.setting, drops, dropped, err)
		}
	}
	ec2net(t, c, exitOK, "down", "eth1")
	up()
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("after down (-before +after):\n%s", d)
	}
}

// A block answered for is put back when somebody deletes it, and goes when the cloud takes it back.
func TestPrefixKept(t *testing.T) {
	t.Parallel()
	c := delegating(t)
	configure(t, c, soon+`prefixes = "local"`)
	must(t, c.ReleasePrefix("eth1", block4))
	must(t, c.ReleasePrefix("eth1", block6))
	ip(t, c, "route add local 10.0.2.64/28 dev lo metric 7") // the operator's own for the same block
	k := keep(t, c, "eth1")
	for _, p := range []netip.Prefix{block4, block6} {
		must(t, c.AssignPrefix("eth1", p))
		must(t, k.Process.Signal(syscallHUP))
		there := func() bool {
			return strings.Contains(ip(t, c, "-4 route show table local dev eth1")+ip(t, c, "-6 route show table local dev eth1"), "local "+p.String())
		}
		eventually(t, hang, "a late block "+p.String(), there)
		counted := repairsOf(t, c)
		ip(t, c, "route del local "+p.String()+" dev eth1 table local")
		eventually(t, hang, "put back "+p.String(), func() bool { return there() && repairsOf(t, c) > counted })
		must(t, c.ReleasePrefix("eth1", p))
		must(t, k.Process.Signal(syscallHUP))
		eventually(t, hang, "gone "+p.String(), func() bool { return !there() })
	}
	holds(t, ip(t, c, "route show table local"), "local 10.0.2.64/28 dev lo metric 7")
}

// Blocks that are moved to another interface are taken over by it in the moment that the first lets go of them:
// until then they are refused, and no reading comes to the help.
func TestPrefixMoved(t *testing.T) {
	t.Parallel()
	cfg := dual(lab.Config{RPFilter: 1})
	cfg.Interfaces[1].Prefixes4, cfg.Interfaces[1].Prefixes6 = []netip.Prefix{block4}, []netip.Prefix{block6}
	cfg.Interfaces = append(cfg.Interfaces, lab.Interface{Name: "eth2", Subnet: cfg.Interfaces[1].Subnet, Addrs4: []netip.Addr{addr("10.0.2.50")}, Addrs6: []netip.Addr{addr("2001:db8:ec2:2::50")}})
	c := cloud(t, cfg)
	configure(t, c, soon)
	from, to := keep(t, c, "eth1"), keep(t, c, "eth2")
	for _, b := range []netip.Prefix{block4, block6} {
		must(t, c.ReleasePrefix("eth1", b))
		must(t, c.AssignPrefix("eth2", b))
	}
	spoil(t, c, lab.Fault{Interface: "eth1", Status: 503}) // of that interface nothing is read yet
	to.reload(t, c, "ipv4-prefix", "ipv6-prefix")
	eventually(t, hang, "it is refused", func() bool {
		return strings.Contains(to.log.String(), "the delegated prefix 10.0.2.64/28 overlaps 10.0.2.64/28 of another interface: left out")
	})
	c.IMDS().Clear()
	spoil(t, c, lab.Fault{Interface: "eth2", Status: 503}) // nothing more is read of this one
	from.reload(t, c)
	for _, v := range []string{"-4", "-6"} {
		has := func(table string) bool {
			out := ip(t, c, v+" rule show lookup "+table)
			return strings.Contains(out, block4.String()) || strings.Contains(out, block6.String())
		}
		eventually(t, hang, "eth1 lets go", func() bool { return !has("10001") })
		eventually(t, hang, "eth2 takes over", func() bool { return has("10002") })
	}
}

// Spellings of one block are one block: nothing is written, over 100 readings by a process that
// stays, and by commands that come anew.
func TestSpellings(t *testing.T) {
	t.Parallel()
	c := delegating(t)
	spell := func(n int) {
		c.IMDS().Clear()
		for key, values := range map[string][]string{
			"ipv6-prefix":             {"2001:0db8:0ec2:0002:0001:0000:0000:0000/80", "2001:db8:ec2:2:1::ffff/80", "2001:DB8:EC2:2:1::/80"},
			"ipv4-prefix":             {"10.0.2.64/28", "10.0.2.77/28", "10.0.2.79/28\n10.0.2.64/28"},
			"subnet-ipv6-cidr-blocks": {"2001:db8:0ec2:0002:0:0:0:0/64", "2001:db8:ec2:2::1/64", "2001:db8:ec2:2:0::/64"},
			"ipv6s":                   {"2001:0db8:0ec2:0002::37\n2001:db8:ec2:2::38/64", "2001:db8:ec2:2:0:0:0:37 2001:db8:ec2:2::38", "2001:DB8:ec2:2::37/128, 2001:db8:ec2:2::38"},
		} {
			_, err := c.IMDS().Inject(lab.Fault{Interface: "eth1", Path: key, Value: &values[n%3]})
			must(t, err)
		}
	}
	spell(0)
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	holds(t, ip(t, c, "-6 rule"), "from "+block6.String()+" lookup 10001")
	// The kernel announces an IPv6 address when it has given it its local route, in its own time.
	eventually(t, hang, "the IPv6 addresses", func() bool {
		out := ip(t, c, "-6 route show table local dev eth1")
		return strings.Contains(out, "ec2:2::37 ") && strings.Contains(out, "ec2:2::38 ")
	})
	quiet, logged := silently(t, c), k.log.String()
	for n := range 100 {
		spell(n)
		asked := time.Now()
		must(t, k.Process.Signal(syscallHUP))
		eventually(t, hang, "a reading", func() bool { return readAfter(c, asked) })
	}
	for n := range 3 {
		spell(n)
		if out := ec2net(t, c, exitOK, "plan", "eth1"); out != "" {
			t.Errorf("spelling %d: plan:\n%s", n, out)
		}
	}
	quiet("103 readings of the same blocks")
	if got := k.log.String(); got != logged {
		t.Errorf("they were logged:\n%s", strings.TrimPrefix(got, logged))
	}
}

// readAfter: the last key of a reading was asked for.
func readAfter(c *lab.Cloud, since time.Time) bool {
	for _, r := range c.IMDS().Requests(since) {
		if strings.HasSuffix(r.Path, "/ipv6-prefix") {
			return true
		}
	}
	return false
}

// What the metadata may not say of IPv6 and of blocks is named and refused; the rest is set up, and
// no other interface's traffic is drawn away.
func TestRefused(t *testing.T) {
	t.Parallel()
	cfg := dual(lab.Config{RPFilter: 1})
	cfg.Interfaces = append(cfg.Interfaces, lab.Interface{Name: "eth2", Addrs4: []netip.Addr{addr("10.0.2.60")}, Prefixes4: []netip.Prefix{block4}, Prefixes6: []netip.Prefix{block6}})
	cfg.Interfaces[1].Prefixes4 = []netip.Prefix{netip.MustParsePrefix("10.0.2.128/28")}
	cfg.Interfaces[1].Prefixes6 = []netip.Prefix{netip.MustParsePrefix("2001:db8:ec2:2:2::/80")}
	c := cloud(t, cfg)
	begun := time.Now()
	ec2net(t, c, exitOK, "up", "eth2")
	wait := max(time.Second, 4*time.Since(begun)).String() // a busy machine takes longer for the first answer, too
	good6 := "2001:db8:ec2:2::37\n2001:db8:ec2:2::38"
	for _, tt := range []struct{ key, value, says string }{
		{"ipv6s", good6 + "\n10.0.2.99", `ipv6s: "10.0.2.99" is not an address of this family`},
		{"ipv6s", good6 + "\nff02::1:2", `ipv6s: "ff02::1:2" is in a range that no interface has its addresses in`},
		{"ipv6s", good6 + "\nfe80::37", `ipv6s: "fe80::37" is in a range that no interface has its addresses in`},
		{"ipv6s", good6 + "\n2001:db8:ec2::99", `ipv6s: "2001:db8:ec2::99" is outside of the interface's subnets`},
		{"ipv6s", good6 + "\n::ffff:10.0.2.99", `ipv6s: "::ffff:10.0.2.99" is in a range`},
		{"ipv6s", good6 + "\n2001:db8:ec2:2::99/129", `ipv6s: "2001:db8:ec2:2::99/129" is not an address`},
		{"local-ipv4s", "10.0.2.37\n2001:db8:ec2:2::99", `local-ipv4s: "2001:db8:ec2:2::99" is not an address of this family`},
		{"ipv6-prefix", "::/0", `ipv6-prefix: "::/0" is too large or too small a block`},
		{"ipv4-prefix", "0.0.0.0/0", `ipv4-prefix: "0.0.0.0/0" is too large or too small a block`},
		{"ipv6-prefix", "2001:db8:ec2:2::/64", `ipv6-prefix: "2001:db8:ec2:2::/64" contains a whole subnet of the interface`},
		{"ipv4-prefix", "10.0.2.0/24", `ipv4-prefix: "10.0.2.0/24" contains a whole subnet of the interface`},
		{"ipv6-prefix", "ff00:1::/80", `ipv6-prefix: "ff00:1::/80" is in a range`},
		{"ipv6-prefix", "10.0.2.64/28", `ipv6-prefix: "10.0.2.64/28" is not an address block of this family`},
		{"ipv4-prefix", "10.0.2.72/29", "the delegated prefix 10.0.2.72/29 overlaps 10.0.2.64/28 of another interface: left out"},
		{"ipv6-prefix", "2001:db8:ec2:2:1:2::/96", "the delegated prefix 2001:db8:ec2:2:1:2::/96 overlaps 2001:db8:ec2:2:1::/80 of another interface: left out"},
		{"ipv4-prefix", "10.0.2.48/28", "the delegated prefix 10.0.2.48/28 overlaps 10.0.2.60 of another interface: left out"},
		{"ipv4-prefix", "10.0.0.16/28", "the delegated prefix 10.0.0.16/28 overlaps 10.0.0.29 of another interface: left out"},
	} {
		_, err := c.IMDS().Inject(lab.Fault{Interface: "eth1", Path: tt.key, Value: &tt.value})
		must(t, err)
		out, status := on(t, c, "ec2net", "--cloud", "ec2", "up", "eth1", "--wait", wait)
		if !strings.Contains(out, tt.says) || (status != exitPartial && status != exitUnavailable) {
			t.Errorf("%s = %q: status %d, says\n%s\nwant %q", tt.key, tt.value, status, out, tt.says)
		}
		if rules := ip(t, c, "rule") + ip(t, c, "-6 rule"); strings.Contains(rules, "from "+tt.value+" lookup 10001") || strings.Count(rules, "lookup 10001") > 5 {
			t.Errorf("%s = %q: rules\n%s", tt.key, tt.value, rules)
		}
		for _, a := range []netip.Addr{lab.EIP1, lab.EIP2, in6[0], in6[1], eth0v6} {
			answers(t, c, a)
		}
		c.IMDS().Clear()
	}
}
