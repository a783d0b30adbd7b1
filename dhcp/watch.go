package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// listenARP opens an ARP socket that hears what filter passes.
func (c *Client) listenARP(filter []bpf.RawInstruction, err error) (*socket, error) {
	if err != nil {
		return nil, err
	}
	return c.listen("ARP", unix.ETH_P_ARP, filter)
}

// free probes for addr in one short burst. It returns an ErrConflict when another host answers.
func (c *Client) free(ctx context.Context, t timing, addr netip.Addr) error {
	s, err := c.listenARP(probeFilter(addr))
	if err != nil {
		return err
	}
	defer s.close()
	defer s.interrupt(ctx)()
	burst := make([]beat, t.probes)
	for i := range burst {
		burst[i].after = time.Duration(i) * t.probeGap
	}
	return s.patrol(ctx, addr, burst, t.window)
}

// patrol sends the packets of plan when they are due, and listens until another host claims addr,
// which is an ErrConflict, or for the given time; 0: for ever.
func (s *socket) patrol(ctx context.Context, addr netip.Addr, plan []beat, length time.Duration) error {
	start := time.Now()
	for {
		var err error
		if plan, err = s.sendDue(addr, plan, time.Since(start)); err != nil {
			return err
		}
		var deadline time.Time // the zero time: none
		switch {
		case len(plan) > 0:
			deadline = start.Add(plan[0].after)
		case length > 0:
			deadline = start.Add(length)
		}
		err = s.hearClaim(ctx, addr, deadline)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if len(plan) == 0 && time.Since(start) >= length {
			return nil
		}
	}
}

func (s *socket) sendDue(addr netip.Addr, plan []beat, age time.Duration) ([]beat, error) {
	mac := [6]byte(s.iface.MAC)
	for len(plan) > 0 && plan[0].after <= age {
		p := probe(mac, addr)
		if plan[0].announce {
			p = announcement(mac, addr)
		}
		// A packet that could not be queued is one probe less, no more.
		if err := s.broadcast(p.bytes()); fatal(err) {
			return nil, err
		}
		plan = plan[1:]
	}
	return plan, nil
}

func (s *socket) hearClaim(ctx context.Context, addr netip.Addr, deadline time.Time) error {
	for {
		b, err := s.receive(ctx, deadline)
		if err != nil {
			return err
		}
		if a, err := parseARP(b); err == nil && a.claims(addr, s.iface.own()) {
			return fmt.Errorf("%s on %s: %w, %s", addr, s.iface.Name, ErrConflict, net.HardwareAddr(a.senderMAC[:]))
		}
	}
}

// watch listens for another host with our address while it is bound (RFC 5227 section 2.4).
type watch struct {
	addr  netip.Addr
	sock  *socket
	found chan clash // holds one, so that the watch ends unread too
}

// clash is a conflict that was found after binding.
type clash struct {
	err   error
	early bool // within the time in which RFC 5227 would still be probing
}

// watch announces addr and goes on in the background: with the rest of RFC 5227's probes when
// fresh, and with the second announcement. It ends with the first conflict, or with stop.
func (c *Client) watch(t timing, addr netip.Addr, fresh bool) (*watch, error) {
	s, err := c.listenARP(watchFilter(addr))
	if err != nil {
		return nil, err
	}
	plan, err := s.sendDue(addr, beats(t, fresh), 0)
	if err != nil {
		s.close()
		return nil, err
	}
	w := &watch{addr: addr, sock: s, found: make(chan clash, 1)}
	early := t.early
	if !fresh {
		early = 0
	}
	go w.run(plan, early)
	return w, nil
}

// beats leaves the probes out for an address that was in use before.
func beats(t timing, fresh bool) (plan []beat) {
	for _, b := range t.beats {
		if fresh || b.announce {
			plan = append(plan, b)
		}
	}
	return plan
}

func (w *watch) run(plan []beat, early time.Duration) {
	start := time.Now()
	err := w.sock.patrol(context.Background(), w.addr, plan, 0)
	if !errors.Is(err, ErrConflict) {
		return // stopped, or the link went down: the next BOUND begins anew
	}
	c := clash{err: err, early: time.Since(start) < early}
	if !c.early {
		// Defend once (RFC 5227 section 2.4 b). Failing at it changes nothing.
		_, _ = w.sock.sendDue(w.addr, []beat{{announce: true}}, 0)
	}
	w.found <- c
}

// stop may be called on nil. It does not wait for the socket either; what is found from now on,
// nobody reads.
func (w *watch) stop() {
	if w != nil {
		w.sock.close()
	}
}
