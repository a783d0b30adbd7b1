package dhcp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Heard is a sign that another program of this host does DHCP on the interface.
type Heard struct {
	At   time.Time
	What string // "DHCP message", "ARP probe"
}

// Hear listens on the interface for what a DHCP client of this host sends there: a message to a DHCP server, or the ARP
// probe for an address that it was leased (RFC 5227 section 2.1.1). It reports the first one, if any, closes the
// socket, and closes the channel; ctx ends it too. What our own client sends counts as well, so none may be running.
//
// The kernel shows what it sends to sockets for all protocols only (dev_queue_xmit_nit in net/core/dev.c); the filter
// in the kernel leaves nothing of the rest.
func (c *Client) Hear(ctx context.Context) (<-chan Heard, error) {
	filter, err := assemble("DHCP client", hearFilter(c.MAC))
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(&net.Interface{Index: c.Index, Name: c.Name}, packet.Datagram, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return nil, c.fault("listen for other DHCP clients", err)
	}
	out := make(chan Heard, 1)
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	go func() {
		defer close(out)
		defer conn.Close()
		defer stop()
		b := make([]byte, maxPacket)
		n, _, err := conn.ReadFrom(b)
		for err != nil && !fatal(c.fault("", err)) && ctx.Err() == nil { // the error of a link that was down stays behind once
			n, _, err = conn.ReadFrom(b)
		}
		if err == nil {
			out <- Heard{At: time.Now(), What: whatWasHeard(b[:n])}
		}
	}()
	return out, nil
}

// whatWasHeard names a packet that passed hearFilter: an IPv4 one, or ARP, whose hardware type is 1.
func whatWasHeard(b []byte) string {
	if len(b) > 0 && b[0]>>4 == 4 {
		return "DHCP message"
	}
	return "ARP probe"
}

// hearFilter passes a BOOTREQUEST of the MAC, and an ARP probe of the MAC. Offsets are from the network header.
func hearFilter(mac net.HardwareAddr) []bpf.Instruction {
	high, low := binary.BigEndian.Uint32(mac), uint32(binary.BigEndian.Uint16(mac[4:]))
	protocol := bpf.LoadExtension{Num: bpf.ExtProto}
	probe := all([]test{
		{load: protocol, want: unix.ETH_P_ARP},
		{load: bpf.LoadAbsolute{Off: 8, Size: 4}, want: high},
		{load: bpf.LoadAbsolute{Off: 12, Size: 2}, want: low},
		{load: bpf.LoadAbsolute{Off: 14, Size: 4}, want: 0}, // of nobody yet
	})
	const msg = udpHeader
	request := all([]test{
		{load: protocol, want: unix.ETH_P_IP},
		{load: bpf.LoadAbsolute{Off: 9, Size: 1}, want: protoUDP},
		{load: bpf.LoadAbsolute{Off: 6, Size: 2}, mask: 0x3fff, want: 0},
		{load: bpf.LoadIndirect{Off: 2, Size: 2}, want: serverPort},
		{load: bpf.LoadIndirect{Off: msg, Size: 1}, want: 1}, // BOOTREQUEST
		{load: bpf.LoadIndirect{Off: msg + offChaddr, Size: 4}, want: high},
		{load: bpf.LoadIndirect{Off: msg + offChaddr + 4, Size: 2}, want: low},
	})
	// A packet that fails a test of the first program goes on with the second one, whose X is the length of the IP
	// header; for ARP the value means nothing, and the first test of the second program ends it.
	return append(append(probe[:len(probe)-1], bpf.LoadMemShift{Off: 0}), request...)
}

// String is what was heard, and when.
func (h Heard) String() string { return fmt.Sprintf("%s at %s", h.What, h.At.Format(time.TimeOnly)) }
