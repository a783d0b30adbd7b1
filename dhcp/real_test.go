package dhcp

import (
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// t1t2 makes dnsmasq send short times to renew and rebind with a lease of two minutes. It refuses a
// T1 below 3 s.
func t1t2(t1, t2 string) []string {
	return []string{"--dhcp-option-force=58," + t1, "--dhcp-option-force=59," + t2}
}

func TestAcquireFromDnsmasq(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq("--dhcp-option=3,10.66.0.77", "--dhcp-option-force=26,9001",
		"--dhcp-option=121,0.0.0.0/0,10.66.0.1,10.67.0.0/16,10.66.0.2,10.68.0.0/16,0.0.0.0")
	wire := b.tap()
	before := time.Now()
	l, err := b.acquire(nil, patience)
	b.must(err)
	took := time.Since(before)
	t.Logf("first lease after %s", took)

	if !netip.MustParsePrefix("10.66.0.0/24").Contains(l.Addr.Addr()) || l.Addr.Bits() != 24 {
		t.Errorf("address %s", l.Addr)
	}
	if l.Router != netip.MustParseAddr("10.66.0.1") {
		t.Errorf("router %s: option 121 must win over option 3", l.Router)
	}
	if want := []Route{
		{netip.MustParsePrefix("10.67.0.0/16"), netip.MustParseAddr("10.66.0.2")},
		{netip.MustParsePrefix("10.68.0.0/16"), netip.IPv4Unspecified()},
	}; !slices.Equal(l.Routes, want) {
		t.Errorf("routes %v, want %v", l.Routes, want)
	}
	if l.MTU != 9001 || l.Expires != 2*time.Minute || l.Server != netip.MustParseAddr("10.66.0.1") {
		t.Errorf("MTU %d, time %s, server %s", l.MTU, l.Expires, l.Server)
	}
	if l.Start.Before(before.Add(-time.Millisecond)) || l.Start.After(time.Now()) {
		t.Errorf("start %s", l.Start)
	}
	f, _ := wire.next("DISCOVER", func(f seen) bool { return f.isDHCP(dhcpv4.MessageTypeDiscover) })
	checkAsked(t, f.dhcp())
	_, early := wire.next("announcement", func(f seen) bool { return isAnnouncement(f, l.Addr.Addr()) })
	if n := len(slices.DeleteFunc(early, func(f seen) bool { return !isProbe(f, l.Addr.Addr()) })); n != 3 {
		t.Errorf("%d ARP probes before the announcement, want 3", n)
	}

	// Once more, with what is known: the server is asked to confirm it.
	again, err := b.acquire(&l, patience)
	b.must(err)
	if !again.Same(l) || !again.Start.After(l.Start) {
		t.Errorf("INIT-REBOOT gave %+v after %+v", again, l)
	}
	f, _ = wire.next("client's message", func(f seen) bool { m := f.dhcp(); return m != nil && m.OpCode == dhcpv4.OpcodeBootRequest })
	m := f.dhcp()
	if m.MessageType() != dhcpv4.MessageTypeRequest || m.Options.Has(dhcpv4.OptionServerIdentifier) || !m.ClientIPAddr.IsUnspecified() {
		t.Errorf("INIT-REBOOT began with %s", m.Summary())
	}
	_, early = wire.next("announcement", func(f seen) bool { return isAnnouncement(f, l.Addr.Addr()) })
	if slices.ContainsFunc(early, func(f seen) bool { return isProbe(f, l.Addr.Addr()) }) {
		t.Error("INIT-REBOOT probed for an address that was in use")
	}
}

// checkAsked: nothing is asked for that a second interface must not bring.
func checkAsked(t *testing.T, m *dhcpv4.DHCPv4) {
	t.Helper()
	if got := m.Options.Get(dhcpv4.OptionParameterRequestList); string(got) != "\x01\x03\x1a\x33\x36\x3a\x3b\x79" {
		t.Errorf("asked for % x", got)
	}
	if got := m.Options.Get(dhcpv4.OptionClientIdentifier); string(got) != "\x01"+string(mac(clientMAC)) {
		t.Errorf("client identifier % x", got)
	}
	if m.Flags != 0 || m.Options.Has(dhcpv4.OptionHostName) {
		t.Errorf("flags %x, options %v", m.Flags, m.Options)
	}
}

func isAnnouncement(f seen, addr netip.Addr) bool {
	a, err := parseARP(f.body)
	return f.kind == unix.ETH_P_ARP && err == nil && a.sender == addr && a.target == addr && f.src.String() == clientMAC
}

func isProbe(f seen, addr netip.Addr) bool {
	a, err := parseARP(f.body)
	return f.kind == unix.ETH_P_ARP && err == nil && a.sender.IsUnspecified() && a.target == addr && f.src.String() == clientMAC
}

func TestNoMTU(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq("--dhcp-option=26,9001")
	b.iface.Ask = []uint8{1, 3, 51, 54}
	l, err := b.acquire(nil, patience)
	b.must(err)
	if l.MTU != 0 {
		t.Errorf("MTU %d although it was not asked for", l.MTU)
	}
}

func TestRenewIsUnicast(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq(t1t2("3", "100")...)
	wire := b.tap()
	l := b.run(nil, nil, false)
	first := l.state(Bound).Lease
	l.state(Renewing)
	second := l.state(Bound).Lease
	if !second.Same(*first) || second.Start.Sub(first.Start) < 2900*time.Millisecond {
		t.Errorf("renewed %+v to %+v", first, second)
	}
	f, _ := wire.next("unicast REQUEST", func(f seen) bool {
		return f.isDHCP(dhcpv4.MessageTypeRequest) && f.dst.String() == serverMAC
	})
	if m := f.dhcp(); f.dstIP() != "10.66.0.1" || f.srcIP() != first.Addr.Addr().String() ||
		m.ClientIPAddr.String() != f.srcIP() || m.Options.Has(dhcpv4.OptionServerIdentifier) {
		t.Errorf("renewal from %s to %s: %s", f.srcIP(), f.dstIP(), m.Summary())
	}
	l.state(Renewing)
	l.state(Bound)
	for range len(wire.frames) {
		if f := <-wire.frames; f.kind == unix.ETH_P_IP && f.body[9] == unix.IPPROTO_ICMP {
			t.Errorf("the kernel answered the server: % x", f.body)
		}
	}
}

// An address that somebody took off the interface: an answer to it would never arrive.
func TestRenewWithoutTheAddress(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq(t1t2("3", "100")...)
	wire := b.tap()
	l := b.run(nil, nil, true)
	first := l.state(Bound).Lease
	l.state(Renewing)
	if e := l.state(Bound); !e.Lease.Same(*first) {
		t.Errorf("renewed %+v to %+v", first, e.Lease)
	}
	wire.next("REQUEST in INIT-REBOOT's form", func(f seen) bool {
		return f.isDHCP(dhcpv4.MessageTypeRequest) && f.dhcp().ClientIPAddr.IsUnspecified() && !f.dhcp().Options.Has(dhcpv4.OptionServerIdentifier)
	})
}

// Another interface that is nearer to the server must not get the renewal.
func TestRenewStaysOnTheInterface(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq(t1t2("3", "100")...)
	b.wire("c1", otherMAC, b.client)
	b.addr(b.c, "c1", "10.66.0.200/24") // first: its route to the subnet comes first
	// It answers for c0's address too, as Linux does; without Own no address would ever be free.
	b.iface.Own = func() []net.HardwareAddr { return []net.HardwareAddr{mac(otherMAC)} }
	wire := b.tap()
	l := b.run(nil, nil, false)
	l.state(Renewing)
	l.state(Bound)
	wire.next("unicast REQUEST on c0", func(f seen) bool {
		return f.isDHCP(dhcpv4.MessageTypeRequest) && f.dst.String() == serverMAC
	})
}

// Where the host may not send to the server, as in a unit with IPAddressDeny, the renewal is broadcast at once: it
// need not wait for T2.
func TestRenewWhereUnicastIsForbidden(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq(t1t2("3", "100")...)
	forbid := exec.Command("nft", "add table ip t; add chain ip t out { type filter hook output priority 0; }; add rule ip t out ip daddr 10.66.0.1 udp dport 67 drop")
	if out, err := forbid.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wire := b.tap()
	l := b.run(nil, nil, false)
	first := l.state(Bound).Lease
	l.state(Renewing)
	second := l.state(Bound).Lease
	if d := second.Start.Sub(first.Start); !second.Same(*first) || d > 90*time.Second { // and not by rebinding, after 100 s
		t.Errorf("renewed %+v to %+v after %s", first, second, d)
	}
	f, _ := wire.next("broadcast REQUEST of a renewal", func(f seen) bool {
		return f.isDHCP(dhcpv4.MessageTypeRequest) && !f.dhcp().ClientIPAddr.IsUnspecified()
	})
	if f.dstIP() != "255.255.255.255" || f.srcIP() != first.Addr.Addr().String() {
		t.Errorf("renewed from %s to %s", f.srcIP(), f.dstIP())
	}
}

func TestRebindToAnotherServer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	first := b.dnsmasq(append(t1t2("3", "5"), "--dhcp-authoritative")...)
	wire := b.tap()
	l := b.run(nil, nil, false)
	addr := l.state(Bound).Lease.Addr
	first.stop()
	l.state(Renewing)
	b.noAddr(b.s, "b0", "10.66.0.1/24") // dnsmasq names itself by the first address
	b.addr(b.s, "b0", "10.66.0.2/24")
	b.dnsmasq("--dhcp-authoritative")
	l.state(Rebinding)
	e := l.state(Bound)
	if e.Lease.Server != netip.MustParseAddr("10.66.0.2") || e.Lease.Addr != addr {
		t.Errorf("rebound %s at %s, want %s at 10.66.0.2", e.Lease.Addr, e.Lease.Server, addr)
	}
	wire.next("broadcast REQUEST from the leased address", func(f seen) bool {
		return f.isDHCP(dhcpv4.MessageTypeRequest) && f.dstIP() == "255.255.255.255" && f.srcIP() == addr.Addr().String()
	})
}

func TestNakAtReboot(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq("--dhcp-authoritative")
	prior := Lease{
		Addr: netip.MustParsePrefix("10.99.0.7/24"), Start: time.Now().Add(-time.Minute),
		Renew: time.Hour, Rebind: 2 * time.Hour, Expires: 3 * time.Hour,
	}
	begun := time.Now()
	l := b.run(&prior, nil, false)
	if e := l.state(InitReboot); e.Lease == nil || !e.Lease.Same(prior) {
		t.Errorf("the prior lease is not reported: %+v", e)
	}
	e := l.failure(ErrNak)
	if e.State != Init || e.Lease != nil || !strings.Contains(e.Err.Error(), `"wrong network"`) {
		t.Errorf("after a NAK: %+v", e)
	}
	if e := l.state(Bound); e.Lease.Addr.Masked() != netip.MustParsePrefix("10.66.0.0/24") || e.At.Before(begun) {
		t.Errorf("after a NAK: %+v", e.Lease)
	}
}

func TestPriorThatIsOver(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq()
	for _, start := range []time.Duration{-4 * time.Hour, time.Minute} {
		prior := Lease{Addr: netip.MustParsePrefix("10.66.0.55/24"), Start: time.Now().Add(start), Expires: 3 * time.Hour}
		l := b.run(&prior, nil, true)
		if e := <-l.events; e.State != Init || e.Lease != nil {
			t.Errorf("start %s: began with %s, lease %v", start, e.State, e.Lease)
		}
		l.state(Bound)
		l.end()
	}
}

func TestServerAppears(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	l := b.run(nil, nil, false)
	if e := l.failure(ErrSilent); e.State != Selecting || !strings.HasPrefix(e.Err.Error(), "DHCPDISCOVER for ") {
		t.Errorf("without a server: %s, %v", e.State, e.Err)
	}
	l.failure(ErrSilent)
	b.dnsmasq()
	l.state(Bound)
}
