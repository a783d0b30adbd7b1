package lab

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ec2net/test/testkit"
)

// newCloud makes a cloud that ends with the test.
func newCloud(t testing.TB, cfg Config) *Cloud {
	t.Helper()
	c, err := New(cfg)
	must(t, err)
	testkit.Closes(t, "the lab", c)
	return c
}

var must = testkit.Must

// hang is a time that nothing here takes: it ends a test that hangs, and measures nothing.
const hang = time.Minute

// within is a context that ends with the test or when it hangs.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	t.Cleanup(cancel)
	return ctx
}

var (
	ip10_0_0_29 = netip.MustParseAddr("10.0.0.29")
	ip10_0_2_37 = netip.MustParseAddr("10.0.2.37")
)

// naive brings eth1 up as RHEL's NetworkManager does in seed 002: address, and a second default route with a
// higher metric.
func naive(t testing.TB, c *Cloud, name string, addr netip.Prefix, gw netip.Addr) netlink.Link {
	t.Helper()
	h := c.Instance().Netlink()
	l, err := h.LinkByName(name)
	must(t, err)
	must(t, h.LinkSetUp(l))
	must(t, c.Settle(name))
	must(t, h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(addr)}))
	must(t, h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(world4), Gw: gw.AsSlice(), Priority: 101, Protocol: unix.RTPROT_DHCP}))
	return l
}

// policy adds what the seed's author found: a rule and a table.
func policy(t testing.TB, n *Node, l netlink.Link, src netip.Addr, gw netip.Addr) {
	t.Helper()
	h := n.Netlink()
	must(t, h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(world4), Gw: gw.AsSlice(), Table: 10001}))
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table = netlink.FAMILY_V4, 20001, 10001
	rule.Src = ipNet(netip.PrefixFrom(src, 32))
	must(t, h.RuleAdd(rule))
}

func alive(t testing.TB, n *Node, dst netip.Addr) {
	t.Helper()
	if _, err := n.Ping(within(t), dst, Ping{Tries: 3}); err != nil {
		t.Errorf("want an answer: %v", err)
	}
}

func dead(t testing.TB, n *Node, dst netip.Addr) {
	t.Helper()
	if _, err := n.Ping(within(t), dst, Ping{Timeout: 150 * time.Millisecond}); !errors.Is(err, ErrNoReply) {
		t.Errorf("ping %s: %v, want ErrNoReply", dst, err)
	}
}

// The seed: the second elastic IP is dead whatever rp_filter is, and where the packet dies depends on it.
func TestSeed002(t *testing.T) {
	for rp, wantSpoofed := range map[int]int{0: 1, 1: 0, 2: 1} {
		t.Run("rp_filter="+strconv.Itoa(rp), func(t *testing.T) {
			c := newCloud(t, Config{RPFilter: rp})
			gw := netip.MustParseAddr("10.0.2.1")
			alive(t, c.Client(), EIP1)
			dead(t, c.Client(), EIP2)
			l := naive(t, c, "eth1", netip.PrefixFrom(ip10_0_2_37, 24), gw)
			alive(t, c.Client(), EIP1)
			dead(t, c.Client(), EIP2)

			spoofed, err := c.Spoofed("eth0")
			must(t, err)
			if spoofed != wantSpoofed {
				t.Errorf("%d packets failed eth0's source check, want %d", spoofed, wantSpoofed)
			}
			filtered, err := c.Instance().NetStat("TcpExt", "IPReversePathFilter")
			must(t, err)
			if want := uint64(1 - wantSpoofed); filtered != want {
				t.Errorf("rp_filter dropped %d packets, want %d", filtered, want)
			}
			drops, err := c.SourceCheck()
			must(t, err)
			if want := []Drop{{"eth0", ip10_0_2_37, 1}}; wantSpoofed == 1 && !slices.Equal(drops, want) {
				t.Errorf("dropped %v, want %v", drops, want)
			}

			policy(t, c.Instance(), l, ip10_0_2_37, gw)
			alive(t, c.Client(), EIP1)
			alive(t, c.Client(), EIP2)
		})
	}
}

// What the wire shows: the interface that an answer left by.
func TestCapture(t *testing.T) {
	c := newCloud(t, Config{})
	seen := map[string]*Capture{}
	for _, iface := range []string{"eth0", "eth1"} {
		capture, err := c.Capture(iface)
		must(t, err)
		seen[iface] = capture
	}
	gw := netip.MustParseAddr("10.0.2.1")
	l := naive(t, c, "eth1", netip.PrefixFrom(ip10_0_2_37, 24), gw)
	answer := []func(Packet) bool{FromInterface, From(ip10_0_2_37), To(ClientIP), Proto(unix.IPPROTO_ICMP)}

	dead(t, c.Client(), EIP2)
	if _, err := seen["eth0"].Wait(within(t), answer...); err != nil {
		t.Errorf("before: the answer was not seen on eth0: %v", err)
	}
	if got := seen["eth1"].Packets(answer...); len(got) != 0 {
		t.Errorf("before: the answer left by eth1: %v", got)
	}
	if _, err := seen["eth1"].Wait(within(t), ToInterface, To(ip10_0_2_37), From(ClientIP)); err != nil {
		t.Errorf("before: the question was not seen on eth1: %v", err)
	}

	policy(t, c.Instance(), l, ip10_0_2_37, gw)
	before := len(seen["eth0"].Packets(answer...))
	alive(t, c.Client(), EIP2)
	if _, err := seen["eth1"].Wait(within(t), answer...); err != nil {
		t.Errorf("after: the answer was not seen on eth1: %v", err)
	}
	if got := len(seen["eth0"].Packets(answer...)); got != before {
		t.Errorf("after: %d answers left by eth0", got-before)
	}
	traffic, err := c.Traffic("eth1")
	must(t, err)
	if traffic.FromInterface == 0 || traffic.ToInterface == 0 || traffic.FromInterfaceBytes < 98 {
		t.Errorf("eth1's cable counted %+v", traffic)
	}
}
