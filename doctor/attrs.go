package doctor

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"ec2net/plumb"
)

// attrs are a message's attributes by type; the last one of a type counts, as in the kernel.
type attrs map[uint16][]byte

// parse reads the attributes behind a header of so many bytes; of none there is no map. An element of a set has several
// levels of few, and a set has many elements.
func parse(msg []byte, header int) (attrs, error) {
	if len(msg) < header {
		return nil, fmt.Errorf("rtnetlink message of %d bytes is too short", len(msg))
	}
	body := msg[header:]
	if len(body) == 0 {
		return nil, nil
	}
	out := make(attrs, min(16, len(body)/8))
	err := plumb.EachAttr(body, func(t uint16, value []byte) { out[t] = value })
	return out, err
}

func (a attrs) u8(t uint16) uint8 {
	if b := a[t]; len(b) > 0 {
		return b[0]
	}
	return 0
}

func (a attrs) u32(t uint16) uint32 { return a.u32or(t, 0) }

// u32or tells an attribute that is not there from one that is 0.
func (a attrs) u32or(t uint16, missing uint32) uint32 {
	if b := a[t]; len(b) >= 4 {
		return binary.NativeEndian.Uint32(b)
	}
	return missing
}

func (a attrs) be64(t uint16) uint64 {
	if b := a[t]; len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (a attrs) text(t uint16) string { return strings.TrimRight(string(a[t]), "\x00") }

func (a attrs) addr(t uint16) netip.Addr {
	ip, _ := netip.AddrFromSlice(a[t])
	return ip
}

// prefix is invalid where the attribute is missing or the length does not fit it.
func (a attrs) prefix(t uint16, bits uint8) netip.Prefix {
	ip := a.addr(t)
	if !ip.IsValid() || int(bits) > ip.BitLen() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(ip, int(bits))
}

// ports is a struct fib_rule_port_range.
func (a attrs) ports(t uint16) Ports {
	if b := a[t]; len(b) >= 4 {
		return Ports{binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])}
	}
	return Ports{}
}

// uids is a struct fib_rule_uid_range. The kernel names the whole range where no rule asked for one.
func (a attrs) uids(t uint16) UIDs {
	b := a[t]
	if len(b) < 8 {
		return UIDs{}
	}
	u := UIDs{First: binary.NativeEndian.Uint32(b), Last: binary.NativeEndian.Uint32(b[4:])}
	u.Set = u.First != 0 || u.Last != ^uint32(0)
	return u
}
