package lab

import (
	"encoding/binary"
	"net/netip"

	"ec2net/metadata"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// routerMAC is whom EC2's DHCP answers come from.
var routerMAC = metadata.MAC{0x02, 0xfa, 0xb2, 0, 0, 1}

var broadcastMAC = metadata.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// answerFrame wraps a DHCP answer in the frame that carries it to the client: by broadcast if it asked for that or
// is being refused, else to its interface and the address that it is about to have (RFC 2131 section 4.1).
func answerFrame(k *iface, req, answer *dhcpv4.DHCPv4, plan dhcpPlan) []byte {
	to, mac := netip.AddrFrom4([4]byte{255, 255, 255, 255}), broadcastMAC
	refused := answer.MessageType() == dhcpv4.MessageTypeNak
	if client := addrOf(req.ClientIPAddr); client.IsValid() && !refused {
		to, mac = client, k.MAC
	} else if your := addrOf(answer.YourIPAddr); your.IsValid() && !req.IsBroadcast() && !refused {
		to, mac = your, k.MAC
	}
	payload := plan.mangle.mangled(answer.ToBytes())
	return ethernet(mac, serverMAC(k), unix.ETH_P_IP, udpPacket(plan.server, to, dhcpv4.ServerPort, dhcpv4.ClientPort, payload))
}

// serverMAC is whom an interface's DHCP answers come from.
func serverMAC(k *iface) metadata.MAC {
	if gateway := k.node.cloud.cfg.Cloud.habits().gateway; gateway != nil {
		return gateway(k.subnet)
	}
	return routerMAC
}

// ethernet builds a frame.
func ethernet(to, from metadata.MAC, kind uint16, payload []byte) []byte {
	b := append(append(make([]byte, 0, 14+len(payload)), to[:]...), from[:]...)
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

// udpPacket builds an IPv4 packet with a UDP datagram and both checksums.
func udpPacket(from, to netip.Addr, fromPort, toPort uint16, payload []byte) []byte {
	b := make([]byte, 28, 28+len(payload))
	b[0] = 0x45 // IPv4, a header of 20 bytes
	b[8] = 64   // TTL
	b[9] = unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(payload)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[20:], fromPort)
	binary.BigEndian.PutUint16(b[22:], toPort)
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(payload)))
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[10:], checksum(0, b[:20]))
	pseudo := uint32(unix.IPPROTO_UDP) + uint32(8+len(payload))
	for i := 12; i < 20; i += 2 {
		pseudo += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum := checksum(pseudo, b[20:])
	if sum == 0 {
		sum = 0xffff // RFC 768: zero means none
	}
	binary.BigEndian.PutUint16(b[26:], sum)
	return b
}

// checksum is the internet checksum (RFC 1071), on top of a start value.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// arpReply builds the frame that says that an address is at a MAC.
func arpReply(asker, owner metadata.MAC, askerIP, ownerIP netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, 2}
	b = append(append(b, owner[:]...), ownerIP.AsSlice()...)
	b = append(append(b, asker[:]...), askerIP.AsSlice()...)
	return ethernet(asker, owner, unix.ETH_P_ARP, b)
}
