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

// answering writes the card's setting.
func (c *docked) answering(t *testing.T, replies string) {
	t.Helper()
	configure(t, c.Cloud, fmt.Sprintf("replies = %q", replies))
}

// reaches tells whether a host gets an answer from the container's published port at an address.
func (c *docked) reaches(t *testing.T, from *lab.Node, at netip.Addr) bool {
	t.Helper()
	return echoed(t, from, netip.AddrPortFrom(at, published))
}

// echoed tells whether a host gets an answer from an echo server.
func echoed(t *testing.T, from *lab.Node, at netip.AddrPort) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", at.String())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	_, err = conn.Write([]byte("hello"))
	got := make([]byte, 5)
	if err == nil {
		_, err = conn.Read(got)
	}
	return err == nil && string(got) == "hello"
}

// marks is what by-card has in the kernel, and every other rule.
func (c *docked) marks() string {
	out, _ := runOn(c.Instance(), "nft list ruleset; { ip rule; ip -6 rule; } | sort; cat /proc/sys/net/ipv4/conf/*/src_valid_mark")
	return out
}

// wholeWorld is the world with what replies by card take.
func (c *docked) wholeWorld(t *testing.T) []string {
	t.Helper()
	return append(world(t, c.Cloud), c.marks())
}

// The field's oldest complaint about containers (moby #35251): one that is published on a secondary card's
// address is answered by the wrong card. With replies = "by-card" every address answers, to every peer,
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
				cards   []string
			}{{"by-source", []string{"eth1", "eth0"}}, {"by-card", []string{"eth1", "eth0"}}} {
				c.answering(t, step.replies)
				for _, card := range step.cards {
					ec2net(t, c.Cloud, exitOK, "up", card)
				}
				for _, q := range questions {
					what := fmt.Sprintf("%s: the container on %s for a host %s", step.replies, q.to, q.from.Name)
					if q.bySource || step.replies == "by-card" {
						eventually(t, 5*time.Second, what, func() bool { return c.reaches(t, q.from, addr(q.to)) })
					} else if c.reaches(t, q.from, addr(q.to)) {
						t.Errorf("%s: reached", what)
					}
				}
			}
			for _, card := range []string{"eth1", "eth0"} {
				ec2net(t, c.Cloud, exitOK, "down", card)
			}
			if d := cmp.Diff(lasting(before), lasting(c.wholeWorld(t))); d != "" {
				t.Errorf("after down (-before +after):\n%s", d)
			}
		})
	}
}

// Only what came in by a card is turned to it: what the container and the host begin goes as before, and so
// does what the host passes on between cards.
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
	must(t, c.Attach(lab.Card{Name: "eth2", Addrs4: []netip.Addr{addr("10.0.3.37")}, Forwarding: true}))
	inner, err := c.AddPeer("inner", addr("10.0.3.200"))
	must(t, err)
	must(t, c.AddRoute(lab.Route{Subnet: "inner", Prefix: netip.PrefixFrom(lab.ClientIP, 32), NextHop: addr("10.0.3.37")}))
	if out, status := runOn(c.Instance(), `nft -f - <<E
table ip gateway { chain c { type nat hook postrouting priority srcnat; ip saddr 10.0.3.200 oifname eth0 masquerade; }; }
E`); status != 0 {
		t.Fatal(out)
	}
	for _, replies := range []string{"by-source", "by-card"} {
		c.answering(t, replies)
		for _, card := range []string{"eth1", "eth2", "eth0"} {
			ec2net(t, c.Cloud, exitOK, "up", card)
		}
		for _, from := range []*lab.Node{c.box.Node, c.Instance(), inner} {
			card, source := c.leavesBy(t, from, web.Addr)
			if card != "eth0" || source != addr("10.0.0.29") {
				t.Errorf("%s: a connection of %s leaves by %s from %s", replies, from.Name, card, source)
			}
		}
	}
}

// A port that is passed on to another host of the VPC, by another card, or to another address of the host's own: the
// question goes there as main says, and the answer leaves by the card that was asked.
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
			for _, replies := range []string{"by-source", "by-card"} {
				c.answering(t, replies)
				for _, card := range []string{"eth1", "eth0"} {
					ec2net(t, c.Cloud, exitOK, "up", card)
				}
				for _, port := range []uint16{8080, 8081} {
					what := fmt.Sprintf("%s, port %d", replies, port)
					eventually(t, 5*time.Second, what+": by the first card", func() bool { return echoed(t, c.Client(), netip.AddrPortFrom(lab.EIP1, port)) })
					second := netip.AddrPortFrom(lab.EIP2, port)
					if replies == "by-card" {
						eventually(t, 5*time.Second, what+": by the second card", func() bool { return echoed(t, c.Client(), second) })
					} else if echoed(t, c.Client(), second) {
						t.Errorf("%s: reached by the second card", what)
					}
				}
			}
			// A packet of such a connection that comes in elsewhere, because its address has moved to another card.
			if out := ip(t, c.Cloud, "route get 172.17.0.2 mark 0x2000000"); !strings.Contains(out, "dev docker0") {
				t.Errorf("what was passed on to a container: %s", out)
			}
		})
	}
}

// leavesBy makes a connection, and tells by which of the instance's cards it left, and from which address.
func (c *docked) leavesBy(t *testing.T, from *lab.Node, to netip.AddrPort) (string, netip.Addr) {
	t.Helper()
	captures := map[string]*lab.Capture{}
	for _, card := range []string{"eth0", "eth1", "eth2"} {
		var err error
		captures[card], err = c.Capture(card)
		must(t, err)
		defer captures[card].Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to.String())
	if err != nil {
		t.Errorf("from %s: %v", from.Name, err)
		return "", netip.Addr{}
	}
	conn.Close()
	var by string
	var source netip.Addr
	eventually(t, 2*time.Second, "the connection is seen on the wire", func() bool {
		for card, seen := range captures {
			for _, p := range seen.Packets(lab.FromCard, lab.To(to.Addr()), lab.Proto(unix.IPPROTO_TCP)) {
				by, source = card, p.Src
			}
		}
		return by != ""
	})
	return by, source
}

// A connection to the container lives through what a host goes through: refreshes, a stop, a kill and a new start
// of the process, and all that somebody may undo. What is undone is back within a second.
func TestContainerKept(t *testing.T) {
	t.Parallel()
	c := withContainer(t, lab.Config{RPFilter: 1})
	c.answering(t, "by-card")
	before := c.wholeWorld(t)
	k := keep(t, c.Cloud, "eth1")
	k.notify.await(t, "lease until")
	// The kernel makes a new IPv6 address the host's own in a work queue of its own, a moment after READY on a busy machine.
	// A connection that is asked for before that is not translated, and stays so when it is asked for again.
	eventually(t, 5*time.Second, "the container answers", func() bool {
		return c.reaches(t, c.Client(), lab.EIP2) && c.reaches(t, c.Client(), in6[0])
	})
	session, err := c.Client().Stream(t.Context(), netip.AddrPortFrom(lab.EIP2, published))
	must(t, err)
	session6, err := c.Client().Stream(t.Context(), netip.AddrPortFrom(in6[0], published))
	must(t, err)
	held := c.marks()
	says(t, statusOf1(t, c.Cloud, "eth1"), "nftables   inet ec2net-10001: replies by card, mark 0x2000000/0x7f000000", "drift      none")

	for _, damage := range []string{
		"nft delete table inet ec2net-10001", "nft flush table inet ec2net-10001", "nft add rule inet ec2net-10001 prerouting drop",
		"nft flush chain inet ec2net-10001 prerouting", "ip rule del pref 19999 fwmark 0x2000000/0x7f000000", "ip -6 rule del pref 10001 fwmark 0x2000000/0x7f000000",
		"ip rule flush protocol 236",
	} {
		logged := k.log.String()
		if out, status := runOn(c.Instance(), damage); status != 0 {
			t.Fatalf("%s: %s", damage, out)
		}
		took := eventually(t, 5*time.Second, damage, // a second, on a machine that has nothing else to do
			func() bool { return c.marks() == held })
		t.Logf("%-60s right after %s", damage, took.Round(time.Millisecond))
		if news := strings.TrimPrefix(k.log.String(), logged); !strings.ContainsAny(news, "+~") {
			t.Errorf("%s: nothing of the repair is logged: %q", damage, news)
		}
	}
	must(t, session.Alive(t.Context()))

	ours := c.table(t)
	k.reload(t, c.Cloud)
	k.stop(t)
	c.unwritten(t, ours, "a stop")
	k = keep(t, c.Cloud, "eth1")
	c.unwritten(t, ours, "a new start")
	must(t, k.Process.Kill())
	<-k.ended
	k = keep(t, c.Cloud, "eth1")
	c.unwritten(t, ours, "kill -9 and a new start")
	if out, status := runOn(c.Instance(), "nft delete table inet ec2net-10001"); status != 0 {
		t.Fatal(out)
	}
	eventually(t, time.Second, "the table is back", func() bool { return c.table(t) != "" })
	for _, s := range []*lab.Stream{session, session6} {
		must(t, s.Alive(t.Context()))
		if err := s.Close(); err != nil {
			t.Errorf("the session with the container: %v", err)
		}
	}
	k.stop(t)
	ec2net(t, c.Cloud, exitOK, "down", "eth1")
	if d := cmp.Diff(lasting(before), lasting(c.wholeWorld(t))); d != "" {
		t.Errorf("after down (-before +after):\n%s", d)
	}
}

// table is the card's own nftables table.
func (c *docked) table(t *testing.T) string {
	t.Helper()
	out, status := runOn(c.Instance(), "nft -a list table inet ec2net-10001")
	if status != 0 {
		return ""
	}
	return out
}

// unwritten wants the table to be the very same: one that is written anew has other handles.
func (c *docked) unwritten(t *testing.T, before, what string) {
	t.Helper()
	if d := cmp.Diff(before, c.table(t)); d != "" || before == "" {
		t.Errorf("%s wrote the table (-before +after):\n%s", what, d)
	}
}

// The setting is changed while the card stays; and what is left when the process is killed and the card goes.
func TestContainerSwitched(t *testing.T) {
	t.Parallel()
	for _, found := range []string{"0", "1"} {
		t.Run("src_valid_mark was "+found, func(t *testing.T) {
			t.Parallel()
			c := withContainer(t, lab.Config{RPFilter: 1})
			must(t, c.Instance().Sysctl("net/ipv4/conf/eth1/src_valid_mark", found))
			untouched := c.wholeWorld(t)
			c.answering(t, "by-source")
			ec2net(t, c.Cloud, exitOK, "up", "eth1")
			plain := c.wholeWorld(t)
			c.answering(t, "by-card")
			plan := ec2net(t, c.Cloud, exitDifferences, "plan", "eth1")
			says(t, plan, "+ rule from all fwmark 0x2000000/0x7f000000 lookup 10001 pref 19999\n", "+ table inet ec2net-10001 { chain protocol-236 { };")
			if strings.Contains(plan, "~ sysctl net/ipv4/conf/eth1/src_valid_mark=1\n") != (found == "0") {
				t.Errorf("plan:\n%s", plan)
			}
			if d := cmp.Diff(plain, c.wholeWorld(t)); d != "" {
				t.Errorf("plan changed something:\n%s", d)
			}
			if out := ec2net(t, c.Cloud, exitOK, "up", "eth1"); !strings.Contains(out, "+ table inet ec2net-10001") {
				t.Errorf("up:\n%s", out)
			}
			if !c.reaches(t, c.Client(), lab.EIP2) {
				t.Error("the container is not reached")
			}
			ec2net(t, c.Cloud, exitOK, "plan", "eth1")
			c.answering(t, "by-source")
			ec2net(t, c.Cloud, exitOK, "up", "eth1")
			if d := cmp.Diff(plain, c.wholeWorld(t)); d != "" {
				t.Errorf("after the setting was taken back:\n%s", d)
			}
			c.answering(t, "by-card")
			k := keep(t, c.Cloud, "eth1")
			must(t, k.Process.Kill())
			<-k.ended
			if c.table(t) == "" {
				t.Error("no table after READY")
			}
			ec2net(t, c.Cloud, exitOK, "down", "eth1")
			if d := cmp.Diff(lasting(untouched), lasting(c.wholeWorld(t))); d != "" {
				t.Errorf("after kill -9 and down:\n%s", d)
			}
		})
	}
}

// The card goes while a process keeps it, and while none does: no table is left.
func TestContainerUnplugged(t *testing.T) {
	t.Parallel()
	c := withContainer(t, lab.Config{})
	c.answering(t, "by-card")
	tables := func() string {
		out, _ := runOn(c.Instance(), "nft list tables; ip rule; ip -6 rule")
		return out
	}
	before := tables()
	for _, kept := range []bool{true, false} {
		if kept {
			k := keep(t, c.Cloud, "eth1")
			must(t, c.Detach("eth1"))
			k.end(t)
		} else {
			must(t, c.Attach(lab.Eth1()))
			ec2net(t, c.Cloud, exitOK, "up", "eth1")
			must(t, c.Detach("eth1"))
			if tables() == before {
				t.Error("nothing was there to be cleared up")
			}
			ec2net(t, c.Cloud, exitOK, "down", "eth1")
		}
		if now := tables(); now != before {
			t.Errorf("kept %v: left after the card:\n%s", kept, now)
		}
	}
}

// Another program has a table of our name: it stays, that is said with what to do, and the rest is set up.
func TestContainerTableTaken(t *testing.T) {
	t.Parallel()
	c := withContainer(t, lab.Config{})
	c.answering(t, "by-card")
	if out, status := runOn(c.Instance(), "nft add table inet ec2net-10001; nft add chain inet ec2net-10001 mine"); status != 0 {
		t.Fatal(out)
	}
	before := c.table(t)
	out := ec2net(t, c.Cloud, exitPartial, "up", "eth1")
	says(t, out, `table inet ec2net-10001: another program's, left alone ("nft delete table inet ec2net-10001" makes room)`)
	answers(t, c.Cloud, lab.EIP2)
	ec2net(t, c.Cloud, exitOK, "down", "eth1")
	if now := c.table(t); now != before || now == "" {
		t.Errorf("another program's table:\n%s", now)
	}
}
