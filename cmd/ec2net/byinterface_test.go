package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// published is the port of the host that leads to port 80 of the container.
const published = 8080

// docked is an instance with a container behind a bridge, published in both families.
type docked struct {
	*lab.Cloud
	box *lab.Container
}

func withContainer(t *testing.T, cfg lab.Config) *docked {
	t.Helper()
	c := &docked{Cloud: cloud(t, dual(cfg))}
	bridge, err := c.Instance().Bridge("docker0", netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("fd00:17::/64"))
	must(t, err)
	c.box, err = bridge.Container("web")
	must(t, err)
	for _, a := range c.box.Addrs {
		must(t, bridge.Publish(published, netip.AddrPortFrom(a, 80)))
		_, err := c.box.Echo(netip.AddrPortFrom(a, 80))
		must(t, err)
	}
	return c
}

// answering writes the interface's setting.
func (c *docked) answering(t *testing.T, replies string) {
	t.Helper()
	configure(t, c.Cloud, fmt.Sprintf("replies = %q", replies))
}

// reaches tells whether a host gets an answer from the container's published port at an address.
func (c *docked) reaches(t *testing.T, from *lab.Node, at netip.Addr) bool {
	t.Helper()
	return echoed(t, from, netip.AddrPortFrom(at, published))
}

// echoed tells whether a host gets an answer from an echo server, soon.
func echoed(t *testing.T, from *lab.Node, at netip.AddrPort) bool {
	t.Helper()
	return echoedWithin(t, 500*time.Millisecond, from, at)
}

// echoedWithin makes one connection. Asked for before it can be answered, it may never be.
func echoedWithin(t *testing.T, limit time.Duration, from *lab.Node, at netip.AddrPort) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", at.String())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	_, err = conn.Write([]byte("hello"))
	got := make([]byte, 5)
	if err == nil {
		_, err = conn.Read(got)
	}
	return err == nil && string(got) == "hello"
}

// marks is what by-interface has in the kernel, and every other rule.
func (c *docked) marks() string {
	out, _ := runOn(c.Instance(), "nft list ruleset; { ip rule; ip -6 rule; } | sort; cat /proc/sys/net/ipv4/conf/*/src_valid_mark")
	return out
}

// wholeWorld is the world with what replies by interface take.
func (c *docked) wholeWorld(t *testing.T) []string {
	t.Helper()
	return append(world(t, c.Cloud), c.marks())
}

// The field's oldest complaint about containers (moby #35251): one that is published on a secondary interface's
// address is answered by the wrong interface. With replies = "by-interface" every address answers, to every peer,
// whatever rp_filter; and the setting can be taken back.
func TestContainerPublished(t *testing.T) {
	t.Parallel()
	for rp := range 3 {
		t.Run(fmt.Sprintf("rp_filter %d", rp), func(t *testing.T) {
			t.Parallel()
			c := withContainer(t, lab.Config{RPFilter: rp})
			a, err := c.AddPeer("in eth0's subnet", addr("10.0.0.200"), addr("2001:db8:ec2::200"))
			must(t, err)
			b, err := c.AddPeer("in eth1's subnet", addr("10.0.2.200"), addr("2001:db8:ec2:2::200"))
			must(t, err)
			before := c.wholeWorld(t)
			type question struct {
				from     *lab.Node
				to       string
				bySource bool
			}
			questions := []question{
				{c.Client(), lab.EIP1.String(), true}, {c.Client(), eth0v6.String(), true}, // main leads there
				{c.Client(), lab.EIP2.String(), false}, {c.Client(), in6[0].String(), false}, {c.Client(), in6[1].String(), false},
				{a, "10.0.0.29", true}, {a, "10.0.2.37", false}, {a, in6[0].String(), false},
				{b, "10.0.2.37", true}, {b, in6[0].String(), true}, {b, "10.0.0.29", false}, {b, eth0v6.String(), false},
			}
			for _, step := range []struct {
				replies string
				ifaces  []string
			}{{"by-source", []string{"eth1", "eth0"}}, {"by-interface", []string{"eth1", "eth0"}}} {
				c.answering(t, step.replies)
				for _, iface := range step.ifaces {
					ec2net(t, c.Cloud, exitOK, "up", iface)
				}
				for _, q := range questions {
					what := fmt.Sprintf("%s: the container on %s for a host %s", step.replies, q.to, q.from.Name)
					if q.bySource || step.replies == "by-interface" {
						eventually(t, hang, what, func() bool { return c.reaches(t, q.from, addr(q.to)) })
					} else if c.reaches(t, q.from, addr(q.to)) {
						t.Errorf("%s: reached", what)
					}
				}
			}
			for _, iface := range []string{"eth1", "eth0"} {
				ec2net(t, c.Cloud, exitOK, "down", iface)
			}
			if d := cmp.Diff(lasting(before), lasting(c.wholeWorld(t))); d != "" {
				t.Errorf("after down (-before +after):\n%s", d)
			}
		})
	}
}

// Only what came in by an interface is turned to it: what the container and the host begin goes as before, and so
// does what the host passes on between interfaces.
func TestContainerOutwards(t *testing.T) {
	t.Parallel()
	subnet := func(id, four, six string) lab.Subnet {
		return lab.Subnet{ID: id, CIDR: netip.MustParsePrefix(four), IPv6: netip.MustParsePrefix(six)}
	}
	c := withContainer(t, lab.Config{RPFilter: 1, Subnets: []lab.Subnet{
		subnet("a", "10.0.0.0/24", "2001:db8:ec2::/64"), subnet("c", "10.0.2.0/24", "2001:db8:ec2:2::/64"), subnet("inner", "10.0.3.0/24", "2001:db8:ec2:3::/64"),
	}})
	web, err := c.Client().Echo(netip.AddrPortFrom(lab.ClientIP, 80))
	must(t, err)
	// The instance is also the router of the hosts in the subnet "inner": in by eth2, out by eth0, and back.
	must(t, c.Attach(lab.Interface{Name: "eth2", Addrs4: []netip.Addr{addr("10.0.3.37")}, Forwarding: true}))
	inner, err := c.AddPeer("inner", addr("10.0.3.200"))
	must(t, err)
	must(t, c.AddRoute(lab.Route{Subnet: "inner", Prefix: netip.PrefixFrom(lab.ClientIP, 32), NextHop: addr("10.0.3.37")}))
	if out, status := runOn(c.Instance(), `nft -f - <<E
table ip gateway { chain c { type nat hook postrouting priority srcnat; ip saddr 10.0.3.200 oifname eth0 masquerade; }; }
E`); status != 0 {
		t.Fatal(out)
	}
	for _, replies := range []string{"by-source", "by-interface"} {
		c.answering(t, replies)
		for _, iface := range []string{"eth1", "eth2", "eth0"} {
			ec2net(t, c.Cloud, exitOK, "up", iface)
		}
		for _, from := range []*lab.Node{c.box.Node, c.Instance(), inner} {
			iface, source := c.leavesBy(t, from, web.Addr)
			if iface != "eth0" || source != addr("10.0.0.29") {
				t.Errorf("%s: a connection of %s leaves by %s from %s", replies, from.Name, iface, source)
			}
		}
	}
}

// A port that is passed on to another host of the VPC, by another interface, or to another address of the host's own:
// the question goes there as main says, and the answer leaves by the interface that was asked.
func TestForwardedElsewhere(t *testing.T) {
	t.Parallel()
	for _, strict := range []int{0, 1} {
		t.Run(fmt.Sprintf("rp_filter %d", strict), func(t *testing.T) {
			t.Parallel()
			c := withContainer(t, lab.Config{RPFilter: strict})
			backend, err := c.AddPeer("backend", addr("10.0.0.200"))
			must(t, err)
			_, err = backend.Echo(netip.MustParseAddrPort("10.0.0.200:80"))
			must(t, err)
			_, err = c.Instance().Echo(netip.MustParseAddrPort("10.0.0.29:80"))
			must(t, err)
			if out, status := runOn(c.Instance(), `nft -f - <<E
table ip forward {
	chain in { type nat hook prerouting priority -101; tcp dport 8080 dnat to 10.0.0.200:80; tcp dport 8081 dnat to 10.0.0.29:80; };
	chain out { type nat hook postrouting priority srcnat; ip daddr 10.0.0.200 oifname eth0 masquerade; };
}
E`); status != 0 {
				t.Fatal(out)
			}
			for _, replies := range []string{"by-source", "by-interface"} {
				c.answering(t, replies)
				for _, iface := range []string{"eth1", "eth0"} {
					ec2net(t, c.Cloud, exitOK, "up", iface)
				}
				for _, port := range []uint16{8080, 8081} {
					what := fmt.Sprintf("%s, port %d", replies, port)
					eventually(t, hang, what+": by the first interface", func() bool { return echoed(t, c.Client(), netip.AddrPortFrom(lab.EIP1, port)) })
					second := netip.AddrPortFrom(lab.EIP2, port)
					if replies == "by-interface" {
						eventually(t, hang, what+": by the second interface", func() bool { return echoed(t, c.Client(), second) })
					} else if echoed(t, c.Client(), second) {
						t.Errorf("%s: reached by the second interface", what)
					}
				}
			}
			// A packet of such a connection that comes in elsewhere, because its address has moved to another interface.
			if out := ip(t, c.Cloud, "route get 172.17.0.2 mark 0x2000000"); !strings.Contains(out, "dev docker0") {
				t.Errorf("what was passed on to a container: %s", out)
			}
		})
	}
}

// leavesBy makes a connection, and tells by which of the instance's interfaces it left, and from which address.
func (c *docked) leavesBy(t *testing.T, from *lab.Node, to netip.AddrPort) (string, netip.Addr) {
	t.Helper()
	captures := map[string]*lab.Capture{}
	for _, iface := range []string{"eth0", "eth1", "eth2"} {
		var err error
		captures[iface], err = c.Capture(iface)
		must(t, err)
		defer captures[iface].Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to.String())
	if err != nil {
		t.Errorf("from %s: %v", from.Name, err)
		return "", netip.Addr{}
	}
	conn.Close()
	var by string
	var source netip.Addr
	eventually(t, hang, "the connection is seen on the wire", func() bool {
		for iface, seen := range captures {
			for _, p := range seen.Packets(lab.FromInterface, lab.To(to.Addr()), lab.Proto(unix.IPPROTO_TCP)) {
				by, source = iface, p.Src
			}
		}
		return by != ""
	})
	return by, source
}
