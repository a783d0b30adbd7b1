package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ec2net/agent"
	"ec2net/test/lab"
)

var (
	in6    = []netip.Addr{addr("2001:db8:ec2:2::37"), addr("2001:db8:ec2:2::38")}
	eth0v6 = addr("2001:db8:ec2::29")
)

// only6 is an instance whose interfaces have no IPv4: in a subnet of IPv6 alone DHCP leases a link-local address.
func only6() lab.Config {
	return lab.Config{
		Subnets: []lab.Subnet{{ID: "six-a", IPv6: netip.MustParsePrefix("2001:db8:ec2::/64")}, {ID: "six-c", IPv6: netip.MustParsePrefix("2001:db8:ec2:2::/64")}},
		Interfaces: []lab.Interface{
			{Name: "eth0", Subnet: "six-a", Addrs6: []netip.Addr{eth0v6}},
			{Name: "eth1", Subnet: "six-c", Addrs6: in6, Addrs4: []netip.Addr{addr("169.254.7.7")}},
		},
	}
}

func advertise(t *testing.T, c *lab.Cloud, iface string, a lab.Advert) *lab.Advertiser {
	t.Helper()
	a.Interval = 50 * time.Millisecond
	r, err := c.Advertise(iface, a)
	must(t, err)
	return r
}

// router is where the interface's table leaves for IPv6.
func router(t *testing.T, c *lab.Cloud) string {
	t.Helper()
	return wordAfter(ip(t, c, "-6 route show default table 10001"), "via ")
}

// Both families answer by the interface with duplicate address detection on, at the moment of READY and
// whether a router was advertised or not; `down` leaves nothing.
func TestDualStack(t *testing.T) {
	t.Parallel()
	for name, advertised := range map[string]bool{"advertised": true, "silent": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, dual(lab.Config{DAD: true, RPFilter: 1}))
			if advertised {
				advertise(t, c, "eth1", lab.Advert{})
			}
			before := strings.ReplaceAll(strings.Join(world(t, c), "\n"), "qdisc noop", "qdisc noqueue") // as every link that was up once
			k := keep(t, c, "eth1")
			for _, a := range in6 {
				if _, err := c.Client().Ping(t.Context(), a, single); err != nil {
					t.Errorf("%s at READY: %v", a, err)
				}
			}
			if out := ip(t, c, "-6 addr show dev eth1 scope global"); strings.Contains(out, "tentative") {
				t.Errorf("at READY:\n%s", out)
			}
			answers(t, c, eth0v6)
			answers(t, c, lab.EIP2)
			holds(t, ip(t, c, "-6 route show table 10001"), "2001:db8:ec2:2::/64 dev eth1")
			holds(t, ip(t, c, "-6 route show table main"), "default via fe80:ec2::1 dev eth1 metric 10001")
			k.stop(t)
			if out := ec2net(t, c, exitOK, "up", "eth1"); strings.ContainsAny(out, "+~") {
				t.Errorf("a second up did something:\n%s", out)
			}
			ec2net(t, c, exitOK, "down", "eth1")
			if d := cmp.Diff(before, strings.Join(world(t, c), "\n")); !advertised && d != "" {
				t.Errorf("after down (-before +after):\n%s", d)
			}
			if left := ip(t, c, "-6 route show table all") + ip(t, c, "-6 rule"); strings.Contains(left, "ec2net") || strings.Contains(left, "236") {
				t.Errorf("after down:\n%s", left)
			}
		})
	}
}

// An interface without IPv4: reachable, no IPv4 rule, nothing of DHCP in the log. The metadata is asked by
// fd00:ec2::254, because the host has no IPv4 at all.
func TestIPv6Only(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*lab.Interface){
		"leased":  func(*lab.Interface) {},
		"no DHCP": func(k *lab.Interface) { k.Addrs4 = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := only6()
			change(&cfg.Interfaces[1])
			c := cloud(t, cfg)
			begun := time.Now()
			k := keep(t, c, "eth1")
			took := time.Since(begun)
			if told := k.notify.log.String(); strings.Contains(told, "waiting for DHCP") {
				t.Errorf("it waited for a lease:\n%s", told)
			}
			for _, a := range in6 {
				answers(t, c, a)
			}
			for _, r := range c.IMDS().Requests(begun) {
				if !r.Source.Addr().Is6() {
					t.Errorf("the metadata was asked from %s", r.Source)
				}
			}
			if asked := c.DHCP().Messages(begun); len(asked) > 0 && took < agent.FirstAnswer {
				t.Errorf("DHCP was asked, and the metadata answered in %s: %+v", took, asked)
			}
			if rules := ip(t, c, "-4 rule"); strings.Count(rules, "\n") != 3 {
				t.Errorf("IPv4 rules:\n%s", rules)
			}
			if out := ip(t, c, "-4 addr show dev eth1"); out != "" {
				t.Errorf("IPv4 addresses:\n%s", out)
			}
			k.stop(t)
			if log := k.log.String(); strings.Contains(log, "DHCP") || strings.Contains(log, "warn") {
				t.Errorf("the log:\n%s", log)
			}
			ec2net(t, c, exitOK, "up", "eth1")
			ec2net(t, c, exitOK, "down", "eth1")
		})
	}
}

// The default route follows the router advertisements by itself, a line for each change, and a
// connection does not notice.
func TestRouterAdvertisements(t *testing.T) {
	t.Parallel()
	c := cloud(t, dual(lab.Config{RPFilter: 1}))
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	sshd, err := c.Instance().Echo(netip.AddrPortFrom(in6[0], 22))
	must(t, err)
	session, err := c.Client().Stream(t.Context(), sshd.Addr)
	must(t, err)
	must(t, session.Alive(t.Context()))
	logged := k.log.String()

	one := advertise(t, c, "eth1", lab.Advert{Router: addr("fe80::1:1")})
	follows := func(want string) {
		t.Helper()
		eventually(t, hang, "the router is "+want, func() bool { return router(t, c) == want })
		must(t, session.Alive(t.Context()))
		answers(t, c, in6[1])
	}
	lines := func() int { return strings.Count(strings.TrimPrefix(k.log.String(), logged), "\n") }
	logs := func(n int) { // before the next change: two that come at once are one line
		t.Helper()
		eventually(t, hang, "each change in the log", func() bool { return lines() >= n })
	}
	follows("fe80::1:1")
	logs(1)
	two := advertise(t, c, "eth1", lab.Advert{Router: addr("fe80::2:2")})
	eventually(t, hang, "two routers in main", func() bool {
		return strings.Count(ip(t, c, "-6 route show default proto ra dev eth1"), "via") == 2
	})
	follows("fe80::1:1") // of two equals, the one that is in use
	must(t, one.Withdraw())
	follows("fe80::2:2")
	logs(2)
	must(t, two.Withdraw())
	follows("fe80:ec2::1")
	must(t, session.Close())
	logs(3)
	if got := lines(); got != 3 {
		t.Errorf("3 changes made %d log lines:\n%s", got, strings.TrimPrefix(k.log.String(), logged))
	}
}

// Both interfaces' routers advertise themselves, and the kernel makes default routes of one metric of that. What the
// host sends by itself leaves by the primary, as seen on the wire: also after its router was away.
func TestRouterFlap(t *testing.T) {
	t.Parallel()
	c := cloud(t, dual(lab.Config{RPFilter: 1}))
	ip(t, c, "-6 route del default dev eth0") // its manager's, of another metric
	first := advertise(t, c, "eth0", lab.Advert{})
	advertise(t, c, "eth1", lab.Advert{})
	keep(t, c, "eth1")
	k := keep(t, c, "eth0")
	wire, err := c.Capture("eth1")
	must(t, err)
	const internet = "2001:db8:ffff::146"
	leaves := func() string {
		return wordAfter(ip(t, c, "-6 route get "+internet), " dev ")
	}
	sends := func(when string) {
		t.Helper()
		eventually(t, hang, "the primary's default route "+when, func() bool {
			return strings.Contains(ip(t, c, "-6 route show default dev eth0"), "metric 1023") && leaves() == "eth0"
		})
		before := len(wire.Packets(lab.FromInterface, lab.To(addr(internet)), lab.Proto(unix.IPPROTO_ICMPV6)))
		for range 5 {
			_, err := c.Instance().Ping(t.Context(), addr(internet), single)
			must(t, err)
		}
		if n := len(wire.Packets(lab.FromInterface, lab.To(addr(internet)), lab.Proto(unix.IPPROTO_ICMPV6))) - before; n != 0 {
			t.Errorf("%s %d packets left by eth1", when, n)
		}
	}
	sends("at first")
	must(t, first.Withdraw())
	eventually(t, hang, "the primary has no router", func() bool { return leaves() == "eth1" })
	again := advertise(t, c, "eth0", lab.Advert{})
	sends("when it is back")
	again.Stop()
	ec2net(t, c, exitOK, "down", "eth0")
	if out := ip(t, c, "-6 route show default dev eth0"); strings.Contains(out, "1023") || !strings.Contains(out, "proto ra") {
		t.Errorf("after down:\n%s", out)
	}
	k.end(t)
}

// A router that died: the kernel forgets it when its time is over, and so does the interface's table.
func TestRouterExpires(t *testing.T) {
	t.Parallel()
	c := cloud(t, dual(lab.Config{}))
	must(t, c.Instance().Sysctl("net/ipv6/route/gc_interval", "1")) // 30 s by default
	dying := advertise(t, c, "eth1", lab.Advert{Router: addr("fe80::1:1"), Lifetime: time.Second})
	keep(t, c, "eth1")
	eventually(t, hang, "the router is followed", func() bool { return router(t, c) == "fe80::1:1" })
	dying.Stop()
	eventually(t, hang, "it is forgotten", func() bool { return router(t, c) == "fe80:ec2::1" })
}

// A router advertisement on another interface is no router of this one; one that puts a stranger's block
// on this interface's link is named and not followed. Addresses that the kernel or a DHCPv6 client made
// are left alone, also when the metadata names the same.
func TestForeignIPv6(t *testing.T) {
	t.Parallel()
	c := cloud(t, dual(lab.Config{}))
	must(t, c.Instance().Sysctl("net/ipv6/conf/eth1/use_tempaddr", "2"))
	advertise(t, c, "eth0", lab.Advert{Router: addr("fe80::bad")})
	own, astray := netip.MustParsePrefix("2001:db8:ec2:2::/64"), netip.MustParsePrefix("2001:db8:ec2::/64")
	advertise(t, c, "eth1", lab.Advert{Slaac: []netip.Prefix{own, astray}})
	ip(t, c, "link set eth1 up")
	ip(t, c, "addr add 2001:db8:ec2:2::38/128 dev eth1 nodad preferred_lft 3600 valid_lft 7200") // DHCPv6
	made := func() string { return ip(t, c, "-6 -o addr show dev eth1 scope global -tentative dynamic") }
	eventually(t, hang, "temporary addresses", func() bool { return strings.Count(made(), "temporary") == 2 })
	words := func() (out []string) {
		for line := range strings.Lines(made()) {
			out = append(out, strings.Fields(line)[3])
		}
		return out
	}
	before := words()
	out := ec2net(t, c, exitPartial, "up", "eth1")
	if want := "ignored a router advertisement on eth1: it says that 2001:db8:ec2::/64 is on-link, which is not a subnet of the interface"; !strings.Contains(out, want) {
		t.Errorf("up says\n%s\nwant %q", out, want)
	}
	if strings.Contains(out, "+ addr 2001:db8:ec2:2::38") {
		t.Errorf("the DHCPv6 client's address was added again:\n%s", out)
	}
	if table := ip(t, c, "-6 route show table 10001"); strings.Contains(table, "2001:db8:ec2::/64") || router(t, c) != "fe80:ec2::1" {
		t.Errorf("table 10001:\n%s", table)
	}
	for _, a := range in6 {
		answers(t, c, a)
	}
	ec2net(t, c, exitOK, "down", "eth1")
	ip(t, c, "link set eth1 up")
	if d := cmp.Diff(before, words()); d != "" && len(words()) != 0 { // a link that goes down takes them along
		t.Errorf("foreign addresses (-before +after):\n%s", d)
	}
}

// ipv6s that come later than the interface, and that go again.
func TestLateIPv6(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	configure(t, c, soon)
	k := keep(t, c, "eth1")
	must(t, c.Assign("eth1", in6...))
	must(t, k.Process.Signal(syscallHUP))
	for _, a := range in6 {
		eventually(t, hang, a.String(), func() bool {
			_, err := c.Client().Ping(t.Context(), a, lab.Ping{Timeout: 100 * time.Millisecond})
			return err == nil
		})
	}
	must(t, c.Release("eth1", in6...))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, "no IPv6 rule", func() bool { return !strings.Contains(ip(t, c, "-6 rule"), "10001") })
	answers(t, c, lab.EIP2)
}
