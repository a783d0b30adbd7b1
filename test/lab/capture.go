package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"ec2net/metadata"

	"golang.org/x/sys/unix"
)

// Packet is what was seen on an interface's cable.
type Packet struct {
	Time          time.Time
	FromInterface bool // else towards it
	Src, Dst      netip.Addr
	Kind          uint16 // EtherType: unix.ETH_P_IP, ETH_P_IPV6, ETH_P_ARP
	Proto         int    // unix.IPPROTO_…; for ARP the operation
	DstPort       uint16 // of TCP and UDP
	Frame         []byte // at most 256 bytes
}

// Capture listens on an interface's cable, on the fabric's end: what it shows has left the host.
type Capture struct {
	file *os.File
	mac  metadata.MAC
	done sync.WaitGroup

	mu      sync.Mutex
	packets []Packet
	changed bell
}

// maxCapture bounds the packets that a capture keeps; further ones are not recorded.
const maxCapture = 100_000

// Capture starts to record what passes an interface's cable. It sees everything from its return on.
func (c *Cloud) Capture(key string) (*Capture, error) {
	p, err := c.portOf(key)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	t := &Capture{mac: p.mac}
	if t.file, err = c.fabric.packetSocket(p, unix.ETH_P_ALL); err != nil {
		return nil, fmt.Errorf("capture on %s: %w", key, err)
	}
	c.own(t.Close)
	t.done.Add(1)
	go t.read()
	return t, nil
}

// packetSocket opens a socket that sees the frames of one kind on a port.
func (n *Node) packetSocket(p port, kind uint16) (f *os.File, err error) {
	err = n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open a packet socket: %w", err)
		}
		f = os.NewFile(uintptr(fd), "capture")
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) // the default only loses packets sooner
		network := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, kind))
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: p.index, Protocol: network}); err != nil {
			return errors.Join(fmt.Errorf("bind a packet socket: %w", err), f.Close())
		}
		return nil
	})
	return f, err
}

func (t *Capture) read() {
	defer t.done.Done()
	buf := make([]byte, 256)
	for {
		n, err := t.file.Read(buf)
		if errors.Is(err, unix.ENETDOWN) { // said once when the interface is unplugged
			continue
		}
		if err != nil {
			return
		}
		if p, ok := decode(buf[:n]); ok {
			p.FromInterface = n >= 12 && metadata.MAC(buf[6:12]) == t.mac
			t.add(p)
		}
	}
}

func (t *Capture) add(p Packet) {
	t.mu.Lock()
	if len(t.packets) < maxCapture {
		t.packets = append(t.packets, p)
	}
	t.mu.Unlock()
	t.changed.ring()
}

// Close ends the recording; what was recorded stays.
func (t *Capture) Close() error {
	err := t.file.Close()
	t.done.Wait()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// Packets returns what was seen so far and matches all of the filters.
func (t *Capture) Packets(filters ...func(Packet) bool) []Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.packets), func(p Packet) bool {
		return slices.ContainsFunc(filters, func(keep func(Packet) bool) bool { return !keep(p) })
	})
}

// Wait returns the first packet that matches all of the filters, seen already or yet to come, or ctx's error.
func (t *Capture) Wait(ctx context.Context, filters ...func(Packet) bool) (Packet, error) {
	var found []Packet
	err := t.changed.wait(ctx, func() bool {
		found = t.Packets(filters...)
		return len(found) > 0
	})
	if err != nil {
		return Packet{}, err
	}
	return found[0], nil
}

// FromInterface matches packets that left the host by the interface.
func FromInterface(p Packet) bool { return p.FromInterface }

// ToInterface matches packets on their way to the interface.
func ToInterface(p Packet) bool { return !p.FromInterface }

// From matches packets with a source.
func From(a netip.Addr) func(Packet) bool { return func(p Packet) bool { return p.Src == a } }

// To matches packets with a destination.
func To(a netip.Addr) func(Packet) bool { return func(p Packet) bool { return p.Dst == a } }

// Proto matches packets of an IP protocol, unix.IPPROTO_….
func Proto(proto int) func(Packet) bool {
	return func(p Packet) bool { return p.Kind != unix.ETH_P_ARP && p.Proto == proto }
}

// decode reads a frame.
func decode(b []byte) (Packet, bool) {
	if len(b) < 14 {
		return Packet{}, false
	}
	p := Packet{Time: time.Now(), Kind: binary.BigEndian.Uint16(b[12:]), Frame: slices.Clone(b)}
	body := b[14:]
	switch {
	case p.Kind == unix.ETH_P_IP && len(body) >= 20:
		p.Src, _ = netip.AddrFromSlice(body[12:16])
		p.Dst, _ = netip.AddrFromSlice(body[16:20])
		p.Proto = int(body[9])
		p.port(body, int(body[0]&15)*4)
	case p.Kind == unix.ETH_P_IPV6 && len(body) >= 40:
		p.Src, _ = netip.AddrFromSlice(body[8:24])
		p.Dst, _ = netip.AddrFromSlice(body[24:40])
		p.Proto = int(body[6])
		p.port(body, 40)
	case p.Kind == unix.ETH_P_ARP && len(body) >= 28:
		p.Src, _ = netip.AddrFromSlice(body[14:18])
		p.Dst, _ = netip.AddrFromSlice(body[24:28])
		p.Proto = int(binary.BigEndian.Uint16(body[6:]))
	}
	return p, true
}

func (p *Packet) port(body []byte, at int) {
	if len(body) >= at+4 && (p.Proto == unix.IPPROTO_TCP || p.Proto == unix.IPPROTO_UDP) {
		p.DstPort = binary.BigEndian.Uint16(body[at+2:])
	}
}
