package dhcp

import (
	"encoding/binary"
	"net/netip"
)

const (
	serverPort = 67
	clientPort = 68

	ipHeader  = 20
	udpHeader = 8
	protoUDP  = 17
)

// datagram puts an IPv4 and a UDP header before a message from port 68 to port 67.
func datagram(payload []byte, src, dst netip.Addr) []byte {
	b := make([]byte, ipHeader+udpHeader, ipHeader+udpHeader+len(payload))
	s, d := src.As4(), dst.As4()
	udpLen := uint16(udpHeader + len(payload))

	b[0] = 0x45               // version and header length
	b[8], b[9] = 64, protoUDP // TTL, protocol
	binary.BigEndian.PutUint16(b[2:], ipHeader+udpLen)
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	binary.BigEndian.PutUint16(b[10:], ^fold(sum(b[:ipHeader])))

	binary.BigEndian.PutUint16(b[20:], clientPort)
	binary.BigEndian.PutUint16(b[22:], serverPort)
	binary.BigEndian.PutUint16(b[24:], udpLen)
	b = append(b, payload...)
	// The pseudo header: addresses, protocol and length (RFC 768).
	check := ^fold(sum(b[12:]) + protoUDP + uint32(udpLen))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(b[26:], check)
	return b
}

// payload returns what a UDP datagram to port 68 carries. Checksums are not looked at: on virtual
// interfaces the kernel hands over packets whose checksum the sender left to the hardware.
func payload(b []byte) ([]byte, bool) {
	if len(b) < ipHeader || b[0]>>4 != 4 || b[9] != protoUDP || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return nil, false
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < ipHeader || total < head+udpHeader || total > len(b) {
		return nil, false
	}
	u := b[head:total] // beyond it there is Ethernet's padding
	n := int(binary.BigEndian.Uint16(u[4:]))
	if binary.BigEndian.Uint16(u[2:]) != clientPort || n < udpHeader || n > len(u) {
		return nil, false
	}
	return u[udpHeader:n], true
}

// sum adds up 16-bit words; a last odd byte counts as the high one.
func sum(b []byte) (n uint32) {
	for ; len(b) > 1; b = b[2:] {
		n += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		n += uint32(b[0]) << 8
	}
	return n
}

func fold(n uint32) uint16 {
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return uint16(n)
}
