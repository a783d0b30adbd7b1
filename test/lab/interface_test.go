package lab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addOn adds addresses to an interface of a node.
func addOn(t testing.TB, n *Node, name string, ps ...netip.Prefix) {
	t.Helper()
	l, err := n.Netlink().LinkByName(name)
	must(t, err)
	for _, p := range ps {
		must(t, addAddr(n.Netlink(), l, p))
	}
}

// eth1Ready is a cloud in which eth1 works.
func eth1Ready(t testing.TB, cfg Config) *Cloud {
	t.Helper()
	c := newCloud(t, cfg)
	gw := netip.MustParseAddr("10.0.2.1")
	l := naive(t, c, "eth1", netip.PrefixFrom(ip10_0_2_37, 24), gw)
	policy(t, c.Instance(), l, ip10_0_2_37, gw)
	return c
}

// An interface appears bare and down, and disappears with everything that hung on it.
func TestAttachDetach(t *testing.T) {
	c := newCloud(t, Config{Interfaces: []Interface{Eth0()}})
	h := c.Instance().Netlink()
	for range 3 {
		must(t, c.Attach(Eth1()))
		l, err := h.LinkByName("eth1")
		must(t, err)
		addrs, err := h.AddrList(l, netlink.FAMILY_ALL)
		must(t, err)
		if l.Attrs().RawFlags&unix.IFF_UP != 0 || len(addrs) != 0 || l.Attrs().MTU != 1500 {
			t.Errorf("attached: %+v %v", l.Attrs(), addrs)
		}
		k, err := c.Interface("eth1")
		must(t, err)
		if l.Attrs().HardwareAddr.String() != k.MAC.String() || k.DeviceNumber != 1 || !strings.HasPrefix(k.ID, "eni-") {
			t.Errorf("interface: %+v", k)
		}
		must(t, h.LinkSetUp(l))
		must(t, c.Detach("eth1"))
		if _, err := h.LinkByName("eth1"); err == nil {
			t.Error("detached, but there")
		}
		if err := c.Detach("eth1"); err == nil {
			t.Error("detached twice")
		}
	}
	dead(t, c.Client(), EIP2)
	alive(t, c.Client(), EIP1)
}

func TestAttachRefuses(t *testing.T) {
	c := newCloud(t, Config{})
	addr := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	for want, k := range map[string]Interface{
		"no subnet":                       {Addrs4: addr("192.168.1.1")},
		`no subnet "x"`:                   {Subnet: "x", Addrs4: addr("10.0.0.5")},
		"10.0.0.29 is eth0's":             {Addrs4: addr("10.0.0.29")},
		"10.0.0.1 is the gateway":         {Addrs4: addr("10.0.0.1")},
		"10.0.2.5 is not in subnet-a":     {Subnet: "subnet-a", Addrs4: addr("10.0.2.5")},
		"instance has an interface eth1":  {Name: "eth1", Addrs4: addr("10.0.0.5")},
		"longer than 15":                  {Name: "enp0s31f6interface", Addrs4: addr("10.0.0.5")},
		"MAC 02:ec:20:00:00:00 is eth0's": {MAC: [6]byte{2, 0xec, 0x20}, Addrs4: addr("10.0.0.5")},
		"device number 1 is eth1's":       {DeviceNumber: 1, Addrs4: addr("10.0.0.5")},
		"not an address of the interface": {Addrs4: addr("10.0.0.5"), EIPs: map[netip.Addr]netip.Addr{ip10_0_0_29: EIP1}},
	} {
		if err := c.Attach(k); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", k, err, want)
		}
	}
	if n := len(c.Interfaces()); n != 2 {
		t.Errorf("%d interfaces", n)
	}
}

func TestNewRefuses(t *testing.T) {
	for want, cfg := range map[string]Config{
		"needs an interface": {Interfaces: []Interface{}},
		"rp_filter 3":        {RPFilter: 3},
		"lies in no block of the VPC": {
			Subnets: []Subnet{{ID: "s", CIDR: netip.MustParsePrefix("192.168.0.0/24")}},
		},
		"no subnet": {Interfaces: []Interface{{Name: "eth0", Addrs4: []netip.Addr{netip.MustParseAddr("172.16.0.1")}}}},
	} {
		c, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if c != nil {
			t.Errorf("%q: a cloud came with the error", want)
		}
	}
}

// A secondary address is delivered to the interface from Assign to Release, and only it may be used as a source.
func TestAssignRelease(t *testing.T) {
	c := eth1Ready(t, Config{})
	second, eip := netip.MustParseAddr("10.0.2.40"), netip.MustParseAddr("203.0.113.40")
	must(t, c.Assign("eth1", second))
	must(t, c.AssociateEIP(second, eip))
	dead(t, c.Client(), eip) // the host does not have it yet
	addOn(t, c.Instance(), "eth1", netip.PrefixFrom(second, 32))
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.Src = netlink.FAMILY_V4, 20001, 10001, ipNet(netip.PrefixFrom(second, 32))
	must(t, c.Instance().Netlink().RuleAdd(rule))
	alive(t, c.Client(), eip)
	alive(t, c.Client(), EIP2)

	must(t, c.Release("eth1", second))
	dead(t, c.Client(), eip)
	before, err := c.Spoofed("eth1")
	must(t, err)
	_, _ = c.Instance().Ping(within(t), ClientIP, Ping{Source: second, Timeout: 50 * time.Millisecond})
	if after, _ := c.Spoofed("eth1"); after != before+1 {
		t.Errorf("a released source was let through: %d, then %d dropped", before, after)
	}
	for name, err := range map[string]error{
		"release again":   c.Release("eth1", second),
		"release primary": c.Release("eth1", ip10_0_2_37),
		"assign taken":    c.Assign("eth1", ip10_0_2_37),
		"assign foreign":  c.Assign("eth1", netip.MustParseAddr("10.0.0.99")),
		"assign to none":  c.Assign("eth9", second),
		"EIP of nobody":   c.AssociateEIP(second, eip),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Move: the address, its elastic IP and the right to use it go to the other interface at once.
func TestMove(t *testing.T) {
	second, eip := netip.MustParseAddr("10.0.2.40"), netip.MustParseAddr("203.0.113.40")
	eth1, eth2 := Eth1(), Interface{Name: "eth2", Addrs4: []netip.Addr{netip.MustParseAddr("10.0.2.60")}}
	eth1.Addrs4 = append(eth1.Addrs4, second)
	eth1.EIPs[second] = eip
	c := newCloud(t, Config{Interfaces: []Interface{Eth0(), eth1, eth2}})
	up(t, c, "eth1")
	up(t, c, "eth2")
	toInterface := func(name string) *Capture {
		capture, err := c.Capture(name)
		must(t, err)
		return capture
	}
	one, two := toInterface("eth1"), toInterface("eth2")
	dead(t, c.Client(), eip)
	if _, err := one.Wait(within(t), ToInterface, To(second)); err != nil {
		t.Errorf("before: not sent to eth1: %v", err)
	}
	must(t, c.Move(second, "eth1", "eth2"))
	dead(t, c.Client(), eip)
	if _, err := two.Wait(within(t), ToInterface, To(second)); err != nil {
		t.Errorf("after: not sent to eth2: %v", err)
	}
	if n := len(one.Packets(ToInterface, To(second))); n != 1 {
		t.Errorf("eth1 got %d packets, want 1", n)
	}
	from, err := c.Interface("eth1")
	must(t, err)
	to, err := c.Interface("eth2")
	must(t, err)
	if slices.Contains(from.Addrs4, second) || !slices.Contains(to.Addrs4, second) || to.EIPs[second] != eip || len(from.EIPs) != 1 {
		t.Errorf("after: %+v %+v", from, to)
	}
	if err := c.Move(second, "eth2", "eth0"); err == nil {
		t.Error("moved to another subnet")
	}
}

// A delegated prefix is delivered and may be used as a source.
func TestPrefix(t *testing.T) {
	c := eth1Ready(t, Config{})
	p, in := netip.MustParsePrefix("10.0.2.128/28"), netip.MustParseAddr("10.0.2.130")
	must(t, c.AssignPrefix("eth1", p))
	addOn(t, c.Instance(), "eth1", netip.PrefixFrom(in, 32))
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.Src = netlink.FAMILY_V4, 20001, 10001, ipNet(p)
	must(t, c.Instance().Netlink().RuleAdd(rule))
	alive(t, c.Fabric(), in)
	must(t, c.ReleasePrefix("eth1", p))
	if _, err := c.Fabric().Ping(within(t), in, Ping{Timeout: 50 * time.Millisecond}); err == nil {
		t.Error("released, but delivered")
	}
	for name, err := range map[string]error{
		"twice":     c.ReleasePrefix("eth1", p),
		"host bits": c.AssignPrefix("eth1", netip.MustParsePrefix("10.0.2.129/28")),
		"foreign":   c.AssignPrefix("eth1", netip.MustParsePrefix("10.0.0.128/28")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFreeAddr(t *testing.T) {
	small := Subnet{ID: "small", CIDR: netip.MustParsePrefix("10.0.9.0/28")}
	c := newCloud(t, Config{Subnets: append(Config{}.withDefaults().Subnets, small)})
	k := Interface{Name: "eth2", Addrs4: []netip.Addr{netip.MustParseAddr("10.0.9.4")}, Prefixes4: []netip.Prefix{netip.MustParsePrefix("10.0.9.8/29")}}
	must(t, c.Attach(k))
	for _, want := range []string{"10.0.9.5", "10.0.9.6", "10.0.9.7"} {
		a, err := c.FreeAddr("small")
		if err != nil || a.String() != want {
			t.Fatalf("%s %v, want %s", a, err, want)
		}
		must(t, c.Assign("eth2", a))
	}
	for _, subnet := range []string{"small", "none"} {
		if a, err := c.FreeAddr(subnet); err == nil {
			t.Errorf("%s in %s", a, subnet)
		}
	}
}
