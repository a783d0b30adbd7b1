package lab

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"golang.org/x/sys/unix"
)

// up sets an interface up without an address.
func up(t testing.TB, c *Cloud, name string) {
	t.Helper()
	l, err := c.Instance().Netlink().LinkByName(name)
	must(t, err)
	must(t, c.Instance().Netlink().LinkSetUp(l))
	must(t, c.Settle(name))
}

// dhcpClient is a client of a library on an interface that asks once. What gets no answer waits for as long as it does.
func dhcpClient(t testing.TB, c *Cloud, name string) *nclient4.Client {
	t.Helper()
	up(t, c, name)
	var client *nclient4.Client
	must(t, c.Instance().Do(func() (err error) {
		client, err = nclient4.New(name, nclient4.WithTimeout(2*time.Second), nclient4.WithRetry(1))
		return err
	}))
	t.Cleanup(func() { client.Close() })
	return client
}

// The whole of EC2's answer.
func TestDHCPLease(t *testing.T) {
	c := newCloud(t, Config{})
	lease, err := dhcpClient(t, c, "eth1").Request(within(t), dhcpv4.WithRequestedOptions(dhcpv4.OptionInterfaceMTU))
	must(t, err)
	ack := lease.ACK
	mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options)
	must(t, err)
	ones, _ := ack.SubnetMask().Size()
	switch {
	case !ack.YourIPAddr.Equal(net.IPv4(10, 0, 2, 37)), ones != 24, mtu != 9001,
		!ack.ServerIdentifier().Equal(net.IPv4(10, 0, 2, 1)),
		len(ack.Router()) != 1 || !ack.Router()[0].Equal(net.IPv4(10, 0, 2, 1)),
		ack.IPAddressLeaseTime(0) != time.Hour, ack.IPAddressRenewalTime(0) != 0:
		t.Errorf("lease: %s", ack.Summary())
	}
	got := c.DHCP().Messages(time.Time{})
	if len(got) != 2 || got[0].Type != "DISCOVER" || got[0].Reply != "OFFER" ||
		got[1].State != "SELECTING" || got[1].Reply != "ACK" || got[1].Given != ip10_0_2_37 || got[1].Interface != "eth1" {
		t.Errorf("conversation: %+v", got)
	}
}

// Options that were not asked for are left out.
func TestDHCPOnlyWhatWasAsked(t *testing.T) {
	c := newCloud(t, Config{})
	lease, err := dhcpClient(t, c, "eth1").Request(within(t), func(d *dhcpv4.DHCPv4) {
		d.UpdateOption(dhcpv4.OptParameterRequestList(dhcpv4.OptionSubnetMask))
	})
	must(t, err)
	for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionRouter, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionDomainNameServer} {
		if lease.ACK.Options.Has(code) {
			t.Errorf("%s was sent unasked", code)
		}
	}
}

// A stranger's MAC gets nothing, and an interface without an IPv4 address neither.
func TestDHCPStrangers(t *testing.T) {
	v6only := Interface{Name: "eth2", Addrs6: []netip.Addr{netip.MustParseAddr("2001:db8:ec2:2::9")}}
	c := newCloud(t, Config{Interfaces: []Interface{Eth0(), Eth1(), v6only}})
	client := dhcpClient(t, c, "eth1")
	_, err := client.DiscoverOffer(within(t), dhcpv4.WithHwAddr(net.HardwareAddr{2, 9, 9, 9, 9, 9}))
	if !errors.Is(err, nclient4.ErrNoResponse) {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := dhcpClient(t, c, "eth2").DiscoverOffer(within(t)); !errors.Is(err, nclient4.ErrNoResponse) {
		t.Errorf("an interface without an address: %v", err)
	}
}

// In an IPv6-only subnet EC2 leases a link-local address.
func TestDHCPLinkLocal(t *testing.T) {
	ll := netip.MustParseAddr("169.254.7.7")
	k := Interface{Name: "eth1", Subnet: "six", Addrs4: []netip.Addr{ll}, Addrs6: []netip.Addr{netip.MustParseAddr("2001:db8:ec2:6::9")}}
	c := newCloud(t, Config{Interfaces: []Interface{Eth0(), k}, Subnets: append(Config{}.withDefaults().Subnets, Subnet{ID: "six", IPv6: netip.MustParsePrefix("2001:db8:ec2:6::/64")})})
	lease, err := dhcpClient(t, c, "eth1").Request(within(t))
	must(t, err)
	if ones, _ := lease.ACK.SubnetMask().Size(); addrOf(lease.ACK.YourIPAddr) != ll || ones != 32 || len(lease.ACK.Router()) != 0 {
		t.Errorf("lease: %s", lease.ACK.Summary())
	}
}

// request sends a hand-made REQUEST and returns the answer's kind.
func request(t *testing.T, c *Cloud, client *nclient4.Client, mods ...dhcpv4.Modifier) string {
	t.Helper()
	k, err := c.Interface("eth1")
	must(t, err)
	req, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(k.MAC[:]), dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest)}, mods...)...)
	must(t, err)
	reply, err := client.SendAndRead(within(t), nclient4.DefaultServers, req, nil)
	if errors.Is(err, nclient4.ErrNoResponse) {
		return ""
	}
	must(t, err)
	return reply.MessageType().String()
}

// The states that a REQUEST can come from (RFC 2131 section 4.3.2).
func TestDHCPRequest(t *testing.T) {
	c := newCloud(t, Config{})
	client := dhcpClient(t, c, "eth1")
	own, other, server := net.IPv4(10, 0, 2, 37), net.IPv4(10, 0, 2, 38), net.IPv4(10, 0, 2, 1)
	for name, test := range map[string]struct {
		mods  []dhcpv4.Modifier
		state string
		want  string
	}{
		"selecting":              {[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(own))}, "SELECTING", "ACK"},
		"selecting another":      {[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 0, 2, 9))), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(own))}, "SELECTING", ""},
		"selecting wrong":        {[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(other))}, "SELECTING", "NAK"},
		"init-reboot":            {[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(own))}, "INIT-REBOOT", "ACK"},
		"init-reboot elsewhere":  {[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IPv4(192, 168, 1, 5)))}, "INIT-REBOOT", "NAK"},
		"rebinding":              {[]dhcpv4.Modifier{dhcpv4.WithClientIP(own)}, "REBINDING", "ACK"},
		"rebinding with another": {[]dhcpv4.Modifier{dhcpv4.WithClientIP(other)}, "REBINDING", "NAK"},
	} {
		start := time.Now()
		got := request(t, c, client, test.mods...)
		said := c.DHCP().Messages(start)
		if len(said) == 0 || said[0].State != test.state {
			t.Errorf("%s: recorded %+v", name, said)
			continue
		}
		if got != test.want && said[0].Reply != test.want {
			t.Errorf("%s: %q, recorded %q, want %q", name, got, said[0].Reply, test.want)
		}
	}
}

// A unicast renewal from the leased address, over an ordinary socket.
func TestDHCPRenew(t *testing.T) {
	c := newCloud(t, Config{})
	naive(t, c, "eth1", netip.PrefixFrom(ip10_0_2_37, 24), netip.MustParseAddr("10.0.2.1"))
	k, err := c.Interface("eth1")
	must(t, err)
	conn, err := c.Instance().ListenPacket("udp4", netip.AddrPortFrom(ip10_0_2_37, 68))
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(hang)))
	req, err := dhcpv4.New(dhcpv4.WithHwAddr(k.MAC[:]), dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithClientIP(ip10_0_2_37.AsSlice()))
	must(t, err)
	_, err = conn.WriteTo(req.ToBytes(), &net.UDPAddr{IP: net.IPv4(10, 0, 2, 1), Port: 67})
	must(t, err)
	buf := make([]byte, 1500)
	n, from, err := conn.ReadFrom(buf)
	must(t, err)
	ack, err := dhcpv4.FromBytes(buf[:n])
	must(t, err)
	if ack.MessageType() != dhcpv4.MessageTypeAck || from.String() != "10.0.2.1:67" {
		t.Errorf("%s from %s", ack.MessageType(), from)
	}
	if m := c.DHCP().Messages(time.Time{}); len(m) != 1 || m[0].State != "RENEWING" || !m[0].Unicast || m[0].Source != ip10_0_2_37 {
		t.Errorf("recorded %+v", m)
	}
}

// The clients that distributions ship.
func TestDHCPRealClients(t *testing.T) {
	for name, args := range map[string][]string{
		"dhclient": {"-1", "-d", "-sf", "/bin/true", "-lf", "@/leases", "-pf", "@/pid", "eth1"},
		"udhcpc":   {"-i", "eth1", "-q", "-n", "-f", "-t", "5", "-s", "/bin/true"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, Config{})
			up(t, c, "eth1")
			dir := t.TempDir()
			for i := range args {
				args[i] = strings.Replace(args[i], "@", dir, 1)
			}
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			client := c.Instance().Command(ctx, name, args...)
			var out bytes.Buffer
			client.Stdout, client.Stderr = &out, &out
			must(t, client.Start())
			err := c.DHCP().Wait(within(t), time.Time{}, func(ms []DHCPMessage) bool {
				return slices.ContainsFunc(ms, func(m DHCPMessage) bool { return m.Reply == "ACK" && m.Given == ip10_0_2_37 })
			})
			if err != nil {
				t.Errorf("no ACK: %v\n%s", err, out.String())
			}
			if name == "udhcpc" { // -q: it ends when it has the lease
				if err := client.Wait(); err != nil {
					t.Errorf("%v\n%s", err, out.String())
				}
				return
			}
			waitFor(t, filepath.Join(dir, "leases"), "fixed-address 10.0.2.37")
			cancel()
			_ = client.Wait()
		})
	}
}

// waitFor waits until a file contains a text. There is no event for what another program's stdio has flushed.
func waitFor(t *testing.T, file, want string) {
	t.Helper()
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if b, err := os.ReadFile(file); err == nil && strings.Contains(string(b), want) {
			return
		}
	}
	b, err := os.ReadFile(file)
	t.Fatalf("%s holds %q (%v), want %q", file, b, err, want)
}

// A squatter answers ARP requests and probes for the address, until it is gone.
func TestSquatter(t *testing.T) {
	c := newCloud(t, Config{})
	naive(t, c, "eth1", netip.MustParsePrefix("10.0.2.37/24"), netip.MustParseAddr("10.0.2.1"))
	victim := netip.MustParseAddr("10.0.2.77")
	capture, err := c.Capture("eth1")
	must(t, err)
	s, err := c.Squat("eth1", victim)
	must(t, err)
	answered := func(p Packet) bool { return p.Kind == unix.ETH_P_ARP && p.Proto == 2 && p.Src == victim }
	_, _ = c.Instance().Ping(within(t), victim, Ping{Timeout: 20 * time.Millisecond})
	p, err := capture.Wait(within(t), answered)
	must(t, err)
	if got := p.Frame[6:12]; !bytes.Equal(got, s.MAC[:]) {
		t.Errorf("answered by % x", got)
	}
	must(t, s.Announce())
	if _, err := capture.Wait(within(t), answered, func(p Packet) bool { return bytes.Equal(p.Frame[:6], broadcastMAC[:]) }); err != nil {
		t.Errorf("no announcement: %v", err)
	}
	// RFC 5227: a probe has the sender's address 0.0.0.0.
	must(t, c.Instance().Do(func() error {
		l, err := net.InterfaceByName("eth1")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		probe := arpReply([6]byte{}, [6]byte(l.HardwareAddr), victim, netip.IPv4Unspecified())
		copy(probe, broadcastMAC[:])
		probe[21] = 1
		return unix.Sendto(fd, probe, 0, &unix.SockaddrLinklayer{Ifindex: l.Index, Halen: 6})
	}))
	if _, err := capture.Wait(within(t), answered, To(netip.IPv4Unspecified())); err != nil {
		t.Errorf("the probe was not answered: %v", err)
	}
	must(t, s.Close())
	must(t, s.Close())
	if _, err := c.Squat("eth1", netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Error("squatted on IPv6")
	}
	if _, err := c.Squat("eth5", victim); err == nil {
		t.Error("squatted on no interface")
	}
}
