package dhcp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// selecting broadcasts DHCPDISCOVER until an acceptable DHCPOFFER comes, and takes the first: RFC 2131 section 4.4.1 lets a
// client collect offers for a while, which costs time where there is one server. The time between two tries doubles up to
// 64 s (section 4.1).
func (m *machine) selecting(ctx context.Context) (outcome, error) {
	x, err := m.iface.exchange()
	if err != nil {
		return 0, err
	}
	m.x = x // closed by requesting, or by rest
	m.offer, err = x.ask(ctx, question{
		what:  "DHCPDISCOVER",
		send:  func() error { return x.shout(discover(x.id, x.secs(), m.iface.Ask), netip.IPv4Unspecified()) },
		wait:  func(try int) (time.Duration, bool) { return m.backoff(try, rand.Int64N), true },
		will:  func(r reply) bool { return r.kind == dhcpv4.MessageTypeOffer && r.bad == nil },
		quiet: func(err error) { m.note(Selecting, err) },
	})
	if err != nil {
		m.dropExchange()
	}
	return offered, err
}

// requesting takes the offer: DHCPREQUEST with the server's identifier and the address, broadcast (RFC 2131 section 4.3.2,
// "DHCPREQUEST generated during SELECTING state"). It uses the exchange of selecting, since both have one xid.
func (m *machine) requesting(ctx context.Context) (outcome, error) {
	defer m.dropExchange()
	x, o := m.x, m.offer
	ask := request(x.id, x.secs(), m.iface.Ask, o.lease.Addr.Addr(), o.server)
	r, err := x.ask(ctx, question{
		what: "DHCPREQUEST to " + o.server.String(),
		send: func() error { return x.shout(ask, netip.IPv4Unspecified()) },
		wait: m.tries(m.requests),
		will: func(r reply) bool { return r.server == o.server && verdict(r) },
	})
	return m.conclude(ctx, x, r, err)
}

// rebooting asks whether the lease of an earlier life still holds (RFC 2131 section 4.4.2): DHCPREQUEST with the address and
// without a server's identifier. A NAK ends the lease; silence does not, but leads to INIT (section 3.2 lets the host use
// the address until its end).
func (m *machine) rebooting(ctx context.Context) (outcome, error) {
	x, err := m.iface.exchange()
	if err != nil {
		return 0, err
	}
	defer x.close()
	r, err := x.ask(ctx, question{
		what: "DHCPREQUEST for " + m.lease.Addr.Addr().String(),
		send: func() error {
			return x.shout(reboot(x.id, x.secs(), m.iface.Ask, m.lease.Addr.Addr()), netip.IPv4Unspecified())
		},
		wait: m.tries(m.reboots),
		will: acceptable,
	})
	return m.conclude(ctx, x, r, err)
}

// extending asks for more time until T2 (RENEWING) or until the end of the lease (REBINDING).
func (m *machine) extending(ctx context.Context, s State) (outcome, error) {
	from, to := m.lease.Renew, m.lease.Rebind
	if s == Rebinding {
		from, to = m.lease.Rebind, m.lease.Expires
	}
	end, begun := m.born.plus(to), time.Now()
	ctx, stop, err := until(ctx, end, errDue)
	if err != nil {
		return 0, err
	}
	defer stop()
	for {
		o, err := m.extend(ctx, s, begun, m.renewWait(end.minus(bootNow()), to-from))
		switch {
		case errors.Is(err, errDue) && s == Rebinding:
			return 0, ErrExpired // the same moment, seen by the other timer
		case errors.Is(err, errDue):
			return due, nil
		case err != nil || o != silent:
			return o, err
		}
		m.enter(s)
	}
}

// extend asks once, in an exchange of its own.
func (m *machine) extend(ctx context.Context, s State, begun time.Time, wait time.Duration) (outcome, error) {
	x, err := m.iface.exchange()
	if err != nil {
		return 0, err
	}
	defer x.close()
	x.begun = begun
	addr := m.lease.Addr.Addr()
	var missing error
	x.udp, missing = m.iface.leasedSocket(ctx, addr)
	if fatal(missing) {
		return 0, missing
	}
	r, err := x.ask(ctx, question{
		what: s.String(),
		send: func() error { return m.sendExtend(x, s, addr, missing) },
		wait: func(try int) (time.Duration, bool) { return wait, try == 0 },
		will: acceptable,
	})
	return m.conclude(ctx, x, r, err)
}

// sendExtend: unicast in RENEWING, broadcast in REBINDING and where unicast is not possible. When
// the address vanished from the interface, an answer sent to it would never arrive, since nobody would
// answer the server's ARP; then the question is that of INIT-REBOOT, answered to our MAC.
func (m *machine) sendExtend(x *exchange, s State, addr netip.Addr, missing error) error {
	if errors.Is(missing, unix.EADDRNOTAVAIL) {
		return x.shout(reboot(x.id, x.secs(), m.iface.Ask, addr), netip.IPv4Unspecified())
	}
	ask := extend(x.id, x.secs(), m.iface.Ask, addr)
	if s == Renewing && missing == nil && m.lease.Server.IsValid() {
		if err := x.tell(ask, m.lease.Server); err == nil || fatal(err) {
			return err
		}
	}
	return x.shout(ask, addr)
}

// tries is the wait of a question that is asked n times, with the back-off of RFC 2131 section 4.1.
func (m *machine) tries(n int) func(int) (time.Duration, bool) {
	return func(try int) (time.Duration, bool) { return m.backoff(try, rand.Int64N), try < n }
}

// verdict reports whether a message ends a DHCPREQUEST; an OFFER that comes late does not.
func verdict(r reply) bool {
	return r.kind == dhcpv4.MessageTypeAck || r.kind == dhcpv4.MessageTypeNak
}

// acceptable reports whether a message ends a DHCPREQUEST that any server may answer. An ACK that no host can use is passed over,
// in the hope of another server's.
func acceptable(r reply) bool { return r.bad == nil && verdict(r) }

// conclude judges the end of a DHCPREQUEST. An address that was not in use before is probed for.
func (m *machine) conclude(ctx context.Context, x *exchange, r reply, err error) (outcome, error) {
	switch {
	case errors.Is(err, ErrSilent):
		m.why = err
		return silent, nil
	case err != nil:
		return 0, err
	case r.bad != nil:
		m.why = r.bad
		return worthless, nil
	case r.kind == dhcpv4.MessageTypeNak:
		m.why = fmt.Errorf("%s: %w, which says %s", r.server, ErrNak, r.text)
		return denied, nil
	}
	lease, born := x.bound(r)
	addr := lease.Addr.Addr()
	if m.fresh = m.lease == nil || m.lease.Addr.Addr() != addr; m.fresh {
		if err := m.iface.free(ctx, m.timing, addr); errors.Is(err, ErrConflict) {
			return m.declined(lease, err)
		} else if err != nil {
			return 0, err
		}
	}
	m.lease, m.born = &lease, born
	return granted, nil
}

// declined gives an address back that another host has.
func (m *machine) declined(l Lease, why error) (outcome, error) {
	m.why = why
	x, err := m.iface.exchange()
	if err != nil {
		return 0, err
	}
	defer x.close()
	if err := x.shout(decline(x.id, l.Addr.Addr(), l.Server), netip.IPv4Unspecified()); fatal(err) {
		return 0, err
	}
	return taken, nil
}

// holding waits for T1, with an eye on other hosts that use the address.
func (m *machine) holding(ctx context.Context) (outcome, error) {
	ctx, stop, err := until(ctx, m.born.plus(m.lease.Renew), errDue)
	if err != nil {
		return 0, err
	}
	defer stop()
	if err := m.keepWatch(); err != nil {
		return 0, err
	}
	for {
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, errDue) {
				return 0, err
			}
			return due, nil
		case c := <-m.watch.found:
			if c.early {
				return m.declined(*m.lease, c.err)
			}
			m.note(Bound, c.err)
		}
	}
}

// keepWatch begins a watch, unless one is on for this address.
func (m *machine) keepWatch() error {
	addr := m.lease.Addr.Addr()
	if m.watch != nil && m.watch.addr == addr {
		return nil
	}
	m.watch.stop()
	var err error
	m.watch, err = m.iface.watch(m.timing, addr, m.fresh)
	return err
}
