package lab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// Elastic IPs change hands, and one of one's own can be reached from inside.
func TestEIP(t *testing.T) {
	c := eth1Ready(t, Config{})
	alive(t, c.Instance(), EIP2)
	capture, err := c.Capture("eth1")
	must(t, err)
	must(t, c.AssociateEIP(ip10_0_2_37, EIP1)) // takes it from eth0, and EIP2's place
	alive(t, c.Client(), EIP1)
	if _, err := capture.Wait(within(t), FromInterface, From(ip10_0_2_37)); err != nil {
		t.Errorf("EIP1 is not eth1's: %v", err)
	}
	dead(t, c.Client(), EIP2)
	must(t, c.DisassociateEIP(EIP1))
	must(t, c.DisassociateEIP(EIP1))
	dead(t, c.Client(), EIP1)
	_, _ = c.Instance().Ping(within(t), ClientIP, Ping{Timeout: 30 * time.Millisecond})
	drops, err := c.NoPublicAddress()
	must(t, err)
	if !slices.ContainsFunc(drops, func(d Drop) bool { return d.Interface == "eth0" && d.Source == ip10_0_0_29 && d.Packets > 0 }) {
		t.Errorf("without an elastic IP: %v", drops)
	}
	if err := c.AssociateEIP(ip10_0_0_29, netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Error("an IPv6 elastic IP")
	}
}

// TCP and UDP keep right checksums through the elastic IP, and ICMP errors find their way.
func TestEIPTransport(t *testing.T) {
	c := newCloud(t, Config{})
	echo, err := c.Instance().Echo(netip.MustParseAddrPort("0.0.0.0:22"))
	must(t, err)
	s, err := c.Client().Stream(within(t), netip.AddrPortFrom(EIP1, echo.Addr.Port()))
	must(t, err)
	must(t, s.Alive(within(t)))
	must(t, s.Close())

	udp, err := c.Instance().ListenPacket("udp4", netip.MustParseAddrPort("10.0.0.29:5353"))
	must(t, err)
	defer udp.Close()
	for port, want := range map[string]string{"5353": "", "9": "connection refused"} {
		conn, err := c.Client().Dial(within(t), "udp", EIP1.String()+":"+port)
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(hang)))
		_, err = conn.Write([]byte("hello"))
		must(t, err)
		buf := make([]byte, 16)
		if want == "" {
			n, from, err := udp.ReadFrom(buf)
			must(t, err)
			_, err = udp.WriteTo(buf[:n], from)
			must(t, err)
		}
		_, err = conn.Read(buf)
		if (want == "" && err != nil) || (want != "" && (err == nil || !strings.Contains(err.Error(), want))) {
			t.Errorf("port %s: %v, want %q", port, err, want)
		}
		conn.Close()
	}
}

// Peers in the same subnet answer ARP and each other, in both families, and so do those of another subnet.
func TestPeers(t *testing.T) {
	six := func(s string) netip.Addr { return netip.MustParseAddr("2001:db8:ec2:" + s) }
	eth0 := Eth0()
	eth0.Addrs6 = []netip.Addr{six(":29")}
	c := newCloud(t, Config{Interfaces: []Interface{eth0}})
	near, err := c.AddPeer("near", netip.MustParseAddr("10.0.0.80"), six(":80"))
	must(t, err)
	far, err := c.AddPeer("far", netip.MustParseAddr("10.0.2.80"), six("2::80"))
	must(t, err)
	for _, dst := range []netip.Addr{netip.MustParseAddr("10.0.0.80"), netip.MustParseAddr("10.0.2.80"), six(":80"), six("2::80"), ClientIP6} {
		alive(t, c.Instance(), dst)
	}
	for _, n := range []*Node{near, far} {
		alive(t, n, ip10_0_0_29)
		alive(t, n, six(":29"))
	}
	alive(t, c.Client(), six(":29"))
	// Nobody answers for an address that no interface has.
	if _, err := c.Instance().Ping(within(t), netip.MustParseAddr("10.0.0.81"), Ping{Timeout: 30 * time.Millisecond}); err == nil {
		t.Error("somebody answers for 10.0.0.81")
	}
	if _, err := c.AddPeer("near", netip.MustParseAddr("10.0.0.82")); err == nil {
		t.Error("two peers of one name")
	}
	if _, err := c.AddPeer("odd", netip.MustParseAddr("10.0.0.80")); err == nil {
		t.Error("two peers of one address")
	}
	if _, err := c.Node("odd"); err == nil {
		t.Error("a refused peer is there")
	}
	if k, err := c.Interface("far/eth0"); err != nil || k.Subnet != "subnet-c" || k.DeviceNumber != 0 {
		t.Errorf("far/eth0: %+v %v", k, err)
	}
	if k, err := c.Interface("eth0"); err != nil || k.Addrs4[0] != ip10_0_0_29 {
		t.Errorf("eth0: %+v %v", k, err)
	}
}

// Two interfaces in one subnet: the wire shows which one answered.
func TestSameSubnet(t *testing.T) {
	second := Interface{Name: "eth1", Addrs4: []netip.Addr{netip.MustParseAddr("10.0.0.30")}}
	c := newCloud(t, Config{Interfaces: []Interface{Eth0(), second}})
	peer, err := c.AddPeer("peer", netip.MustParseAddr("10.0.0.80"))
	must(t, err)
	l, err := c.Instance().Netlink().LinkByName("eth1")
	must(t, err)
	must(t, c.Instance().Netlink().LinkSetUp(l))
	must(t, c.Settle("eth1"))
	addOn(t, c.Instance(), "eth1", netip.MustParsePrefix("10.0.0.30/32"))
	// Without policy routing the answer leaves by eth0, and dies there.
	dead(t, peer, second.Addrs4[0])
	if n, err := c.Spoofed("eth0"); err != nil || n != 1 {
		t.Errorf("%d packets failed eth0's source check (%v), want 1", n, err)
	}
	h := c.Instance().Netlink()
	must(t, h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(netip.MustParsePrefix("10.0.0.0/24")), Scope: netlink.SCOPE_LINK, Table: 10001}))
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.Src = netlink.FAMILY_V4, 100, 10001, ipNet(netip.MustParsePrefix("10.0.0.30/32"))
	must(t, h.RuleAdd(rule))
	alive(t, peer, second.Addrs4[0])
}

// IPv6: the gateway, the source check and two interfaces in one subnet.
func TestIPv6(t *testing.T) {
	a := netip.MustParseAddr("2001:db8:ec2::29")
	b := netip.MustParseAddr("2001:db8:ec2:2::37")
	eth0, eth1 := Eth0(), Eth1()
	eth0.Addrs6, eth1.Addrs6 = []netip.Addr{a}, []netip.Addr{b}
	c := newCloud(t, Config{Interfaces: []Interface{eth0, eth1}})
	alive(t, c.Client(), a)
	up(t, c, "eth1")
	addOn(t, c.Instance(), "eth1", netip.PrefixFrom(b, 128))
	var drops []Drop
	for range 20 { // an IPv6 address is in use a moment after it was added
		dead(t, c.Client(), b)
		var err error
		drops, err = c.SourceCheck()
		must(t, err)
		if len(drops) > 0 {
			break
		}
	}
	if want := []Drop{{"eth0", b, 1}}; !slices.Equal(drops, want) {
		t.Errorf("dropped %v, want %v", drops, want)
	}
	l, err := c.Instance().Netlink().LinkByName("eth1")
	must(t, err)
	h := c.Instance().Netlink()
	must(t, h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(world6), Gw: Gateway6.AsSlice(), Table: 10001}))
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table, rule.Src = netlink.FAMILY_V6, 100, 10001, ipNet(netip.PrefixFrom(b, 128))
	must(t, h.RuleAdd(rule))
	alive(t, c.Client(), b)
	must(t, c.Assign("eth1", netip.MustParseAddr("2001:db8:ec2:2::38")))
	must(t, c.Release("eth1", netip.MustParseAddr("2001:db8:ec2:2::38")))
}
