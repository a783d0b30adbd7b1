package doctor

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// legacyTable is a table of iptables-legacy: entries (struct ipt_entry of linux/netfilter_ipv4/ip_tables.h), one behind the
// other, which are named by where they are. A jump names the first entry of a chain.
type legacyTable struct {
	hooks   map[int]bool // where the base chains begin
	forward int          // the one that sees what is passed on
	policy  int          // its last entry
	entries []byte
}

const (
	legacyEntryBytes  = 112 // struct ipt_entry
	legacyTargetBytes = 32  // struct xt_entry_target, and xt_entry_match: its size, its name of 29 bytes, its revision

	nfDrop, nfRepeat = 0, 4 // of linux/netfilter.h
)

// parseLegacy takes a table apart, and puts its rules into the form of nftables' (nft_compat.c does the same to what it takes
// over).
func parseLegacy(table string, info, answer []byte) (Chain, error) {
	c := Chain{Family: "ip", Table: table, Name: "FORWARD", Legacy: true, table: chainTable{rules: map[string][]chainRule{}}}
	if len(info) < legacyInfoBytes || len(answer) < legacyEntriesFrom {
		return c, fmt.Errorf("the iptables-legacy table %s is told in %d and %d bytes", table, len(info), len(answer))
	}
	t := legacyTable{hooks: map[int]bool{}, entries: answer[legacyEntriesFrom:]}
	for hook := range 5 {
		t.hooks[offset(info, 36+4*hook)] = true // hook_entry
	}
	t.forward, t.policy = offset(info, 36+4*hookForward), offset(info, 56+4*hookForward) // underflow
	chain := ""
	for at := 0; at < len(t.entries); {
		e, size, err := t.entry(at)
		if err != nil {
			return c, fmt.Errorf("the iptables-legacy table %s: %w", table, err)
		}
		target := legacyName(e.target)
		switch {
		case target == "ERROR": // the head of a chain of its own, or the end
			chain = strconv.Itoa(at + size)
			c.Docker = c.Docker || cString(e.target[legacyTargetBytes:]) == dockerUser
		case at == t.policy:
			c.Drops = target == "" && e.verdict() == -nfDrop-1
			chain = ""
		case at == t.forward:
			chain = c.Name
		case t.hooks[at]:
			chain = strconv.Itoa(at)
		}
		if target != "ERROR" && at != t.policy {
			c.table.rules[chain] = append(c.table.rules[chain], e.rule(at+size))
		}
		at += size
	}
	return c, nil
}

// legacyEntry is one rule.
type legacyEntry struct{ ip, matches, target []byte }

// entry is the one at a place, and its size.
func (t legacyTable) entry(at int) (e legacyEntry, size int, err error) {
	b := t.entries[at:]
	if len(b) < legacyEntryBytes {
		return e, 0, fmt.Errorf("an entry of %d bytes", len(b))
	}
	target, next := int(binary.NativeEndian.Uint16(b[88:])), int(binary.NativeEndian.Uint16(b[90:]))
	if target < legacyEntryBytes || next < target+legacyTargetBytes+4 || next > len(b) {
		return e, 0, fmt.Errorf("an entry of %d bytes with its target at %d, where %d are left", next, target, len(b))
	}
	return legacyEntry{ip: b[:84], matches: b[legacyEntryBytes:target], target: b[target:next]}, next, nil
}

// Bits of an entry's flags and invflags.
const (
	legacyFragment = 1 // IPT_F_FRAG
	legacyGoto     = 2 // IPT_F_GOTO
	notIn          = 1 // IPT_INV_VIA_IN, …
	notOut         = 2
	notSrc         = 8
	notDst         = 16
)

// rule is the entry in the form of nftables' rules. next is the entry behind it, which it goes on with where it has no
// target.
func (e legacyEntry) rule(next int) (out chainRule) {
	flags, not := e.ip[82], e.ip[83] // struct ipt_ip
	out = append(out, asks(payloadAt(12), e.ip[0:4], e.ip[8:12], not&notSrc != 0)...)
	out = append(out, asks(payloadAt(16), e.ip[4:8], e.ip[12:16], not&notDst != 0)...)
	out = append(out, asks(metaOf(unix.NFT_META_IIFNAME), e.ip[16:32], e.ip[48:64], not&notIn != 0)...)
	out = append(out, asks(metaOf(unix.NFT_META_OIFNAME), e.ip[32:48], e.ip[64:80], not&notOut != 0)...)
	if binary.NativeEndian.Uint16(e.ip[80:]) != 0 || flags&legacyFragment != 0 {
		out = append(out, expression{name: "the protocol, or fragments"})
	}
	for b := e.matches; len(b) >= legacyTargetBytes; {
		n := min(len(b), max(legacyTargetBytes, int(binary.NativeEndian.Uint16(b))))
		out = append(out, matchOf(b[:n]))
		b = b[n:]
	}
	if name := legacyName(e.target); name != "" {
		return append(out, expression{"target", attrs{unix.NFTA_TARGET_NAME: nl.ZeroTerminated(name)}})
	}
	switch v := e.verdict(); {
	case v == next && flags&legacyGoto == 0: // no target
		return out
	case v >= 0 && flags&legacyGoto != 0:
		return append(out, verdictOf(unix.NFT_GOTO, strconv.Itoa(v)))
	case v >= 0:
		return append(out, verdictOf(unix.NFT_JUMP, strconv.Itoa(v)))
	case v == -nfRepeat-1: // XT_RETURN
		return append(out, verdictOf(unix.NFT_RETURN, ""))
	default:
		return append(out, verdictOf(int32(-v-1), ""))
	}
}

// verdict is that of the standard target (struct xt_standard_target): less than 0, or where it jumps to.
func (e legacyEntry) verdict() int { return offset(e.target, legacyTargetBytes) }

// asks is a comparison of something under a mask; none where the mask asks for nothing.
func asks(load expression, value, mask []byte, not bool) chainRule {
	if len(strings.Trim(string(mask), "\x00")) == 0 {
		return nil
	}
	value = bits{value, mask}.under(mask, make([]byte, len(mask))).data // what a pattern has in the place of its + does not count
	op := uint32(unix.NFT_CMP_EQ)
	if not {
		op = unix.NFT_CMP_NEQ
	}
	data := func(b []byte) []byte { return nl.NewRtAttr(unix.NFTA_DATA_VALUE, b).Serialize() }
	one := nl.BEUint32Attr(unix.NFT_REG_1)
	return chainRule{
		load,
		{"bitwise", attrs{
			unix.NFTA_BITWISE_SREG: one, unix.NFTA_BITWISE_DREG: one,
			unix.NFTA_BITWISE_MASK: data(mask), unix.NFTA_BITWISE_XOR: data(make([]byte, len(mask))),
		}},
		{"cmp", attrs{unix.NFTA_CMP_SREG: one, unix.NFTA_CMP_OP: nl.BEUint32Attr(op), unix.NFTA_CMP_DATA: data(value)}},
	}
}

// payloadAt loads 4 bytes of the IPv4 header.
func payloadAt(at uint32) expression {
	return expression{"payload", attrs{
		unix.NFTA_PAYLOAD_DREG: nl.BEUint32Attr(unix.NFT_REG_1), unix.NFTA_PAYLOAD_BASE: nl.BEUint32Attr(unix.NFT_PAYLOAD_NETWORK_HEADER),
		unix.NFTA_PAYLOAD_OFFSET: nl.BEUint32Attr(at), unix.NFTA_PAYLOAD_LEN: nl.BEUint32Attr(4),
	}}
}

func metaOf(key uint32) expression {
	return expression{"meta", attrs{unix.NFTA_META_DREG: nl.BEUint32Attr(unix.NFT_REG_1), unix.NFTA_META_KEY: nl.BEUint32Attr(key)}}
}

func matchOf(b []byte) expression {
	return expression{"match", attrs{
		unix.NFTA_MATCH_NAME: nl.ZeroTerminated(legacyName(b)), unix.NFTA_MATCH_REV: nl.BEUint32Attr(uint32(b[31])), unix.NFTA_MATCH_INFO: b[legacyTargetBytes:],
	}}
}

// verdictOf is an NF_* or NFT_* verdict, and the chain that it leads to.
func verdictOf(code int32, chain string) expression {
	v := nl.NewRtAttr(unix.NFTA_DATA_VERDICT, nil)
	v.AddRtAttr(unix.NFTA_VERDICT_CODE, nl.BEUint32Attr(uint32(code)))
	v.AddRtAttr(unix.NFTA_VERDICT_CHAIN, nl.ZeroTerminated(chain))
	return expression{"immediate", attrs{unix.NFTA_IMMEDIATE_DATA: v.Serialize()}}
}

// legacyName is the name of a match or a target; the standard one has none.
func legacyName(b []byte) string { return cString(b[2 : legacyTargetBytes-1]) }

func cString(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

func offset(b []byte, at int) int { return int(int32(binary.NativeEndian.Uint32(b[at:]))) }
