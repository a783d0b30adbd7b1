package dhcp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// arp is an ARP packet for IPv4 on Ethernet (RFC 826), without the Ethernet header.
type arp struct {
	op        uint16
	senderMAC [6]byte
	sender    netip.Addr
	targetMAC [6]byte
	target    netip.Addr
}

const (
	arpRequest = 1
	arpLen     = 28
)

// arpHead is the part that is the same in all of them: Ethernet, IPv4, 6 and 4 bytes.
const arpHead = "\x00\x01\x08\x00\x06\x04"

// probe asks who has addr without naming a sender, so that no cache learns a wrong one (RFC 5227
// section 2.1.1).
func probe(mac [6]byte, addr netip.Addr) arp {
	return arp{op: arpRequest, senderMAC: mac, sender: netip.IPv4Unspecified(), target: addr}
}

// announcement tells every cache in the subnet that addr is ours (RFC 5227 section 2.3).
func announcement(mac [6]byte, addr netip.Addr) arp {
	return arp{op: arpRequest, senderMAC: mac, sender: addr, target: addr}
}

func (a arp) bytes() []byte {
	b := append(make([]byte, 0, arpLen), arpHead...)
	b = binary.BigEndian.AppendUint16(b, a.op)
	b = append(append(b, a.senderMAC[:]...), a.sender.AsSlice()...)
	return append(append(b, a.targetMAC[:]...), a.target.AsSlice()...)
}

// parseARP reads a packet; what follows it is Ethernet's padding.
func parseARP(b []byte) (arp, error) {
	if len(b) < arpLen || string(b[:6]) != arpHead {
		return arp{}, fmt.Errorf("not an ARP packet for IPv4 on Ethernet: % x", clip(b))
	}
	return arp{
		op:        binary.BigEndian.Uint16(b[6:]),
		senderMAC: [6]byte(b[8:]), sender: netip.AddrFrom4([4]byte(b[14:])),
		targetMAC: [6]byte(b[18:]), target: netip.AddrFrom4([4]byte(b[24:])),
	}, nil
}

// claims says whether the packet shows another host that has addr, or that is probing for it at
// the same time (RFC 5227 section 2.1.1). own lists the MACs of this host: with two interfaces in one
// subnet each answers for the other's address.
func (a arp) claims(addr netip.Addr, own []net.HardwareAddr) bool {
	for _, mac := range own {
		if string(mac) == string(a.senderMAC[:]) {
			return false
		}
	}
	return a.sender == addr || (a.sender.IsUnspecified() && a.target == addr && a.op == arpRequest)
}
