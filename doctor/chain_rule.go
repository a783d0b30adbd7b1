package doctor

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"
)

// chainRule is one rule of nftables.
type chainRule []expression

// expression is one of its parts (nft_expr of the kernel; NFTA_EXPR_NAME, NFTA_EXPR_DATA).
type expression struct {
	name string
	data attrs
}

// step is what one expression does with a packet.
type step struct {
	passes, breaks bool    // the rule may go on behind it, and may end here without a verdict
	verdict        outcome // that the rule ends with, where it goes on; 0: none
}

// Steps that need no evaluation.
var (
	goesOn  = step{passes: true}               // decides nothing
	depends = step{passes: true, breaks: true} // on what is not known
)

// apply is what a rule does with a packet. sure: it is known whether the rule applies.
func (w *chainWalk) apply(r chainRule) (does outcome, sure bool) {
	sure = true
	regs := newRegisters()
	for _, e := range r {
		s := w.evaluate(e, regs)
		if !s.passes {
			return falls, true
		}
		if sure = sure && !s.breaks; s.verdict != 0 {
			return s.verdict, sure
		}
	}
	return falls, true
}

// evaluate does an expression with what is known of the packet, and of the registers.
func (w *chainWalk) evaluate(e expression, regs registers) step {
	switch e.name {
	case "counter", "log", "notrack", "last":
		return goesOn
	case "meta", "ct", "payload", "bitwise", "exthdr", "fib", "rt", "socket", "hash", "numgen", "osf", "xfrm", "tunnel", "byteorder", "inner":
		return w.load(e, regs)
	case "cmp":
		return compare(regs, e.data)
	case "range":
		return between(regs, e.data)
	case "lookup":
		return w.lookup(regs, e.data)
	case "immediate":
		return w.immediate(regs, e.data)
	case "reject":
		return step{passes: true, verdict: drops}
	case "queue":
		return step{passes: true, verdict: accepts | drops}
	case "objref":
		return objectStep(e.data)
	case "match":
		return w.packet.match(e.data)
	case "target":
		return step{passes: true, verdict: target(e.data.text(unix.NFTA_TARGET_NAME))}
	}
	regs.forget(unix.NFT_REG_1)
	return depends
}

// load writes a register from the packet, or from another register.
func (w *chainWalk) load(e expression, regs registers) step {
	to := map[string]uint16{ // the attribute that names the register; most have it first
		"meta": unix.NFTA_META_DREG, "ct": unix.NFTA_CT_DREG, "bitwise": unix.NFTA_BITWISE_DREG, "byteorder": unix.NFTA_BYTEORDER_DREG,
		"hash": unix.NFTA_HASH_DREG, "socket": socketDreg, "osf": osfDreg,
	}[e.name]
	if to == 0 {
		to = 1 // NFTA_PAYLOAD_DREG, NFTA_EXTHDR_DREG, NFTA_FIB_DREG, NFTA_RT_DREG, NFTA_NG_DREG, …
	}
	if _, writes := e.data[to]; !writes { // it changes the packet
		return goesOn
	}
	value, known := w.value(e, regs)
	if regs.forget(e.data.be(to)); known {
		regs.set(e.data.be(to), value)
	}
	if slices.Contains([]string{"meta", "ct", "payload", "bitwise", "byteorder", "numgen"}, e.name) {
		return goesOn
	}
	return depends // it breaks where the packet has no such thing
}

// Of linux/netfilter/nf_tables.h, and missing from the library.
const socketDreg, osfDreg = 2, 1

// value is what an expression loads; known is false where nothing of it is.
func (w *chainWalk) value(e expression, regs registers) (value bits, known bool) {
	switch e.name {
	case "meta":
		return w.packet.meta(e.data)
	case "ct":
		return w.packet.ct(e.data)
	case "payload":
		return w.packet.payload(e.data)
	case "bitwise":
		mask, xor := dataOf(e.data[unix.NFTA_BITWISE_MASK]), dataOf(e.data[unix.NFTA_BITWISE_XOR])
		if len(mask) == 0 || len(mask) != len(xor) { // a shift, or of two registers
			return value, false
		}
		return regs.get(e.data.be(unix.NFTA_BITWISE_SREG), len(mask)).under(mask, xor), true
	}
	return value, false
}

// compare: a register is equal to what the rule says, or smaller, or larger, as it asks (nft_cmp_eval). The name of an
// interface that ends with * is shorter there.
func compare(regs registers, e attrs) step {
	want := dataOf(e[unix.NFTA_CMP_DATA])
	if len(want) == 0 {
		return depends
	}
	have := regs.get(e.be(unix.NFTA_CMP_SREG), len(want))
	below, above := bytes.Compare(have.lowest(), want) < 0, bytes.Compare(have.highest(), want) > 0
	equal := have.may(want)
	switch e.be(unix.NFTA_CMP_OP) {
	case unix.NFT_CMP_EQ:
		return step{passes: equal, breaks: below || above}
	case unix.NFT_CMP_NEQ:
		return step{passes: below || above, breaks: equal}
	case unix.NFT_CMP_LT:
		return step{passes: below, breaks: equal || above}
	case unix.NFT_CMP_LTE:
		return step{passes: below || equal, breaks: above}
	case unix.NFT_CMP_GT:
		return step{passes: above, breaks: below || equal}
	case unix.NFT_CMP_GTE:
		return step{passes: equal || above, breaks: below}
	}
	return depends
}

// between: a register is in a range, or is not, as the rule asks (nft_range_eval).
func between(regs registers, e attrs) step {
	from, to := dataOf(e[unix.NFTA_RANGE_FROM_DATA]), dataOf(e[unix.NFTA_RANGE_TO_DATA])
	if len(from) == 0 || len(from) != len(to) {
		return depends
	}
	s := chainSet{fields: []int{len(from)}, elems: []setElement{{from: from, to: to}}}
	found, sure := s.find(regs.get(e.be(unix.NFTA_RANGE_SREG), len(from)))
	return step{passes: len(found) > 0, breaks: !sure}.inverted(e.be(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ)
}

func (s step) inverted(yes bool) step {
	if yes {
		s.passes, s.breaks = s.breaks, s.passes
	}
	return s
}

// immediate is a verdict, or writes something fixed into a register (nft_immediate_eval).
func (w *chainWalk) immediate(regs registers, e attrs) step {
	data, err := parse(e[unix.NFTA_IMMEDIATE_DATA], 0)
	if err != nil {
		return step{passes: true, verdict: unknown}
	}
	if to := e.be(unix.NFTA_IMMEDIATE_DREG); to != unix.NFT_REG_VERDICT {
		regs.set(to, exactly(data[unix.NFTA_DATA_VALUE]))
		return goesOn
	}
	return step{passes: true, verdict: w.verdict(data)}
}

// lookup looks a register up in a set, or in a map, which has a verdict for it or something that another register gets
// (nft_lookup_eval).
func (w *chainWalk) lookup(regs registers, e attrs) step {
	set, read := w.table.sets[e.text(unix.NFTA_LOOKUP_SET)]
	set.unread = set.unread || !read
	found, sure := set.find(regs.get(e.be(unix.NFTA_LOOKUP_SREG), set.length))
	s := step{passes: set.unread || len(found) > 0, breaks: !sure}
	_, maps := e[unix.NFTA_LOOKUP_DREG]
	to := e.be(unix.NFTA_LOOKUP_DREG)
	switch {
	case !maps:
		return s.inverted(!set.unread && e.be(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0)
	case to == unix.NFT_REG_VERDICT && set.unread:
		s.verdict = unknown
	case to == unix.NFT_REG_VERDICT:
		for _, f := range found {
			s.verdict |= w.verdict(f.data)
		}
	case len(found) == 1:
		regs.set(to, exactly(found[0].data[unix.NFTA_DATA_VALUE]))
	default:
		regs.forget(to)
	}
	return s
}

// objectStep is a reference to an object, which may be a limit; in a map of objects there may be none.
func objectStep(e attrs) step {
	if e.be(unix.NFTA_OBJREF_IMM_TYPE) == unix.NFT_OBJECT_COUNTER {
		return goesOn
	}
	return depends
}

// target is what a target of iptables does that is none of nftables' verdicts; 0: the rule goes on.
func target(name string) outcome {
	harmless := []string{"LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CHECKSUM", "CLASSIFY", "TRACE", "DSCP", "TOS", "SET", "AUDIT"}
	switch {
	case slices.Contains(harmless, name):
		return 0
	case name == "REJECT", name == "DROP":
		return drops
	}
	return unknown
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
