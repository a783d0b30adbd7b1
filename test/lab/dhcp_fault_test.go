package lab

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// What a client gets under each fault. The client is a library that nobody here wrote.
func TestDHCPFaults(t *testing.T) {
	c := newCloud(t, Config{})
	client := dhcpClient(t, c, "eth1")
	mask0, mask32 := 0, 32
	for name, test := range map[string]struct {
		fault DHCPFault
		see   func(ack *dhcpv4.DHCPv4) bool
	}{
		"lease times": {DHCPFault{Lease: 120 * time.Second, T1: time.Second, T2: 5 * time.Second}, func(a *dhcpv4.DHCPv4) bool {
			return a.IPAddressLeaseTime(0) == 2*time.Minute && a.IPAddressRenewalTime(0) == time.Second && a.IPAddressRebindingTime(0) == 5*time.Second
		}},
		"infinite":       {DHCPFault{Lease: InfiniteLease}, func(a *dhcpv4.DHCPv4) bool { return a.IPAddressLeaseTime(0) == InfiniteLease }},
		"mask 0":         {DHCPFault{Mask: &mask0}, func(a *dhcpv4.DHCPv4) bool { ones, bits := a.SubnetMask().Size(); return ones == 0 && bits == 32 }},
		"mask 32":        {DHCPFault{Mask: &mask32}, func(a *dhcpv4.DHCPv4) bool { ones, _ := a.SubnetMask().Size(); return ones == 32 }},
		"no router":      {DHCPFault{NoRouter: true}, func(a *dhcpv4.DHCPv4) bool { return len(a.Router()) == 0 }},
		"foreign router": {DHCPFault{Router: netip.MustParseAddr("192.0.2.1")}, func(a *dhcpv4.DHCPv4) bool { return a.Router()[0].Equal(net.IPv4(192, 0, 2, 1)) }},
		"wrong subnet":   {DHCPFault{Offer: netip.MustParseAddr("192.168.9.9")}, func(a *dhcpv4.DHCPv4) bool { return a.YourIPAddr.Equal(net.IPv4(192, 168, 9, 9)) }},
		"offer 0":        {DHCPFault{Offer: netip.IPv4Unspecified()}, func(a *dhcpv4.DHCPv4) bool { return a.YourIPAddr.Equal(net.IPv4zero) }},
		"offer all ones": {DHCPFault{Offer: netip.MustParseAddr("255.255.255.255")}, func(a *dhcpv4.DHCPv4) bool { return a.YourIPAddr.Equal(net.IPv4bcast) }},
		"other server":   {DHCPFault{Server: netip.MustParseAddr("10.0.2.9")}, func(a *dhcpv4.DHCPv4) bool { return a.ServerIdentifier().Equal(net.IPv4(10, 0, 2, 9)) }},
		"mtu": {DHCPFault{MTU: 68}, func(a *dhcpv4.DHCPv4) bool {
			return bytes.Equal(a.Options.Get(dhcpv4.OptionInterfaceMTU), []byte{0, 68})
		}},
		"own options": {DHCPFault{Options: map[uint8][]byte{121: {0, 10, 0, 2, 1}, 51: nil}}, func(a *dhcpv4.DHCPv4) bool {
			return bytes.Equal(a.Options.Get(dhcpv4.GenericOptionCode(121)), []byte{0, 10, 0, 2, 1}) && !a.Options.Has(dhcpv4.OptionIPAddressLeaseTime)
		}},
		"repeated":           {DHCPFault{Mangle: Repeated}, func(a *dhcpv4.DHCPv4) bool { return len(a.Options.Get(dhcpv4.OptionRouter)) == 8 }},
		"delay":              {DHCPFault{Delay: 20 * time.Millisecond}, func(a *dhcpv4.DHCPv4) bool { return true }},
		"silent":             {DHCPFault{Silent: true}, nil},
		"silent to REQUEST":  {DHCPFault{Silent: true, On: []string{"request"}}, nil},
		"silent to DISCOVER": {DHCPFault{Silent: true, On: []string{"DISCOVER"}}, nil},
		"nak":                {DHCPFault{NAK: true}, nil},
		"truncated":          {DHCPFault{Mangle: Truncated}, nil},
		"no magic":           {DHCPFault{Mangle: NoMagic}, nil},
		"stub":               {DHCPFault{Mangle: Stub}, nil},
		"garbage":            {DHCPFault{Mangle: Garbage}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.fault.Interface = "eth1"
			id, err := c.DHCP().Inject(test.fault)
			must(t, err)
			start := time.Now()
			lease, err := client.Request(within(t), dhcpv4.WithRequestedOptions(dhcpv4.OptionInterfaceMTU))
			if test.see == nil && err == nil {
				t.Errorf("got a lease: %s", lease.ACK.Summary())
			}
			if test.see != nil && (err != nil || !test.see(lease.ACK)) {
				t.Errorf("%v %v", err, lease)
			}
			if d := time.Since(start); d < test.fault.Delay {
				t.Errorf("answered after %v", d)
			}
			c.DHCP().Clear(id)
		})
	}
	if _, err := client.Request(within(t)); err != nil {
		t.Errorf("after Clear: %v", err)
	}
}

// Skip, Times, For and the interface.
func TestDHCPFaultCounts(t *testing.T) {
	c := newCloud(t, Config{})
	client := dhcpClient(t, c, "eth1")
	_, err := c.DHCP().Inject(DHCPFault{Interface: "eth0", Silent: true})
	must(t, err)
	_, err = c.DHCP().Inject(DHCPFault{Silent: true, Skip: 1, Times: 1})
	must(t, err)
	for i, want := range []bool{true, false, true} {
		if _, err := client.DiscoverOffer(within(t)); (err == nil) != want {
			t.Errorf("offer %d: %v", i, err)
		}
	}
	id, err := c.DHCP().Inject(DHCPFault{Silent: true, For: time.Millisecond})
	must(t, err)
	for len(c.DHCP().Faults()) > 1 {
		time.Sleep(time.Millisecond)
	}
	if _, there := c.DHCP().Faults()[id]; there {
		t.Error("a fault that has ended is listed")
	}
}

func TestDHCPFaultCheck(t *testing.T) {
	c := newCloud(t, Config{})
	mask := 33
	for want, f := range map[string]DHCPFault{
		`unknown message "OFFER"`:         {On: []string{"OFFER"}},
		"mask /33":                        {Mask: &mask},
		`unknown way to break`:            {Mangle: "backwards"},
		"time -1s":                        {Lease: -time.Second},
		"numbers cannot be negative":      {Skip: -1},
		"2001:db8::1 is not IPv4":         {Offer: netip.MustParseAddr("2001:db8::1")},
		`no interface "eth9" is attached`: {Interface: "eth9", NAK: true},
		"nor an MTU above 65535":          {MTU: 70000},
		"it says nothing of what goes":    {},
	} {
		if _, err := c.DHCP().Inject(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
}

// Overload: file and sname hold other values of the same options.
func TestMangleOverload(t *testing.T) {
	m, err := dhcpv4.New(dhcpv4.WithNetmask(net.CIDRMask(24, 32)))
	must(t, err)
	b := Overload.mangled(m.ToBytes())
	if i := bytes.Index(b[240:], []byte{52, 1, 3}); i != 0 {
		t.Errorf("option 52 at %d", i)
	}
	if !bytes.Equal(b[108:114], []byte{1, 4, 255, 0, 0, 0}) || !bytes.Contains(b[240:], []byte{1, 4, 255, 255, 255, 0}) || b[len(b)-1] != 255 {
		t.Errorf("% x", b)
	}
}
