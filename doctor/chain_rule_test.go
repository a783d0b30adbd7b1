package doctor

import (
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What the expressions of a rule make of a packet that opens a connection from eth1 (3) to eth0 (2), in front of a drop,
// where the policy accepts.
func TestChainExpressions(t *testing.T) {
	t.Parallel()
	num := nl.BEUint32Attr
	value := func(b ...byte) []byte { return nl.NewRtAttr(unix.NFTA_DATA_VALUE, b).Serialize() }
	is := func(b ...byte) expression {
		return expression{"cmp", attrs{unix.NFTA_CMP_SREG: num(1), unix.NFTA_CMP_OP: num(unix.NFT_CMP_EQ), unix.NFTA_CMP_DATA: value(b...)}}
	}
	ct := func(key uint32) expression {
		return expression{"ct", attrs{unix.NFTA_CT_DREG: num(1), unix.NFTA_CT_KEY: num(key)}}
	}
	word := func(n uint32) []byte { return host32(n).data }
	look := func(set string, more attrs) expression {
		a := attrs{unix.NFTA_LOOKUP_SET: nl.ZeroTerminated(set), unix.NFTA_LOOKUP_SREG: num(1)}
		for k, v := range more {
			a[k] = v
		}
		return expression{"lookup", a}
	}
	drop := verdictOf(0, "")
	target := func(name string) expression {
		return expression{"target", attrs{unix.NFTA_TARGET_NAME: nl.ZeroTerminated(name)}}
	}
	mask := func(m, xor []byte) expression {
		return expression{"bitwise", attrs{unix.NFTA_BITWISE_SREG: num(1), unix.NFTA_BITWISE_DREG: num(1), unix.NFTA_BITWISE_MASK: value(m...), unix.NFTA_BITWISE_XOR: value(xor...)}}
	}
	element := func(key uint32, data expression) setElement {
		d, _ := parse(data.data[unix.NFTA_IMMEDIATE_DATA], 0)
		return setElement{from: word(key), to: word(key), data: d}
	}
	sets := map[string]chainSet{
		"in":     {length: 4, fields: []int{4}, elems: []setElement{element(3, verdictOf(0, ""))}},
		"out":    {length: 4, fields: []int{4}, elems: []setElement{element(2, verdictOf(1, ""))}},
		"number": {length: 4, fields: []int{4}, elems: []setElement{{from: word(3), to: word(3), data: attrs{unix.NFTA_DATA_VALUE: {7}}}}},
	}
	verdictMap := attrs{unix.NFTA_LOOKUP_DREG: num(unix.NFT_REG_VERDICT)}
	const dropped, passed, either = drops, accepts, accepts | drops
	for _, tt := range []struct {
		name string
		rule chainRule
		want outcome
	}{
		{"nothing", chainRule{drop}, dropped},
		{"counted and logged", chainRule{{name: "counter"}, {name: "log"}, drop}, dropped},
		{"an index", chainRule{metaOf(unix.NFT_META_IIF), is(word(3)...), drop}, dropped},
		{"another index", chainRule{metaOf(unix.NFT_META_OIF), is(word(3)...), drop}, passed},
		{"a group", chainRule{metaOf(unix.NFT_META_IIFGROUP), is(word(236)...), drop}, dropped},
		{"another group", chainRule{metaOf(unix.NFT_META_OIFGROUP), is(word(236)...), drop}, passed},
		{"IPv4", chainRule{metaOf(unix.NFT_META_NFPROTO), is(unix.NFPROTO_IPV4), drop}, dropped},
		{"IPv6's protocol", chainRule{metaOf(unix.NFT_META_PROTOCOL), is(0x86, 0xdd), drop}, passed},
		{"a mark", chainRule{metaOf(unix.NFT_META_MARK), is(word(7)...), drop}, either},
		{"the bit of a mark that is masked", chainRule{metaOf(unix.NFT_META_MARK), mask(make([]byte, 4), word(1)), is(word(1)...), drop}, dropped},
		{"new", chainRule{ct(unix.NFT_CT_STATE), mask(word(ctNew), make([]byte, 4)), is(word(ctNew)...), drop}, dropped},
		{"an answer", chainRule{ct(unix.NFT_CT_DIRECTION), is(1), drop}, passed},
		{"translated at its destination", chainRule{ct(unix.NFT_CT_STATUS), mask(word(ctDNAT), make([]byte, 4)), is(word(ctDNAT)...), drop}, passed},
		{"translated at its source", chainRule{ct(unix.NFT_CT_STATUS), mask(word(1<<4), make([]byte, 4)), is(word(1 << 4)...), drop}, either},
		{"in a set", chainRule{metaOf(unix.NFT_META_IIF), look("in", nil), drop}, dropped},
		{"not in a set", chainRule{metaOf(unix.NFT_META_OIF), look("in", nil), drop}, passed},
		{"outside of a set", chainRule{metaOf(unix.NFT_META_OIF), look("in", attrs{unix.NFTA_LOOKUP_FLAGS: num(unix.NFT_LOOKUP_F_INV)}), drop}, dropped},
		{"in a set that could not be read", chainRule{metaOf(unix.NFT_META_IIF), look("gone", nil), drop}, either},
		{"a verdict", chainRule{metaOf(unix.NFT_META_IIF), look("in", verdictMap)}, dropped},
		{"a verdict for others", chainRule{metaOf(unix.NFT_META_OIF), look("in", verdictMap)}, passed},
		{"a verdict that could not be read", chainRule{metaOf(unix.NFT_META_IIF), look("gone", verdictMap)}, either},
		{"a verdict for some mark", chainRule{metaOf(unix.NFT_META_MARK), look("in", verdictMap)}, either},
		{"a verdict for some mark that changes nothing", chainRule{metaOf(unix.NFT_META_MARK), look("out", verdictMap)}, passed},
		{"a number from a map", chainRule{metaOf(unix.NFT_META_IIF), look("number", attrs{unix.NFTA_LOOKUP_DREG: num(1)}), is(7), drop}, dropped},
		{"no number from a map", chainRule{metaOf(unix.NFT_META_OIF), look("number", attrs{unix.NFTA_LOOKUP_DREG: num(1)}), drop}, passed},
		{"a fixed number", chainRule{{"immediate", attrs{unix.NFTA_IMMEDIATE_DREG: num(1), unix.NFTA_IMMEDIATE_DATA: value(9)}}, is(9), drop}, dropped},
		{"a port", chainRule{{"payload", attrs{unix.NFTA_PAYLOAD_DREG: num(1), unix.NFTA_PAYLOAD_BASE: num(unix.NFT_PAYLOAD_TRANSPORT_HEADER), unix.NFTA_PAYLOAD_LEN: num(2)}}, is(0, 80), drop}, either},
		{"IP version 4", chainRule{{"payload", attrs{unix.NFTA_PAYLOAD_DREG: num(1), unix.NFTA_PAYLOAD_BASE: num(unix.NFT_PAYLOAD_NETWORK_HEADER), unix.NFTA_PAYLOAD_LEN: num(1)}},
			mask([]byte{0xf0}, []byte{0}), is(0x40), drop}, dropped},
		{"an option", chainRule{{"exthdr", attrs{1: num(1)}}, drop}, either},
		{"a counter by name", chainRule{{"objref", attrs{unix.NFTA_OBJREF_IMM_TYPE: num(unix.NFT_OBJECT_COUNTER)}}, drop}, dropped},
		{"a limit by name", chainRule{{"objref", attrs{unix.NFTA_OBJREF_IMM_TYPE: num(unix.NFT_OBJECT_LIMIT)}}, drop}, either},
		{"a map of objects", chainRule{{"objref", attrs{unix.NFTA_OBJREF_SET_NAME: nl.ZeroTerminated("x")}}, drop}, either},
		{"a rate", chainRule{{name: "limit"}, drop}, either},
		{"something new", chainRule{{name: "quantum"}, drop}, either},
		{"refused", chainRule{{name: "reject"}}, dropped},
		{"to user space", chainRule{{name: "queue"}}, either},
		{"iptables' log", chainRule{target("LOG"), drop}, dropped},
		{"iptables' refusal", chainRule{target("REJECT")}, dropped},
		{"iptables' something", chainRule{target("TARPIT")}, either},
	} {
		c := Chain{Name: "f", table: chainTable{rules: map[string][]chainRule{"f": {tt.rule}}, sets: sets}}
		p := passage{in: Link{Name: "eth1", Index: 3, Group: 236}, out: Link{Name: "eth0", Index: 2}, state: ctNew}
		if got := c.fate(p); got != tt.want {
			t.Errorf("%s: %02b, want %02b", tt.name, got, tt.want)
		}
	}
}
