package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// life is a Run under way.
type life struct {
	*bed
	events chan Event
	cancel func()
	done   chan error
}

// run starts Run on a thread of its own in the client's namespace. Like the real caller it puts
// the leased address on the interface from within report, unless bare.
func (b *bed) run(prior *Lease, carrier <-chan bool, bare bool) *life {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{bed: b, events: make(chan Event, 1000), cancel: cancel, done: make(chan error, 1)}
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(b.client); err != nil {
			l.done <- err
			return
		}
		l.done <- b.iface.Run(ctx, prior, carrier, func(e Event) {
			if e.State == Bound && !bare {
				b.addr(b.c, "c0", e.Lease.Addr.String())
			}
			l.events <- e
		})
	}()
	b.Cleanup(func() { l.end() })
	return l
}

func (l *life) end() {
	l.cancel()
	select {
	case err := <-l.done:
		if err != nil {
			l.Errorf("Run: %v", err)
		}
		l.done <- nil
	case <-time.After(patience):
		l.Error("Run did not end with its context")
	}
}

// until reads events up to one that will do.
func (l *life) until(what string, will func(Event) bool) Event {
	l.Helper()
	var seen []string
	for late := time.After(patience); ; {
		select {
		case e := <-l.events:
			seen = append(seen, fmt.Sprintf("%s lease=%v err=%v", e.State, e.Lease != nil, e.Err))
			if will(e) {
				return e
			}
		case err := <-l.done:
			l.done <- nil
			l.Fatalf("waiting for %s: Run ended: %v", what, err)
		case <-late:
			l.Fatalf("waiting for %s; seen:\n%s", what, strings.Join(seen, "\n"))
		}
	}
}

func (l *life) state(s State) Event {
	l.Helper()
	return l.until(s.String(), func(e Event) bool { return e.State == s })
}

func (l *life) failure(want error) Event {
	l.Helper()
	return l.until(want.Error(), func(e Event) bool { return errors.Is(e.Err, want) })
}

// seen is one frame on the wire.
type seen struct {
	src, dst net.HardwareAddr
	kind     uint16
	body     []byte
}

// dhcp returns the client's or server's message in the frame, or nil.
func (f seen) dhcp() *dhcpv4.DHCPv4 {
	if f.kind != unix.ETH_P_IP || len(f.body) < 28 || f.body[9] != protoUDP {
		return nil
	}
	m, err := dhcpv4.FromBytes(f.body[28:])
	if err != nil {
		return nil
	}
	return m
}

func (f seen) isDHCP(t dhcpv4.MessageType) bool {
	m := f.dhcp()
	return m != nil && m.MessageType() == t
}

// srcIP and dstIP are those of an IPv4 frame.
func (f seen) srcIP() string { return net.IP(f.body[12:16]).String() }
func (f seen) dstIP() string { return net.IP(f.body[16:20]).String() }

// tap sees what passes the client's end of the wire.
type tap struct {
	*bed
	frames chan seen
}

func (b *bed) tap() *tap {
	b.Helper()
	conn, err := packet.Listen(&net.Interface{Index: b.iface.Index, Name: "c0"}, packet.Raw, unix.ETH_P_ALL, nil)
	b.must(err)
	t := &tap{bed: b, frames: make(chan seen, 10000)}
	go func() {
		buf := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFrom(buf)
			if errors.Is(err, unix.ENETDOWN) {
				continue
			}
			if err != nil {
				return
			}
			f := append([]byte(nil), buf[:n]...)
			t.frames <- seen{src: net.HardwareAddr(f[6:12]), dst: net.HardwareAddr(f[:6]), kind: uint16(f[12])<<8 | uint16(f[13]), body: f[14:]}
		}
	}()
	b.Cleanup(func() { conn.Close() })
	return t
}

// next reads frames up to one that will do, and returns what passed before it.
func (t *tap) next(what string, will func(seen) bool) (f seen, before []seen) {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case f := <-t.frames:
			if will(f) {
				return f, before
			}
			before = append(before, f)
		case <-late:
			t.Fatalf("no %s on the wire in %d frames", what, len(before))
		}
	}
}

// acquire gets a lease on the test's own thread, and ends as soon as it is bound. It asks for prior again when that is
// still alive.
func (b *bed) acquire(prior *Lease, patience time.Duration) (Lease, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got *Lease
	var last error
	err := b.iface.Run(ctx, prior, nil, func(e Event) {
		if e.Err != nil {
			last = e.Err
		}
		if e.State == Bound && got == nil {
			got = e.Lease
			cancel()
		}
	})
	if got != nil {
		return *got, nil
	}
	return Lease{}, errors.Join(err, ctx.Err(), last)
}
