package doctor

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// passage is what the rules of a chain are tried with: a packet that is passed on, of which nothing else is known.
type passage struct {
	in, out Link
	state   uint32 // of its connection: ctNew or ctEstablished
}

// Bits of nftables' "ct state" (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h).
const ctEstablished, ctNew = 2, 8

// outcome is what may become of a packet; several bits: it depends on what is not known.
type outcome uint8

const (
	accepts outcome = 1 << iota
	drops
	falls   // goes on with the next rule, or with the chain that led here
	returns // goes on with the chain that led here
	unknown = accepts | drops | falls
)

// fate is what the chain may do with a packet, its policy included.
func (c Chain) fate(p passage) outcome {
	w := chainWalk{rules: c.rules, packet: p, done: map[string]outcome{}}
	out := w.chain(c.Name)
	if out&falls == 0 {
		return out
	}
	if c.Drops {
		return out&^falls | drops
	}
	return out&^falls | accepts
}

// chainWalk tries the rules of one table with one packet. Nothing that a rule does changes what later ones know of the
// packet, so that a chain does the same wherever it is jumped to from, and is walked once.
type chainWalk struct {
	rules  map[string][]chainRule // by their chains
	packet passage
	done   map[string]outcome // by chain
	walked int                // chains
}

// chain is what may become of a packet that gets to a chain that is not a base chain, or to a base chain before its policy.
// The kernel refuses jumps that lead in a circle (nft_chain_validate of linux/net/netfilter/nf_tables_api.c); rules that were
// read while they changed may show one, of which nothing is known.
func (w *chainWalk) chain(name string) outcome {
	if out, ok := w.done[name]; ok {
		return out
	}
	w.done[name] = unknown
	w.walked++
	out := w.walk(w.rules[name])
	w.done[name] = out
	return out
}

func (w *chainWalk) walk(rules []chainRule) (out outcome) {
	for _, r := range rules {
		does, sure := w.apply(r)
		out |= does & (accepts | drops)
		if does&returns != 0 {
			out |= falls
		}
		if sure && does&falls == 0 {
			return out
		}
	}
	return out | falls
}

// chainRule is one rule of nftables.
type chainRule []expression

// expression is one of its parts (nft_expr of the kernel; NFTA_EXPR_NAME, NFTA_EXPR_DATA).
type expression struct {
	name string
	data attrs
}

// register is the one that was written last; what others hold counts as not known.
type register struct {
	number uint32
	value  []byte // nil: not known
}

func (r register) get(number uint32) []byte {
	if r.number == number {
		return r.value
	}
	return nil
}

// apply is what a rule does with a packet. sure: it is known whether the rule applies.
func (w *chainWalk) apply(r chainRule) (does outcome, sure bool) {
	sure = true
	var reg register
	for _, e := range r {
		switch e.name {
		case "counter", "log", "objref", "notrack", "last", "flow_offload": // they decide nothing
		case "meta":
			reg = register{e.data.be(unix.NFTA_META_DREG), w.packet.meta(e.data)}
		case "ct":
			reg = register{e.data.be(unix.NFTA_CT_DREG), w.packet.ct(e.data)}
		case "bitwise":
			reg = register{e.data.be(unix.NFTA_BITWISE_DREG), underMask(reg.get(e.data.be(unix.NFTA_BITWISE_SREG)), e.data)}
		case "cmp":
			matches, known := compare(reg.get(e.data.be(unix.NFTA_CMP_SREG)), e.data)
			if known && !matches {
				return falls, true
			}
			sure = sure && known
		case "immediate":
			if _, writes := e.data[unix.NFTA_IMMEDIATE_DREG]; writes && e.data.be(unix.NFTA_IMMEDIATE_DREG) != unix.NFT_REG_VERDICT {
				reg = register{}
				continue
			}
			return w.verdict(e.data), sure
		case "reject":
			return drops, sure
		case "match":
			sure = sure && e.data.text(unix.NFTA_MATCH_NAME) == "comment"
		case "target":
			if does, ends := target(e.data.text(unix.NFTA_TARGET_NAME)); ends {
				return does, sure
			}
		case "lookup":
			if _, maps := e.data[unix.NFTA_LOOKUP_DREG]; maps && e.data.be(unix.NFTA_LOOKUP_DREG) == unix.NFT_REG_VERDICT {
				return unknown, false
			}
			sure, reg = false, register{}
		case "queue":
			return accepts | drops, sure
		case "payload", "exthdr", "fib", "rt", "socket", "hash", "numgen", "osf", "xfrm", "tunnel", "byteorder": // they load what is not known
			reg = register{}
		default:
			sure, reg = false, register{}
		}
	}
	return falls, true
}

// verdict is that of an immediate expression.
func (w *chainWalk) verdict(e attrs) outcome {
	data, err := parse(e[unix.NFTA_IMMEDIATE_DATA], 0)
	if err != nil {
		return unknown
	}
	v, err := parse(data[unix.NFTA_DATA_VERDICT], 0)
	if err != nil {
		return unknown
	}
	switch int32(v.be32(unix.NFTA_VERDICT_CODE, 1<<16)) {
	case unix.NFT_CONTINUE:
		return falls
	case unix.NFT_RETURN:
		return returns
	case unix.NFT_JUMP:
		return w.chain(v.text(unix.NFTA_VERDICT_CHAIN))
	case unix.NFT_GOTO:
		out := w.chain(v.text(unix.NFTA_VERDICT_CHAIN))
		if out&falls != 0 {
			out = out&^falls | returns
		}
		return out
	case 0: // NF_DROP
		return drops
	case 1: // NF_ACCEPT
		return accepts
	}
	return unknown
}

// target is a target of iptables that is none of nftables' verdicts.
func target(name string) (does outcome, ends bool) {
	harmless := []string{"LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CHECKSUM", "CLASSIFY", "TRACE", "DSCP", "TOS", "SET", "AUDIT"}
	switch {
	case slices.Contains(harmless, name):
		return 0, false
	case name == "REJECT", name == "DROP":
		return drops, true
	}
	return unknown, true
}

// meta is what a packet has of the meta data that a rule asks for; nil: not known.
func (p passage) meta(e attrs) []byte {
	name := func(s string) []byte { return append([]byte(s), make([]byte, max(0, unix.IFNAMSIZ-len(s)))...) }
	switch e.be(unix.NFTA_META_KEY) {
	case unix.NFT_META_IIFNAME:
		return name(p.in.Name)
	case unix.NFT_META_OIFNAME:
		return name(p.out.Name)
	case unix.NFT_META_IIF:
		return binary.NativeEndian.AppendUint32(nil, uint32(p.in.Index))
	case unix.NFT_META_OIF:
		return binary.NativeEndian.AppendUint32(nil, uint32(p.out.Index))
	case unix.NFT_META_NFPROTO:
		return []byte{unix.NFPROTO_IPV4}
	}
	return nil
}

func (p passage) ct(e attrs) []byte {
	if e.be(unix.NFTA_CT_KEY) != unix.NFT_CT_STATE {
		return nil
	}
	return binary.NativeEndian.AppendUint32(nil, p.state)
}

// underMask is a value under a mask.
func underMask(value []byte, e attrs) []byte {
	mask, xor := dataOf(e[unix.NFTA_BITWISE_MASK]), dataOf(e[unix.NFTA_BITWISE_XOR])
	if value == nil || len(mask) != len(value) || len(xor) != len(value) {
		return nil
	}
	out := make([]byte, len(value))
	for i := range value {
		out[i] = value[i]&mask[i] ^ xor[i]
	}
	return out
}

// compare: the value is equal to what the rule says, or is not, as it asks. A name that ends with * is shorter there.
func compare(value []byte, e attrs) (matches, known bool) {
	want := dataOf(e[unix.NFTA_CMP_DATA])
	if value == nil || len(want) == 0 || len(want) > len(value) {
		return false, false
	}
	equal := slices.Equal(value[:len(want)], want)
	switch e.be(unix.NFTA_CMP_OP) {
	case unix.NFT_CMP_EQ:
		return equal, true
	case unix.NFT_CMP_NEQ:
		return !equal, true
	}
	return false, false
}

// dataOf is a nested NFTA_DATA_VALUE.
func dataOf(b []byte) []byte {
	a, err := parse(b, 0)
	if err != nil {
		return nil
	}
	return a[unix.NFTA_DATA_VALUE]
}

// be is a number in the network's order; one that is not there is 0.
func (a attrs) be(t uint16) uint32 { return a.be32(t, 0) }
