package doctor

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// bits is what is known of some bytes of a packet, or of a class of packets: those of a subnet share the first bits of an
// address. data is 0 where a bit of known is not set.
type bits struct{ data, known []byte }

// exactly are bytes of which every bit is known.
func exactly(b []byte) bits { return bits{b, bytes.Repeat([]byte{0xff}, len(b))} }

// anything are n bytes of which nothing is known.
func anything(n int) bits { return bits{make([]byte, n), make([]byte, n)} }

// within are the addresses of a prefix; where it is not valid, any IPv4 address.
func within(p netip.Prefix) bits {
	if !p.IsValid() {
		return anything(4)
	}
	out := exactly(p.Masked().Addr().AsSlice())
	for i := range out.known {
		out.known[i] = ^byte(0xff >> min(8, max(0, p.Bits()-8*i)))
	}
	return out
}

// host32 is a number as the kernel has it in a register.
func host32(n uint32) bits { return exactly(binary.NativeEndian.AppendUint32(nil, n)) }

// cut is a part of the bytes; what is beyond their end is not known.
func (b bits) cut(from, n int) bits {
	out := anything(n)
	if from < len(b.data) {
		copy(out.data, b.data[from:])
		copy(out.known, b.known[from:])
	}
	return out
}

// lowest and highest are the ends of what the bytes may be, in the order that memcmp(3) has.
func (b bits) lowest() []byte { return b.data }

func (b bits) highest() []byte {
	out := slices.Clone(b.data)
	for i := range out {
		out[i] |= ^b.known[i]
	}
	return out
}

// may reports whether the bytes can be equal to others of the same length.
func (b bits) may(be []byte) bool {
	for i := range be {
		if (b.data[i]^be[i])&b.known[i] != 0 {
			return false
		}
	}
	return true
}

// under is the bytes under a mask, and then with some bits turned over (nft_bitwise_eval_bool).
func (b bits) under(mask, xor []byte) bits {
	out := anything(len(b.data))
	for i := range out.data {
		out.known[i] = b.known[i] | ^mask[i]
		out.data[i] = (b.data[i]&mask[i] ^ xor[i]) & out.known[i]
	}
	return out
}

// registers are those of nftables (struct nft_regs): 16 of 4 bytes behind the one for the verdict, which has 16 bytes.
type registers struct{ bits }

const registerBytes, verdictBytes = 80, 16

func newRegisters() registers { return registers{anything(registerBytes)} }

// registerOffset is where a register begins, by its number: NFT_REG_1 to NFT_REG_4 have 16 bytes each, and NFT_REG32_00 to
// NFT_REG32_15 are the same memory in parts of 4. There is none that begins behind the end.
func registerOffset(number uint32) int {
	switch {
	case number <= unix.NFT_REG_4:
		return int(number) * 16
	case number >= unix.NFT_REG32_00 && number <= unix.NFT_REG32_15:
		return verdictBytes + 4*int(number-unix.NFT_REG32_00)
	}
	return registerBytes
}

// get reads n bytes.
func (r registers) get(number uint32, n int) bits { return r.cut(registerOffset(number), n) }

// set writes bytes. The kernel fills the last 4 of them up with zeros.
func (r registers) set(number uint32, b bits) {
	at := min(registerOffset(number), registerBytes)
	zeros := make([]byte, (4-len(b.data)%4)%4)
	copy(r.data[at:], append(slices.Clone(b.data), zeros...))
	copy(r.known[at:], append(slices.Clone(b.known), exactly(zeros).known...))
}

// forget is for a write of something unknown, of any length: what stands behind it is forgotten, too. The parts of a key
// are written in their order, so that no other one is lost.
func (r registers) forget(number uint32) {
	at := min(registerOffset(number), registerBytes)
	clear(r.data[at:])
	clear(r.known[at:])
}
