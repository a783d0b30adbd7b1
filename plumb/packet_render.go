package plumb

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// packetChain is a base chain of an interface's table, as nft writes it and as the kernel has it.
type packetChain struct {
	name     string
	kind     string // filter, nat or route
	hook     uint32 // NF_INET_*
	priority int32
	lines    []packetLine
}

// packetLine is one rule of a chain.
type packetLine struct {
	of    PacketRule
	text  string // in nft's syntax
	exprs []expr.Any
}

const priorityMangle, priorityAfterDNAT, prioritySNAT = -150, -90, 100

// chains are the base chains that the table needs, and no others: each costs every packet a little,
// and some need the kernel's connection tracking.
func (t packetTable) chains(dev string) (out []packetChain) {
	prerouting := packetChain{name: "prerouting", kind: "filter", hook: unix.NF_INET_PRE_ROUTING, priority: priorityAfterDNAT}
	output := packetChain{name: "output", kind: "route", hook: unix.NF_INET_LOCAL_OUT, priority: priorityMangle}
	forward := packetChain{name: "forward", kind: "filter", hook: unix.NF_INET_FORWARD, priority: priorityMangle}
	postrouting := packetChain{name: "postrouting", kind: "nat", hook: unix.NF_INET_POST_ROUTING, priority: prioritySNAT}
	for _, r := range t.rules {
		switch r.Kind {
		case ReplyByInterface:
			prerouting.add(r, remember(r, dev), marked(r))
			output.add(r, marked(r))
		case ClampMSS:
			forward.add(r, clamp("iif", expr.MetaKeyIIF, r, dev), clamp("oif", expr.MetaKeyOIF, r, dev))
		case Masquerade:
			postrouting.add(r, masquerade(r, dev))
		}
	}
	for _, c := range []packetChain{prerouting, output, forward, postrouting} {
		if len(c.lines) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func (c *packetChain) add(r PacketRule, lines ...packetLine) {
	for _, l := range lines {
		l.of = r
		c.lines = append(c.lines, l)
	}
}

// text is the whole table in nft's syntax, in one line.
func (t packetTable) text(dev string) string {
	var b strings.Builder
	b.WriteString("table inet " + t.name())
	if len(t.rules) == 0 {
		return b.String()
	}
	b.WriteString(" { chain " + packetMark + " { };")
	for _, c := range t.chains(dev) {
		fmt.Fprintf(&b, " chain %s { type %s hook %s priority %d;", c.name, c.kind, c.name, c.priority)
		for _, l := range c.lines {
			b.WriteString(" " + l.text + ";")
		}
		b.WriteString(" };")
	}
	b.WriteString(" }")
	return b.String()
}

// register is the one that all rules work in: register 1, of 16 bytes.
const register = unix.NFT_REG_1

// remember gives a connection that came in by the interface, and is passed on to another address, the interface's
// mark. Each packet of the first direction does it again: so a connection is right however it began,
// and also while one table takes another's place.
func remember(r PacketRule, dev string) packetLine {
	return packetLine{
		text: fmt.Sprintf("iif %q ct direction original ct status dnat ct mark set %s", dev, r.marking("ct mark")),
		exprs: join(link(expr.MetaKeyIIF, r.Dev), []expr.Any{
			&expr.Ct{Key: expr.CtKeyDIRECTION, Register: register}, equal(ctOriginal),
			&expr.Ct{Key: expr.CtKeySTATUS, Register: register}, masked(native32(ctStatusDNAT), 0), unequal(native32(0)...),
			&expr.Ct{Key: expr.CtKeyMARK, Register: register}, r.mark(),
			&expr.Ct{Key: expr.CtKeyMARK, Register: register, SourceRegister: true},
		}),
	}
}

const (
	ctOriginal   = 0      // IP_CT_DIR_ORIGINAL
	ctStatusDNAT = 1 << 5 // IPS_DST_NAT
)

// marked gives the packet the mark of its connection, for the rules to see.
func marked(r PacketRule) packetLine {
	return packetLine{
		text: fmt.Sprintf("ct mark & %#x == %#x meta mark set %s", uint32(MarkMask), r.Mark, r.marking("meta mark")),
		exprs: []expr.Any{
			&expr.Ct{Key: expr.CtKeyMARK, Register: register}, masked(native32(MarkMask), 0), equal(native32(r.Mark)...),
			&expr.Meta{Key: expr.MetaKeyMARK, Register: register}, r.mark(),
			&expr.Meta{Key: expr.MetaKeyMARK, Register: register, SourceRegister: true},
		},
	}
}

// marking is a mark with the interface's in the place of whatever was in our bits.
func (r PacketRule) marking(of string) string {
	return fmt.Sprintf("%s & %#x | %#x", of, ^uint32(MarkMask), r.Mark)
}

func (r PacketRule) mark() expr.Any { return masked(native32(^uint32(MarkMask)), r.Mark) }

// clamp lowers the segment size of a connection's first packets; the kernel never raises it, and takes
// the smaller of both directions' routes.
func clamp(word string, key expr.MetaKey, r PacketRule, dev string) packetLine {
	const syn, synRst, flagsAt, option, sizeAt = 0x02, 0x06, 13, 2, 2 // RFC 9293, 3.1 and 3.2
	return packetLine{
		text: fmt.Sprintf("%s %q tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu", word, dev),
		exprs: join(link(key, r.Dev), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equal(unix.IPPROTO_TCP),
			&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: flagsAt, Len: 1},
			masked([]byte{synRst}, 0), equal(syn),
			&expr.Rt{Register: register, Key: expr.RtTCPMSS},
			&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 2, Size: 2},
			&expr.Exthdr{SourceRegister: register, Type: option, Offset: sizeAt, Len: 2, Op: expr.ExthdrOpTcpopt},
		}),
	}
}

func masquerade(r PacketRule, dev string) packetLine {
	word, proto := "ip", byte(unix.NFPROTO_IPV4)
	at := uint32(12) // where the source address is in the header
	if r.From.Addr().Is6() {
		word, proto = "ip6", unix.NFPROTO_IPV6
		at = 8
	}
	from, mask := r.From.Masked().Addr().AsSlice(), prefixMask(r.From)
	return packetLine{
		text: fmt.Sprintf("oif %q %s saddr %s masquerade", dev, word, fromText(r.From)),
		exprs: join(link(expr.MetaKeyOIF, r.Dev), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equal(proto),
			&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: uint32(len(from))},
			masked(mask, 0), equal(from...),
			&expr.Masq{},
		}),
	}
}

func prefixMask(p netip.Prefix) []byte {
	out := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		out[i/8] |= 0x80 >> (i % 8)
	}
	return out
}

func join(lists ...[]expr.Any) (out []expr.Any) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// link matches the interface by its index, which a rename does not change.
func link(key expr.MetaKey, index int) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: register}, equal(native32(uint32(index))...)}
}

func equal(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

func unequal(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: data}
}

// masked keeps the bits of mask in the register, and sets those of set.
func masked(mask []byte, set uint32) expr.Any {
	xor := make([]byte, len(mask))
	if set != 0 {
		xor = native32(set)
	}
	return &expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(len(mask)), Mask: mask, Xor: xor}
}

func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func (p packetLine) marshal() (out [][]byte, err error) {
	for _, e := range p.exprs {
		b, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return nil, fmt.Errorf("encode %q: %w", p.text, err)
		}
		out = append(out, b)
	}
	return out, nil
}

func (c packetChain) attrs() []nl.NetlinkRequestData {
	hook := nl.NewRtAttr(unix.NFTA_CHAIN_HOOK|unix.NLA_F_NESTED, nil)
	hook.AddRtAttr(unix.NFTA_HOOK_HOOKNUM, big32(c.hook))
	hook.AddRtAttr(unix.NFTA_HOOK_PRIORITY, big32(uint32(c.priority)))
	return []nl.NetlinkRequestData{attrText(unix.NFTA_CHAIN_NAME, c.name), hook, attrText(unix.NFTA_CHAIN_TYPE, c.kind)}
}
