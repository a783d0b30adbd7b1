package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netns"

	"ec2net/test/testkit"
)

// squat puts an address on a host of its own on the link.
func (b *bed) squat(cidr string) (release func()) {
	b.Helper()
	ns := testkit.Namespace(b)
	b.must(netns.Set(b.client)) // namespace() left the thread in the new one
	h := b.handle(ns)
	b.wire("x0", otherMAC, ns)
	b.addr(h, "x0", cidr)
	return func() { b.noAddr(h, "x0", cidr) }
}

func TestConflictIsDeclined(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	release := b.squat("10.66.0.50/24")
	// A new address for each try would hide whether the client comes back.
	d := b.dnsmasq("--dhcp-host="+clientMAC+",10.66.0.50", "--dhcp-range=10.66.0.50,static,255.255.255.0,2m")
	wire := b.tap()
	l := b.run(nil, nil, false)
	e := l.failure(ErrConflict)
	if e.State != Init || e.Lease != nil || e.Err.Error() != "10.66.0.50 on c0: address in use by another host, "+otherMAC {
		t.Errorf("conflict: %+v", e)
	}
	f, before := wire.next("DECLINE", func(f seen) bool { return f.isDHCP(dhcpv4.MessageTypeDecline) })
	m := f.dhcp()
	if m.RequestedIPAddress().String() != "10.66.0.50" || m.ServerIdentifier().String() != "10.66.0.1" || !m.ClientIPAddr.IsUnspecified() ||
		string(m.Options.Get(dhcpv4.OptionClientIdentifier)) != "\x01"+string(mac(clientMAC)) || f.dstIP() != "255.255.255.255" {
		t.Errorf("DECLINE to %s: %s", f.dstIP(), m.Summary())
	}
	for _, f := range before {
		if isAnnouncement(f, netip.MustParseAddr("10.66.0.50")) {
			t.Error("announced an address that another host has")
		}
	}
	release()
	if bound := l.state(Bound); bound.At.Sub(e.At) < b.iface.tuned.conflictWait {
		t.Errorf("bound again after %s", bound.At.Sub(e.At))
	}
	if !strings.Contains(d.text(), "DHCPDECLINE") {
		t.Errorf("dnsmasq did not see the DECLINE:\n%s", d.text())
	}
}

func TestOwnInterfacesAreNoConflict(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.squat("10.66.0.50/24")
	b.fake(granter(nil))
	b.iface.Own = func() []net.HardwareAddr { return []net.HardwareAddr{mac("02:00:00:00:00:ee"), mac(otherMAC)} }
	l, err := b.acquire(nil, patience)
	b.must(err)
	if l.Addr != netip.MustParsePrefix("10.66.0.50/24") {
		t.Errorf("lease %+v", l)
	}
}

// A host that answers too late for the burst: found by the probes that go on behind BOUND.
func TestLateConflictIsDeclined(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.fake(granter(func(r *dhcpv4.DHCPv4) { set(58, 0, 0, 0, 4)(r); set(59, 0, 0, 0, 8)(r) }))
	wire := b.tap()
	l := b.run(nil, nil, true)
	l.state(Bound)
	b.squat("10.66.0.50/24")
	if e := l.failure(ErrConflict); e.State != Init || e.Lease != nil {
		t.Errorf("conflict within the time of probing: %+v", e)
	}
	wire.next("DECLINE", func(f seen) bool { return f.isDHCP(dhcpv4.MessageTypeDecline) })
}

// After the time of probing a conflict is reported once, defended against, and the lease kept.
func TestConflictLaterOn(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.iface.tuned.early = 0
	b.iface.tuned.beats = []beat{{announce: true}}
	b.fake(granter(func(r *dhcpv4.DHCPv4) { set(58, 0, 0, 0, 8)(r); set(59, 0, 0, 0, 9)(r) }))
	l := b.run(nil, nil, false)
	l.state(Bound)
	wire := b.tap()
	b.squat("10.66.0.51/24")
	other := b.claim("10.66.0.50")
	e := l.failure(ErrConflict)
	if e.State != Bound || e.Lease == nil {
		t.Errorf("conflict later on: %+v", e)
	}
	wire.next("defence", func(f seen) bool { return isAnnouncement(f, netip.MustParseAddr("10.66.0.50")) })
	other()
	if e := l.until("an event", func(Event) bool { return true }); e.State != Renewing || errors.Is(e.Err, ErrConflict) {
		t.Errorf("the conflict was reported again: %+v", e)
	}
}

// claim sends an ARP packet by which another host claims an address; again at each call.
func (b *bed) claim(addr string) (again func()) {
	b.Helper()
	send := func() {
		b.atServer(func() {
			l, err := net.InterfaceByName("b0")
			b.must(err)
			c := &Client{Name: "b0", Index: l.Index, MAC: mac(otherMAC)}
			s, err := c.listenARP(watchFilter(netip.MustParseAddr(addr)))
			b.must(err)
			defer s.close()
			b.must(s.broadcast(announcement([6]byte(c.MAC), netip.MustParseAddr(addr)).bytes()))
		})
	}
	send()
	return send
}

func TestBeats(t *testing.T) {
	d := defaultTiming()
	if got := beats(d, true); len(got) != 4 {
		t.Errorf("fresh: %v", got)
	}
	for _, b := range beats(d, false) {
		if !b.announce {
			t.Errorf("probes for an address in use: %v", b)
		}
	}
	if last := d.beats[len(d.beats)-1].after; d.early < last+time.Second {
		t.Errorf("an answer to the last probe at %s comes after %s", last, d.early)
	}
}
