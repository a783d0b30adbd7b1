package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// element is an element of a set as the kernel tells it: a key, its end in a set of several parts, flags.
func element(key, end []byte, flags uint32) attrs {
	value := func(b []byte) []byte { return nl.NewRtAttr(unix.NFTA_DATA_VALUE, b).Serialize() }
	out := attrs{unix.NFTA_SET_ELEM_FLAGS: nl.BEUint32Attr(flags)}
	if key != nil {
		out[unix.NFTA_SET_ELEM_KEY] = value(key)
	}
	if end != nil {
		out[setElemKeyEnd] = value(end)
	}
	return out
}

func setOf(flags uint32, length int, fields ...int) attrs {
	list := nl.NewRtAttr(setDescConcat, nil)
	for _, n := range fields {
		list.AddRtAttr(unix.NFTA_LIST_ELEM, nl.NewRtAttr(setFieldLen, nl.BEUint32Attr(uint32(n))).Serialize())
	}
	return attrs{
		unix.NFTA_SET_FLAGS: nl.BEUint32Attr(flags), unix.NFTA_SET_KEY_LEN: nl.BEUint32Attr(uint32(length)), unix.NFTA_SET_DESC: list.Serialize(),
	}
}

// A subnet may be in a set as a whole, in part, or not: the set's elements are addresses, intervals that begin and end
// somewhere (nft_set_rbtree.c), or ranges of several parts (nft_set_pipapo.c).
func TestChainSet(t *testing.T) {
	t.Parallel()
	ip := func(s string) []byte { return addr(s).AsSlice() }
	const end = unix.NFT_SET_ELEM_INTERVAL_END
	interval := setOf(unix.NFT_SET_INTERVAL, 4)
	from := func(s string) attrs { return element(ip(s), nil, 0) }
	to := func(s string) attrs { return element(ip(s), nil, end) }
	two := func(from, to string) attrs {
		return element(append(ip(from), 0, 80, 0, 0), append(ip(to), 0, 90, 0, 0), 0)
	}
	var all []attrs
	for i := range 256 {
		all = append(all, from(fmt.Sprintf("10.0.3.%d", i)))
	}
	limited := from("10.0.3.0")
	limited[unix.NFTA_SET_ELEM_EXPR] = nl.NewRtAttr(unix.NFTA_EXPR_NAME, nl.ZeroTerminated("limit")).Serialize()
	counted := from("10.0.3.0")
	counted[unix.NFTA_SET_ELEM_EXPR] = nl.NewRtAttr(unix.NFTA_EXPR_NAME, nl.ZeroTerminated("counter")).Serialize()
	for _, tt := range []struct {
		name  string
		set   attrs
		elems []attrs
		key   string
		found int
		sure  bool
	}{
		{"empty", interval, nil, "10.0.3.0/24", 0, false},
		{"an address", setOf(0, 4), []attrs{from("10.0.3.7")}, "10.0.3.7/32", 1, true},
		{"another", setOf(0, 4), []attrs{from("10.0.3.8")}, "10.0.3.7/32", 0, false},
		{"an address of a subnet", setOf(0, 4), []attrs{from("10.0.3.7")}, "10.0.3.0/24", 1, false},
		{"every address of a subnet", setOf(0, 4), all, "10.0.3.0/24", 256, true},
		{"all but one", setOf(0, 4), all[1:], "10.0.3.0/24", 255, false},
		{"an interval", interval, []attrs{from("10.0.3.0"), to("10.0.4.0")}, "10.0.3.0/24", 1, true},
		{"in any order", interval, []attrs{to("10.0.4.0"), from("10.0.3.0")}, "10.0.3.0/24", 1, true},
		{"an interval that ends before", interval, []attrs{from("10.0.2.0"), to("10.0.3.0")}, "10.0.3.0/24", 0, false},
		{"an interval that begins after", interval, []attrs{from("10.0.4.0"), to("10.0.5.0")}, "10.0.3.0/24", 0, false},
		{"half", interval, []attrs{from("10.0.3.0"), to("10.0.3.128")}, "10.0.3.0/24", 1, false},
		{"two halves", interval, []attrs{from("10.0.3.0"), to("10.0.3.128"), from("10.0.3.128"), to("10.0.4.0")}, "10.0.3.0/24", 2, true},
		{"two halves and no end between", interval, []attrs{from("10.0.3.0"), from("10.0.3.128"), to("10.0.4.0")}, "10.0.3.0/24", 2, true},
		{"a gap", interval, []attrs{from("10.0.3.0"), to("10.0.3.127"), from("10.0.3.128"), to("10.0.4.0")}, "10.0.3.0/24", 2, false},
		{"without an end", interval, []attrs{from("10.0.3.0")}, "10.0.3.0/24", 1, true},
		{"to the last address", interval, []attrs{from("10.0.3.0")}, "255.255.255.255/32", 1, true},
		{"everything", interval, []attrs{from("0.0.0.0")}, "0.0.0.0/0", 1, true},
		{"the end of what was before", interval, []attrs{element(ip("0.0.0.0"), nil, end), from("10.0.3.0"), to("10.0.4.0")}, "10.0.3.0/24", 1, true},
		{"the rest", setOf(0, 4), []attrs{element(nil, nil, setElemCatchAll)}, "10.0.3.0/24", 1, true},
		{"an address, and the rest", setOf(0, 4), []attrs{from("10.0.3.7"), element(nil, nil, setElemCatchAll)}, "10.0.3.0/24", 2, true},
		{"an address that leaves no rest", setOf(0, 4), []attrs{from("10.0.3.7"), element(nil, nil, setElemCatchAll)}, "10.0.3.7/32", 1, true},
		{"limited", setOf(0, 4), []attrs{limited}, "10.0.3.0/32", 1, false},
		{"counted", setOf(0, 4), []attrs{counted}, "10.0.3.0/32", 1, true},
		{"keys of another length", setOf(0, 2), []attrs{from("10.0.3.0")}, "10.0.3.0/32", 0, false},
		{"a port that is not known besides", setOf(unix.NFT_SET_INTERVAL, 8, 4, 2), []attrs{two("10.0.3.0", "10.0.3.255")}, "10.0.3.0/24", 1, false},
		{"the port does not matter", setOf(unix.NFT_SET_INTERVAL, 8, 4, 2), []attrs{two("10.0.2.0", "10.0.2.255")}, "10.0.3.0/24", 0, false},
	} {
		s, err := parseSet(tt.set, tt.elems)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		regs := newRegisters()
		regs.set(unix.NFT_REG32_03, within(prefix(tt.key)))
		if found, sure := s.find(regs.get(unix.NFT_REG32_03, s.length)); len(found) != tt.found || sure != tt.sure {
			t.Errorf("%s: %d found, sure %v, want %d, %v", tt.name, len(found), sure, tt.found, tt.sure)
		}
	}
}

// Registers of 16 and of 4 bytes are the same memory; a write fills up its last 4 bytes with zeros.
func TestRegisters(t *testing.T) {
	t.Parallel()
	r := newRegisters()
	r.set(unix.NFT_REG_2, exactly([]byte{1, 2, 3, 4, 5}))
	got := r.get(unix.NFT_REG32_05, 8)
	if want := []byte{5, 0, 0, 0, 0, 0, 0, 0}; !slices.Equal(got.data, want) || !slices.Equal(got.known, []byte{255, 255, 255, 255, 0, 0, 0, 0}) {
		t.Errorf("%v, known %v", got.data, got.known)
	}
	r.forget(unix.NFT_REG32_05)
	if got := r.get(unix.NFT_REG_2, 8); !slices.Equal(got.known, []byte{255, 255, 255, 255, 0, 0, 0, 0}) {
		t.Errorf("known %v", got.known)
	}
	r.set(99, exactly([]byte{1}))
	r.set(unix.NFT_REG32_15, exactly(make([]byte, 16)))
	if got := r.get(99, 4); slices.Contains(got.known, 255) {
		t.Errorf("known %v", got.known)
	}
	masked := within(netip.MustParsePrefix("10.0.3.0/24")).under([]byte{255, 0, 255, 128}, []byte{0, 1, 0, 0})
	if !slices.Equal(masked.data, []byte{10, 1, 3, 0}) || !slices.Equal(masked.known, []byte{255, 255, 255, 127}) {
		t.Errorf("%v, known %v", masked.data, masked.known)
	}
}

// What a rule asks of a subnet's addresses is so of all, of some or of none of them (nft_cmp_eval, nft_range_eval).
func TestChainCompare(t *testing.T) {
	t.Parallel()
	value := func(s string) []byte { return nl.NewRtAttr(unix.NFTA_DATA_VALUE, addr(s).AsSlice()).Serialize() }
	cmp := func(op uint32, s string) expression {
		return expression{"cmp", attrs{unix.NFTA_CMP_SREG: nl.BEUint32Attr(1), unix.NFTA_CMP_OP: nl.BEUint32Attr(op), unix.NFTA_CMP_DATA: value(s)}}
	}
	rng := func(op uint32, from, to string) expression {
		return expression{"range", attrs{
			unix.NFTA_RANGE_SREG: nl.BEUint32Attr(1), unix.NFTA_RANGE_OP: nl.BEUint32Attr(op), unix.NFTA_RANGE_FROM_DATA: value(from), unix.NFTA_RANGE_TO_DATA: value(to),
		}}
	}
	all, some, none := step{passes: true}, step{passes: true, breaks: true}, step{breaks: true}
	for _, tt := range []struct {
		name string
		e    expression
		want step
	}{
		{"= inside", cmp(unix.NFT_CMP_EQ, "10.0.3.7"), some},
		{"= outside", cmp(unix.NFT_CMP_EQ, "10.0.4.7"), none},
		{"!= inside", cmp(unix.NFT_CMP_NEQ, "10.0.3.7"), some},
		{"!= outside", cmp(unix.NFT_CMP_NEQ, "10.0.4.7"), all},
		{"< the first", cmp(unix.NFT_CMP_LT, "10.0.3.0"), none},
		{"< the next", cmp(unix.NFT_CMP_LT, "10.0.4.0"), all},
		{"<= the first", cmp(unix.NFT_CMP_LTE, "10.0.3.0"), some},
		{"<= the last", cmp(unix.NFT_CMP_LTE, "10.0.3.255"), all},
		{"> the last", cmp(unix.NFT_CMP_GT, "10.0.3.255"), none},
		{"> the one before", cmp(unix.NFT_CMP_GT, "10.0.2.255"), all},
		{">= the last", cmp(unix.NFT_CMP_GTE, "10.0.3.255"), some},
		{">= the first", cmp(unix.NFT_CMP_GTE, "10.0.3.0"), all},
		{"an unknown operator", cmp(9, "10.0.3.0"), some},
		{"in a range", rng(unix.NFT_RANGE_EQ, "10.0.2.9", "10.0.3.255"), all},
		{"partly in a range", rng(unix.NFT_RANGE_EQ, "10.0.3.9", "10.0.4.255"), some},
		{"not in a range", rng(unix.NFT_RANGE_EQ, "10.0.2.9", "10.0.2.255"), none},
		{"outside of a range", rng(unix.NFT_RANGE_NEQ, "10.0.2.9", "10.0.2.255"), all},
		{"not outside of a range", rng(unix.NFT_RANGE_NEQ, "10.0.2.9", "10.0.3.255"), none},
	} {
		regs := newRegisters()
		regs.set(unix.NFT_REG_1, within(prefix("10.0.3.0/24")))
		if got := (&chainWalk{}).evaluate(tt.e, regs); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
