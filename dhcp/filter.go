package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
)

// Filters run in the kernel, before a packet is copied: without one, a flood on the interface costs a
// whole CPU. All offsets are from the network header (AF_PACKET, SOCK_DGRAM).

const wholePacket = 0x40000

// test is one comparison that a packet must pass.
type test struct {
	load bpf.Instruction
	mask uint32 // 0: none
	want uint32
}

// dhcpTests: a whole UDP datagram to port 68 that holds the answer to this exchange.
func dhcpTests(id identity) []test {
	mac, msg := id.mac[:], uint32(udpHeader)
	return []test{
		{load: bpf.LoadAbsolute{Off: 9, Size: 1}, want: protoUDP},
		{load: bpf.LoadAbsolute{Off: 6, Size: 2}, mask: 0x3fff, want: 0}, // no fragment, nor the first of several
		{load: bpf.LoadIndirect{Off: 2, Size: 2}, want: clientPort},
		{load: bpf.LoadIndirect{Off: msg, Size: 1}, want: 2}, // BOOTREPLY
		{load: bpf.LoadIndirect{Off: msg + offXid, Size: 4}, want: binary.BigEndian.Uint32(id.xid[:])},
		{load: bpf.LoadIndirect{Off: msg + offChaddr, Size: 4}, want: binary.BigEndian.Uint32(mac)},
		{load: bpf.LoadIndirect{Off: msg + offChaddr + 4, Size: 2}, want: uint32(binary.BigEndian.Uint16(mac[4:]))},
	}
}

func dhcpFilter(id identity) ([]bpf.RawInstruction, error) {
	// X = length of the IP header; it stays, since no test changes it.
	return assemble("DHCP", append([]bpf.Instruction{bpf.LoadMemShift{Off: 0}}, all(dhcpTests(id))...))
}

// watchFilter passes only ARP packets whose sender claims addr: nothing at all in a healthy subnet.
func watchFilter(addr netip.Addr) ([]bpf.RawInstruction, error) {
	return assemble("ARP watch", all([]test{{load: bpf.LoadAbsolute{Off: 14, Size: 4}, want: word(addr)}}))
}

// probeFilter also passes other hosts' probes for addr.
func probeFilter(addr netip.Addr) ([]bpf.RawInstruction, error) {
	claim := all([]test{{load: bpf.LoadAbsolute{Off: 14, Size: 4}, want: word(addr)}})
	probing := all([]test{
		{load: bpf.LoadAbsolute{Off: 14, Size: 4}, want: 0},
		{load: bpf.LoadAbsolute{Off: 24, Size: 4}, want: word(addr)},
	})
	return assemble("ARP probe", append(claim[:len(claim)-1], probing...)) // the first may fail and go on
}

// all returns a program that passes what passes every test.
func all(tests []test) []bpf.Instruction {
	var prog []bpf.Instruction
	for i := len(tests) - 1; i >= 0; i-- {
		t := tests[i]
		step := []bpf.Instruction{t.load}
		if t.mask != 0 {
			step = append(step, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: t.mask})
		}
		fail := uint8(len(prog) + 1) // over the tests after this one, and over "pass"
		step = append(step, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: t.want, SkipTrue: fail})
		prog = append(step, prog...)
	}
	return append(prog, bpf.RetConstant{Val: wholePacket}, bpf.RetConstant{Val: 0})
}

func assemble(what string, prog []bpf.Instruction) ([]bpf.RawInstruction, error) {
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return nil, fmt.Errorf("assemble the %s filter: %w", what, err)
	}
	return raw, nil
}

func word(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
