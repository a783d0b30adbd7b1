package dhcp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// exchange is one conversation with the servers: one xid, one raw socket.
type exchange struct {
	iface *Client
	id    identity
	raw   *socket
	udp   *net.UDPConn // on the leased address; nil when the interface does not have it
	sink  *net.UDPConn // nobody reads it; nil when the port is not to be had
	begun time.Time    // for secs

	// When the first copy of the last question went out: what a lease counts from, since nobody
	// knows which copy was answered.
	sent     time.Time
	sentBoot bootTime
}

// exchange begins one with a new random xid (RFC 2131 section 4.1), and a raw socket that hears what answers it: the kernel
// would not take packets for an address that the interface does not have yet.
func (c *Client) exchange() (*exchange, error) {
	x := &exchange{iface: c, begun: time.Now(), id: identity{mac: [6]byte(c.MAC)}}
	xid := rand.Uint32()
	x.id.xid = dhcpv4.TransactionID{byte(xid >> 24), byte(xid >> 16), byte(xid >> 8), byte(xid)}
	filter, err := dhcpFilter(x.id)
	if err != nil {
		return nil, err
	}
	if x.raw, err = c.listen("DHCP", unix.ETH_P_IP, filter); err != nil {
		return x, err
	}
	// The address may be on the interface before the answer is, since the metadata knows it too. With nobody
	// on the port the kernel would then tell the server that it is unreachable, and as long as the
	// interface's rules are not complete, by another interface.
	x.sink, _ = c.leasedSocket(context.Background(), netip.IPv4Unspecified())
	return x, nil
}

func (x *exchange) close() {
	x.raw.close()
	for _, u := range []*net.UDPConn{x.udp, x.sink} {
		if u != nil {
			u.Close()
		}
	}
}

// secs is the time since the client began to ask (RFC 2131 section 2).
func (x *exchange) secs() uint16 { return uint16(min(time.Since(x.begun)/time.Second, 0xffff)) }

// shout broadcasts a message; src is the leased address, or 0.0.0.0 before there is one.
func (x *exchange) shout(m *dhcpv4.DHCPv4, src netip.Addr) error {
	return x.raw.broadcast(datagram(m.ToBytes(), src, netip.AddrFrom4([4]byte{255, 255, 255, 255})))
}

// tell sends a message to one server, along the kernel's routes of the interface.
func (x *exchange) tell(m *dhcpv4.DHCPv4, server netip.Addr) error {
	_, err := x.udp.WriteToUDPAddrPort(m.ToBytes(), netip.AddrPortFrom(server, serverPort))
	return x.iface.fault("send DHCP to "+server.String(), err)
}

// question is what is asked, how often, and which answer will do.
type question struct {
	what  string
	send  func() error
	wait  func(try int) (wait time.Duration, more bool) // after each try; the first is 0
	will  func(reply) bool
	quiet func(error) // told after every wait that brought no answer; may be nil
}

// ask sends until an answer will do. It ends with ErrSilent when wait allows no more tries.
func (x *exchange) ask(ctx context.Context, q question) (reply, error) {
	defer x.raw.interrupt(ctx)()
	x.sent, x.sentBoot = time.Now(), bootNow()
	silence := error(ErrSilent)
	for try := 0; ; try++ {
		wait, more := q.wait(try)
		if !more {
			return reply{}, silence
		}
		why := q.send()
		if fatal(why) {
			return reply{}, why
		}
		r, refused, err := x.hear(ctx, time.Now().Add(wait), q.will)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return r, err
		}
		silence = x.explain(q.what, try+1, errors.Join(why, refused))
		if q.quiet != nil {
			q.quiet(silence)
		}
	}
}

// explain is the error of a question that nobody answered usefully.
func (x *exchange) explain(what string, tries int, why error) error {
	asked := time.Since(x.sent).Round(100 * time.Millisecond)
	if why != nil {
		return fmt.Errorf("%s for %s (%d sent): %w: %w", what, asked, tries, ErrSilent, why)
	}
	return fmt.Errorf("%s for %s (%d sent): %w", what, asked, tries, ErrSilent)
}

// hear reads answers until one will do. refused is why the last of the others would not.
func (x *exchange) hear(ctx context.Context, deadline time.Time, will func(reply) bool) (_ reply, refused, _ error) {
	for {
		b, err := x.raw.receive(ctx, deadline)
		if err != nil {
			return reply{}, refused, err
		}
		msg, ok := payload(b)
		if !ok {
			continue
		}
		r, ours := parseReply(msg, x.id)
		switch {
		case !ours:
		case will(r):
			return r, nil, nil
		case r.bad != nil:
			refused = r.bad
		}
	}
}

// bound completes the lease of an ACK with what only the client knows.
func (x *exchange) bound(r reply) (Lease, bootTime) {
	l := r.lease
	l.Start = x.sent.Round(0) // wall clock only: it may be stored and read after a reboot
	return l, x.sentBoot
}
