package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// fake is a server that answers what its script says, for what no real server can be made to do.
type fake struct {
	mu     sync.Mutex
	answer func(m *dhcpv4.DHCPv4) [][]byte
	asked  chan *dhcpv4.DHCPv4
}

func (b *bed) fake(answer func(m *dhcpv4.DHCPv4) [][]byte) *fake {
	b.Helper()
	f := &fake{answer: answer, asked: make(chan *dhcpv4.DHCPv4, 1000)}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) {
			err = errors.Join(unix.BindToDevice(int(fd), "b0"), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
		})
		return err
	}}
	var conn net.PacketConn
	var err error
	b.atServer(func() { conn, err = lc.ListenPacket(context.Background(), "udp4", ":67") })
	b.must(err)
	b.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := dhcpv4.FromBytes(buf[:n])
			if err != nil {
				b.Errorf("the client sent % x: %v", buf[:n], err)
				return
			}
			f.asked <- m
			f.mu.Lock()
			for _, out := range f.answer(m) {
				conn.WriteTo(out, &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
			}
			f.mu.Unlock()
		}
	}()
	return f
}

func (f *fake) now(answer func(m *dhcpv4.DHCPv4) [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// granter grants 10.66.0.50/24 for 10 s, T1 = 1 s, T2 = 2 s, after change.
func granter(change func(r *dhcpv4.DHCPv4)) func(*dhcpv4.DHCPv4) [][]byte {
	return func(m *dhcpv4.DHCPv4) [][]byte {
		r := grant(m)
		if r == nil {
			return nil
		}
		if change != nil {
			change(r)
		}
		return [][]byte{r.ToBytes()}
	}
}

func grant(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	kind := dhcpv4.MessageTypeOffer
	switch m.MessageType() {
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
	case dhcpv4.MessageTypeDecline:
		return nil
	}
	r, err := dhcpv4.NewReplyFromRequest(m,
		dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(10, 66, 0, 50)),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(10),
		dhcpv4.WithRouter(net.IPv4(10, 66, 0, 1)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 66, 0, 1))),
		dhcpv4.WithOption(dhcpv4.OptRenewTimeValue(time.Second)),
		dhcpv4.WithOption(dhcpv4.OptRebindingTimeValue(2*time.Second)))
	if err != nil {
		panic(err)
	}
	return r
}

func nobody(*dhcpv4.DHCPv4) [][]byte { return nil }

func nak(m *dhcpv4.DHCPv4) [][]byte {
	r, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 66, 0, 1))), dhcpv4.WithOption(dhcpv4.OptMessage("not \"you\"\n")))
	if err != nil {
		panic(err)
	}
	return [][]byte{r.ToBytes()}
}

// set replaces an option by bytes that the codec would not write.
func set(code uint8, v ...byte) func(*dhcpv4.DHCPv4) {
	return func(r *dhcpv4.DHCPv4) { r.Options[code] = v }
}

// One wire, one client: every bad offer is refused with its reason, and the first good one taken.
func TestNonsenseOffers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.iface.tuned.first, b.iface.tuned.ceiling = 150*time.Millisecond, 150*time.Millisecond
	srv := b.fake(nobody)
	l := b.run(nil, nil, false)
	for _, c := range nonsense() {
		srv.now(func(m *dhcpv4.DHCPv4) [][]byte { return c.answers(m) })
		l.until(c.name, func(e Event) bool {
			if e.State == Bound {
				b.Errorf("%s: bound %+v", c.name, *e.Lease)
			}
			return e.Err != nil && errors.Is(e.Err, ErrSilent) && strings.Contains(e.Err.Error(), c.want)
		})
	}
	// A bad one and a good one: the good one is taken at once.
	srv.now(func(m *dhcpv4.DHCPv4) [][]byte {
		return append(nonsense()[0].answers(m), grant(m).ToBytes())
	})
	if e := l.state(Bound); e.Lease.Addr != netip.MustParsePrefix("10.66.0.50/24") {
		t.Errorf("bound %+v", e.Lease)
	}
}

// A server that offers well and then confirms nonsense, and one that offers and then refuses, must
// not drive the client round and round.
func TestBadAckAndNakAreNotALoop(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]func(m *dhcpv4.DHCPv4) [][]byte{
		"bad ACK": granter(set(1, 255, 0, 255, 0)), "NAK": nak,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			srv := b.fake(func(m *dhcpv4.DHCPv4) [][]byte {
				if m.MessageType() == dhcpv4.MessageTypeRequest {
					return last(m)
				}
				return granter(nil)(m)
			})
			l := b.run(nil, nil, false)
			e := l.until("refusal", func(e Event) bool { return e.State == Init && e.Err != nil })
			if s := e.Err.Error(); !strings.Contains(s, "option 1 (subnet mask): 255.0.255.0 has holes") && !strings.HasSuffix(s, `which says "not \"you\"\n"`) {
				t.Errorf("reason: %s", s)
			}
			// The pauses are 0, 200, 400, 800 ms in this test: in the first second no more than four tries.
			time.Sleep(time.Second)
			if n := len(srv.asked); n > 8 {
				t.Errorf("%d messages in a second", n)
			}
			srv.now(granter(nil))
			l.state(Bound)
		})
	}
}

func TestSilentRequestStartsAgain(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	srv := b.fake(func(m *dhcpv4.DHCPv4) [][]byte {
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			return nil
		}
		return granter(nil)(m)
	})
	l := b.run(nil, nil, false)
	l.state(Requesting)
	e := l.state(Init)
	if !errors.Is(e.Err, ErrSilent) || !strings.HasPrefix(e.Err.Error(), "DHCPREQUEST to 10.66.0.1 for ") {
		t.Errorf("reason: %v", e.Err)
	}
	srv.now(granter(nil))
	l.state(Bound)
	xids := map[dhcpv4.TransactionID]int{}
	for range len(srv.asked) {
		xids[(<-srv.asked).TransactionID]++
	}
	if len(xids) != 2 {
		t.Errorf("transactions: %v, want two, DISCOVER and its REQUESTs in one", xids)
	}
}

// Renewal, loss of the server, expiry, its return; then changed and refused renewals.
func TestExpiryAndReturn(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	srv := b.fake(granter(nil))
	l := b.run(nil, nil, false)
	first := l.state(Bound)
	l.state(Renewing)
	bound := l.state(Bound)
	srv.now(nobody)
	l.state(Renewing)
	if e := l.failure(ErrSilent); e.Lease == nil || !strings.HasPrefix(e.Err.Error(), "RENEWING for ") {
		t.Errorf("while renewing: %+v", e)
	}
	if e := l.state(Rebinding); e.Lease == nil || (e.Err != nil && !errors.Is(e.Err, ErrSilent)) {
		t.Errorf("rebinding: %+v", e)
	}
	e := l.failure(ErrExpired)
	age := e.At.Sub(bound.Lease.Start)
	if e.State != Init || e.Lease != nil || age < 9900*time.Millisecond {
		t.Errorf("expired in %s after %s, lease %v: %v", e.State, age, e.Lease, e.Err)
	}
	srv.now(granter(set(26, 0x05, 0x14)))
	again := l.state(Bound)
	if again.Lease.MTU != 1300 || again.Lease.Addr != first.Lease.Addr {
		t.Errorf("after the return: %+v", again.Lease)
	}

	// A renewal that changes address and MTU is a new lease, and the new address is probed for.
	srv.now(granter(func(r *dhcpv4.DHCPv4) { r.YourIPAddr = net.IPv4(10, 66, 0, 51).To4(); set(26, 0x05, 0x78)(r) }))
	l.state(Renewing)
	if e := l.state(Bound); e.Lease.Same(*again.Lease) || e.Lease.Addr != netip.MustParsePrefix("10.66.0.51/24") || e.Lease.MTU != 1400 {
		t.Errorf("changed renewal: %+v", e.Lease)
	}
	srv.now(nak)
	l.state(Renewing)
	if e := l.failure(ErrNak); e.Lease != nil || e.State != Init {
		t.Errorf("refused renewal: %+v", e)
	}
}

// A lease of one single address, without a mask, as EC2 gives it in a subnet without IPv4.
func TestLinkLocalLease(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.fake(granter(func(r *dhcpv4.DHCPv4) {
		r.YourIPAddr = net.IPv4(169, 254, 7, 9).To4()
		r.Options.Del(dhcpv4.OptionSubnetMask)
	}))
	l, err := b.acquire(nil, patience)
	b.must(err)
	if l.Addr != netip.MustParsePrefix("169.254.7.9/32") || l.Router.IsValid() {
		t.Errorf("lease %+v", l)
	}
}

// A server that is silent about a lease it does not know: the lease is held on to, and a new one
// asked for; the same address is not probed for, since it is in use.
func TestSilentReboot(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.iface.tuned.first, b.iface.tuned.ceiling = 200*time.Millisecond, 200*time.Millisecond
	b.fake(func(m *dhcpv4.DHCPv4) [][]byte {
		if m.MessageType() == dhcpv4.MessageTypeRequest && !m.Options.Has(dhcpv4.OptionServerIdentifier) {
			return nil
		}
		return granter(nil)(m)
	})
	prior := Lease{Addr: netip.MustParsePrefix("10.66.0.50/24"), Start: time.Now(), Expires: Infinite, Renew: Infinite, Rebind: Infinite}
	wire := b.tap()
	l := b.run(&prior, nil, false)
	e := l.state(Init)
	if e.Lease == nil || !e.Lease.Same(prior) || !errors.Is(e.Err, ErrSilent) || !strings.HasPrefix(e.Err.Error(), "DHCPREQUEST for 10.66.0.50 for ") {
		t.Errorf("after two silent tries: %+v", e)
	}
	if e := l.state(Selecting); e.Lease == nil {
		t.Error("the lease was let go although it holds")
	}
	if e := l.state(Bound); e.Lease.Expires != 10*time.Second {
		t.Errorf("bound %+v", e.Lease)
	}
	_, before := wire.next("announcement", func(f seen) bool { return isAnnouncement(f, prior.Addr.Addr()) })
	asked := 0
	for _, f := range before {
		if isProbe(f, prior.Addr.Addr()) {
			t.Error("probed for an address in use")
		}
		if f.isDHCP(dhcpv4.MessageTypeRequest) && !f.dhcp().Options.Has(dhcpv4.OptionServerIdentifier) {
			asked++
		}
	}
	if asked != b.iface.tuned.reboots {
		t.Errorf("asked %d times, want %d", asked, b.iface.tuned.reboots)
	}
}
