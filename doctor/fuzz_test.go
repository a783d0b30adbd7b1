package doctor

import (
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// FuzzParse: no message of the kernel's makes the parsers panic, and what they make of it can be walked and
// shown.
func FuzzParse(f *testing.F) {
	rule := (&nl.RtMsg{}).Serialize()
	f.Add(append(rule, nl.NewRtAttr(nl.FRA_SRC, []byte{10, 0, 0, 1}).Serialize()...))
	f.Add(append(rule, nl.NewRtAttr(nl.FRA_UID_RANGE, make([]byte, 8)).Serialize()...))
	f.Add(append(rule, nl.NewRtAttr(unix.RTA_MULTIPATH, []byte{8, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0}).Serialize()...))
	f.Add(append(rule, nl.NewRtAttr(unix.RTA_VIA, []byte{10, 0, 1, 2, 3, 4}).Serialize()...))
	f.Add(append([]byte{2, 0, 0, 0}, nl.NewRtAttr(unix.NFTA_CHAIN_HOOK, []byte{8, 0, 1, 0, 0, 0, 0, 2}).Serialize()...))
	f.Add(setOf(unix.NFT_SET_INTERVAL, 8, 4, 2).serialize())
	for _, r := range [][]byte{element(make([]byte, 4), nil, 0).serialize(), expression{"cmp", attrs{unix.NFTA_CMP_SREG: nl.BEUint32Attr(1)}}.serialize()} {
		f.Add(r)
	}
	_, entries := legacyFilter(legacyRule("10.0.3.0", "eth1", "", -1), legacyRule("", "", "conntrack", 0))
	f.Add(entries)
	f.Add([]byte{2, 255})
	f.Fuzz(func(t *testing.T, m []byte) {
		fib := host()
		if r, err := parseRule(m); err == nil {
			fib.Rules = append([]Rule{r}, fib.Rules...)
		}
		_, _, _ = parseChain(m)
		if r, err := parseExpressions(m); err == nil {
			_ = Chain{Name: "f", table: chainTable{rules: map[string][]chainRule{"f": {r}}}}.fate(passage{src: prefix("10.0.3.0/24")})
		}
		if c, err := parseLegacy("filter", make([]byte, legacyInfoBytes), m); err == nil {
			_ = c.fate(passage{src: prefix("10.0.3.0/24")})
		}
		if a, err := parse(m, 0); err == nil {
			if s, err := parseSet(a, []attrs{a, {}, element(make([]byte, 4), nil, 0)}); err == nil {
				s.find(newRegisters().get(unix.NFT_REG_1, min(s.length, registerBytes)))
			}
		}
		if r, _, err := parseRoute(m); err == nil {
			fib.Routes = append(fib.Routes, r)
		}
		for _, q := range []Question{{Src: addr("10.0.0.29"), Dst: addr("192.0.2.1")}, {Src: addr("192.0.2.1"), Dst: addr("10.0.2.37")}} {
			e, err := Explain(fib, q, func(Packet) (Answer, error) { return Answer{}, nil })
			if err == nil && e.String() == "" {
				t.Error("nothing is explained")
			}
			p := Packet{Src: q.Src, Dst: q.Dst}
			if full, short := Walk(fib, p), fib.way(p); full.End != short.End || full.By != short.By || len(full.Hops) != len(short.Hops) {
				t.Errorf("with reasons %+v, without %+v", full, short)
			}
		}
	})
}

// serialize is the message that attributes come in.
func (a attrs) serialize() (out []byte) {
	for t, value := range a {
		out = append(out, nl.NewRtAttr(int(t), value).Serialize()...)
	}
	return out
}

func (e expression) serialize() []byte {
	list := attrs{unix.NFTA_EXPR_NAME: nl.ZeroTerminated(e.name), unix.NFTA_EXPR_DATA: e.data.serialize()}
	return attrs{unix.NFTA_LIST_ELEM: list.serialize()}.serialize()
}
