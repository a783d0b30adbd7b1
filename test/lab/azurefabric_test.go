package lab

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	addr68  = netip.MustParseAddr("172.22.5.68")
	addr4   = netip.MustParseAddr("172.22.5.4")
	addr132 = netip.MustParseAddr("172.22.5.132")
	testVM  = netip.MustParseAddr("172.22.5.140")
)

// run runs ip(8) or nft(8) on a host.
func run(t testing.TB, n *Node, line string) string {
	t.Helper()
	f := strings.Fields(line)
	out, err := n.Command(within(t), f[0], f[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// The metadata and the host's other server answer the primary address of the primary interface; what others ask
// vanishes and is counted.
func TestAzureServersByPrimaryOnly(t *testing.T) {
	c := newAzure(t)
	second := netip.MustParseAddr("172.22.5.69")
	must(t, c.Assign("eth1", second))
	run(t, c.Instance(), "ip addr add 172.22.5.69/32 dev eth1")
	l := setUp(t, c, "eth2", netip.PrefixFrom(addr4, 26))
	policy(t, c.Instance(), l, addr4, netip.MustParseAddr("172.22.5.1"))
	ask(t, c.Instance()).metadata(200, network)
	servers := []netip.Addr{netip.MustParseAddr("169.254.169.254"), WireServer}
	for _, a := range servers {
		alive(t, c.Instance(), a)
		for _, source := range []netip.Addr{second, addr4} {
			if _, err := c.Instance().Ping(within(t), a, Ping{Source: source, Timeout: 100 * time.Millisecond}); !errors.Is(err, ErrNoReply) {
				t.Errorf("%s answers %s: %v", a, source, err)
			}
		}
	}
	got, err := c.Astray()
	must(t, err)
	if want := []Drop{{"eth1", second, 2}, {"eth2", addr4, 2}}; !slices.Equal(got, want) {
		t.Errorf("dropped %v, want %v", got, want)
	}
}

// A machine without public address reaches the internet by one that is lent, and cannot be reached by it.
func TestAzureDefaultOutbound(t *testing.T) {
	c := newAzure(t)
	vm, err := c.AddPeer("testvm", testVM)
	must(t, err)
	seen, err := c.Client().Listen("tcp", netip.AddrPortFrom(ClientIP, 0))
	must(t, err)
	defer seen.Close()
	out, err := vm.Dial(within(t), "tcp", seen.Addr().String())
	must(t, err)
	defer out.Close()
	in, err := seen.Accept()
	must(t, err)
	defer in.Close()
	if got := netip.MustParseAddrPort(in.RemoteAddr().String()).Addr(); got != DefaultOutbound {
		t.Errorf("it comes from %s, want %s", got, DefaultOutbound)
	}
	alive(t, vm, ClientIP)
	dead(t, c.Client(), DefaultOutbound)
	dead(t, c.Client(), testVM)
}

// An interface with IP forwarding may send what is not its own, one without may not.
func TestAzureForwarding(t *testing.T) {
	c := newAzure(t)
	n := c.Instance()
	run(t, n, "ip addr add 192.0.2.7/32 dev lo")
	for want, forwarding := range []bool{true, false} {
		must(t, c.Forward("eth1", forwarding))
		before, err := c.Spoofed("eth1")
		must(t, err)
		_, err = n.Ping(within(t), ClientIP, Ping{Source: netip.MustParseAddr("192.0.2.7"), Timeout: 100 * time.Millisecond})
		if !errors.Is(err, ErrNoReply) {
			t.Errorf("%v", err)
		}
		after, err := c.Spoofed("eth1")
		must(t, err)
		if after-before != want {
			t.Errorf("forwarding %t: %d packets dropped, want %d", forwarding, after-before, want)
		}
	}
	k, err := c.Interface("eth1")
	must(t, err)
	if k.Forwarding {
		t.Error("the interface still shows that it forwards")
	}
}

// A route of the user's own takes a subnet's traffic to the appliance, but not what stays in the network or goes
// to the host's servers.
func TestRouteOfTheUser(t *testing.T) {
	c := newAzure(t)
	vm, err := c.AddPeer("testvm", testVM)
	must(t, err)
	setUp(t, c, "eth3", netip.PrefixFrom(addr132, 26))
	wire, err := c.Capture("eth3")
	must(t, err)
	alive(t, vm, ClientIP)
	must(t, c.AddRoute(Route{"subnet3", world4, addr132}))
	dead(t, vm, ClientIP) // the appliance does not forward yet
	if _, err := wire.Wait(within(t), ToInterface, From(testVM), To(ClientIP)); err != nil {
		t.Errorf("the packet did not come to the appliance: %v", err)
	}
	alive(t, vm, addr68) // in the network: not by the appliance
	alive(t, vm, WireServer)
	if got := wire.Packets(ToInterface, From(testVM), To(addr68), Proto(unix.IPPROTO_ICMP)); len(got) != 0 {
		t.Errorf("the appliance saw %v", got)
	}

	seen := len(wire.Packets(ToInterface, From(testVM), To(ClientIP)))
	must(t, c.Forward("eth3", false))
	dead(t, vm, ClientIP)
	if len(wire.Packets(ToInterface, From(testVM), To(ClientIP))) != seen {
		t.Error("an interface without IP forwarding was given the packet")
	}
	must(t, c.Forward("eth3", true))
	must(t, c.AddRoute(Route{"subnet3", netip.MustParsePrefix("172.22.5.64/26"), addr132}))
	alive(t, vm, addr68) // it is the appliance itself, on another interface
	if _, err := wire.Wait(within(t), ToInterface, From(testVM), To(addr68), Proto(unix.IPPROTO_ICMP)); err != nil {
		t.Errorf("the longer prefix is not followed: %v", err)
	}
	must(t, c.DeleteRoute("subnet3", netip.MustParsePrefix("172.22.5.64/26")))
	alive(t, vm, addr68)
	must(t, c.Detach("eth3"))
	dead(t, vm, ClientIP)
	must(t, c.DeleteRoute("subnet3", world4))
	alive(t, vm, ClientIP)
	if len(c.Routes()) != 0 {
		t.Error("the route is still there")
	}
}

func TestRouteRefused(t *testing.T) {
	c := newAzure(t)
	must(t, c.AddRoute(Route{"subnet3", world4, addr132}))
	for want, r := range map[string]Route{
		"no subnet":          {"subnet9", world4, addr132},
		"has a route":        {"subnet3", world4, addr4},
		"not in the VPC":     {"subnet2", world4, ClientIP},
		"without host bits":  {"subnet2", netip.MustParsePrefix("192.0.2.1/24"), addr132},
		"it takes an IPv4":   {"subnet2", world6, addr132},
		"subnet2: 0.0.0.0/0": {"subnet2", world4, netip.Addr{}},
	} {
		if err := c.AddRoute(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", r, err)
		}
	}
	if err := c.DeleteRoute("subnet2", world4); err == nil {
		t.Error("a route was deleted that is not there")
	}
}

// A load balancer's probe of a secondary interface: until source routing is right the answer leaves by the primary,
// where Azure drops it.
func TestAzureProbe(t *testing.T) {
	c := newAzure(t)
	for _, k := range []string{"eth1", "eth2"} {
		must(t, c.Forward(k, false))
	}
	gw := netip.MustParseAddr("172.22.5.1")
	l := naive(t, c, "eth2", netip.PrefixFrom(addr4, 26), gw)
	var at []netip.AddrPort
	for _, a := range []netip.Addr{addr68, addr4} {
		echo, err := c.Instance().Echo(netip.AddrPortFrom(a, 0))
		must(t, err)
		at = append(at, echo.Addr)
	}
	probe := func(to netip.AddrPort, iface string, well bool) {
		t.Helper()
		patience := 200 * time.Millisecond
		if iface != "" && (well || to.Port() == 1) { // something comes back
			patience = hang
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		got, err := c.Probe(ctx, to)
		if got != iface || (err == nil) != well {
			t.Errorf("%s was answered by %q: %v", to, got, err)
		}
	}
	probe(at[0], "eth1", true)
	probe(at[1], "eth1", false)
	policy(t, c.Instance(), l, addr4, gw)
	probe(at[1], "eth2", true)
	probe(netip.AddrPortFrom(addr4, 1), "eth2", false) // refused, by the right interface
	probe(netip.AddrPortFrom(addr132, 1), "", false)   // nobody there
	if _, err := c.Probe(t.Context(), netip.AddrPortFrom(testVM, 1)); err == nil || !strings.Contains(err.Error(), "no interface") {
		t.Errorf("%v", err)
	}
}

// By IPv6 the probe comes from the router's address on the link.
func TestAzureProbe6(t *testing.T) {
	c := newAzure(t)
	a := netip.MustParseAddr("2001:db8:a2e:2::9")
	must(t, c.Assign("eth2", a))
	l := setUp(t, c, "eth2", netip.PrefixFrom(addr4, 26))
	must(t, c.Instance().Netlink().AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 128)), Flags: unix.IFA_F_NODAD}))
	echo, err := c.Instance().Echo(netip.AddrPortFrom(a, 0))
	must(t, err)
	got, err := c.Probe(within(t), echo.Addr)
	if got != "eth2" || err != nil {
		t.Errorf("answered by %q: %v", got, err)
	}
}
