package plumb

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// dice draws states from a small world, so that collisions are the rule.
type dice struct{ *rand.Rand }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

func (d dice) ip() netip.Addr {
	return netip.MustParseAddr(pick(d, "10.0.2.4", "10.0.2.5", "10.0.2.37", "2001:db8::4", "2001:db8::5"))
}

func (d dice) addr(ours bool) Addr {
	a := d.ip()
	bits := a.BitLen()
	if a.Is4() && d.IntN(3) == 0 {
		bits = 24
	}
	return Addr{Prefix: netip.PrefixFrom(a, bits), NoPrefixRoute: ours || d.IntN(2) == 0, Ours: ours}
}

func (d dice) route(ours bool) Route {
	r := Route{
		Table: pick[uint32](d, tableMain, 10001, 10002), Metric: pick[uint32](d, 0, 10001), Ours: ours,
		Dst: netip.MustParsePrefix(pick(d, "0.0.0.0/0", "10.0.2.0/24", "172.16.0.0/12", "::/0", "2001:db8::/64")),
	}
	if d.IntN(2) == 0 {
		r.Via = pick(d, netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("10.0.2.9"))
		if r.Dst.Addr().Is6() {
			r.Via = netip.MustParseAddr("fe80::1")
		}
	}
	if d.IntN(2) == 0 {
		r.Src = d.ip()
	}
	return r
}

func (d dice) rule() Rule {
	n := uint32(1 + d.IntN(2))
	from := d.ip()
	if d.IntN(2) == 0 {
		return Rule{Pref: baseTable + n, From: netip.PrefixFrom(from, from.BitLen()), Table: tableMain, NoGroup: true, MinBits: network}
	}
	return Rule{Pref: baseSource + n, From: netip.PrefixFrom(from, from.BitLen()), Table: Table(int(n))}
}

func (d dice) packet(strangers bool) PacketRule {
	kinds := []PacketKind{ReplyByInterface, ClampMSS, Masquerade}
	if strangers {
		kinds = append(kinds, altered) // never wanted
	}
	return PacketRule{Table: pick[uint32](d, 10001, 10002), Kind: pick(d, kinds...), Dev: pick(d, 3, 4)}
}

// state has no two objects that a kernel could not hold together.
func (d dice) state(strangers bool) State {
	s := State{Name: "eth1", Index: 3, Link: LinkState{Up: d.IntN(2) == 0, MTU: pick(d, 1500, 9001), Group: pick[uint32](d, 0, Group, 7)}}
	s.Groups = []IfGroup{{"eth0", 2, pick[uint32](d, 0, Group, 7)}}
	for range d.IntN(5) {
		s.AltNames = appendNew(s.AltNames, pick(d, "eni-0a1", "device-number-1", "enp0s6"))
		s.Rules = appendNew(s.Rules, d.rule())
		s.Packets = appendNew(s.Packets, d.packet(strangers))
		if a := d.addr(!strangers || d.IntN(2) == 0); !slices.ContainsFunc(s.Addrs, func(b Addr) bool {
			return b.Prefix == a.Prefix || (!strangers && a.Prefix.Addr() == b.Prefix.Addr())
		}) {
			s.Addrs = append(s.Addrs, a)
		}
		if r := d.route(!strangers || d.IntN(2) == 0); !slices.ContainsFunc(s.Routes, func(b Route) bool { return b.key() == r.key() }) {
			s.Routes = append(s.Routes, r)
		}
	}
	return s
}

func appendNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// model is a kernel that is as strict as the real one: it refuses what is there or is not there.
type model struct {
	t *testing.T
	State
}

func (m *model) do(o Op) {
	switch x := o.obj.(type) {
	case Addr:
		m.Addrs = change(m.t, o, m.Addrs, x, func(a Addr) any { return a.Prefix })
	case Route:
		if o.Verb == Set {
			i := slices.IndexFunc(m.Routes, func(r Route) bool { return r.key() == x.key() })
			if i < 0 || !m.Routes[i].Ours {
				m.t.Errorf("%s: changes a route that is not ours", o)
				return
			}
			m.Routes[i] = x
			return
		}
		m.Routes = change(m.t, o, m.Routes, x, func(r Route) any { return r.key() })
	case Rule:
		m.Rules = change(m.t, o, m.Rules, x, func(r Rule) any { return r })
	case packetTable:
		m.replace(o, x)
	case altName:
		m.AltNames = change(m.t, o, m.AltNames, string(x), func(n string) any { return n })
	case linkUp:
		m.Link.Up = bool(x)
	case linkMTU:
		m.Link.MTU = int(x)
	case linkGroup:
		if x.Index == m.Index {
			m.Link.Group = x.Group
		} else {
			m.Groups = []IfGroup{IfGroup(x)}
		}
	}
}

// replace has of a table what the operation says, and nothing of what was there.
func (m *model) replace(o Op, x packetTable) {
	n := len(m.Packets)
	m.Packets = slices.DeleteFunc(slices.Clone(m.Packets), func(r PacketRule) bool { return r.Table == x.table })
	if there := len(m.Packets) < n; there != (o.Verb != Add) || (o.Verb == Del) != (len(x.rules) == 0) {
		m.t.Errorf("%s: the kernel would refuse this", o)
	}
	m.Packets = append(m.Packets, x.rules...)
}

func change[T comparable](t *testing.T, o Op, list []T, v T, key func(T) any) []T {
	i := slices.IndexFunc(list, func(w T) bool { return key(w) == key(v) })
	switch {
	case o.Verb == Add && i < 0:
		return append(slices.Clip(list), v)
	case o.Verb == Del && i >= 0 && list[i] == v:
		return slices.Delete(slices.Clone(list), i, i+1)
	}
	t.Errorf("%s: the kernel would refuse this", o)
	return list
}

// converged is what the kernel should hold: all that is wanted, but for what a stranger's object
// stands for, and all the strangers' objects.
func converged(have, want State) State {
	out := want
	out.Addrs, out.Routes = nil, nil
	foreignIP, foreignKey := map[netip.Addr]bool{}, map[routeKey]bool{}
	for _, a := range have.Addrs {
		if !a.Ours {
			foreignIP[a.Prefix.Addr()] = true
			out.Addrs = append(out.Addrs, a)
		}
	}
	for _, r := range have.Routes {
		if !r.Ours {
			foreignKey[r.key()] = true
			out.Routes = append(out.Routes, r)
		}
	}
	for _, a := range want.Addrs {
		if !foreignIP[a.Prefix.Addr()] || slices.Contains(have.Addrs, a) {
			out.Addrs = append(out.Addrs, a)
		}
	}
	for _, r := range want.Routes {
		if !foreignKey[r.key()] {
			out.Routes = append(out.Routes, r)
		}
	}
	return out
}

var unordered = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.SortSlices(func(a, b Addr) bool { return a.text("") < b.text("") }),
	cmpopts.SortSlices(func(a, b Route) bool { return a.Dst.String()+a.text("") < b.Dst.String()+b.text("") }),
	cmpopts.SortSlices(func(a, b Rule) bool { return a.text() < b.text() }),
	cmpopts.SortSlices(func(a, b PacketRule) bool { return a.compare(b) < 0 }),
	cmpopts.SortSlices(func(a, b string) bool { return a < b }),
}

func TestDiffReachesWhatIsWanted(t *testing.T) {
	const worlds = 1000
	for seed := range uint64(worlds) {
		d := dice{rand.New(rand.NewPCG(seed, 236))}
		have, want := d.state(true), d.state(false)
		plan := Diff(have, want)
		m := model{t, have}
		for _, o := range plan {
			m.do(o)
		}
		if diff := cmp.Diff(converged(have, want), m.State, unordered); diff != "" {
			t.Errorf("world %d (-want +got):\n%s\nplan:\n%s", seed, diff, plan)
		}
		if again := Diff(m.State, want); len(again) != 0 {
			t.Errorf("world %d: the second plan is not empty:\n%s", seed, again)
		}
		if kept := Diff(have, Keep(Snapshot{State: have})); len(kept) > 1 || (len(kept) == 1 && have.Link.Up) {
			t.Errorf("world %d is not kept:\n%s", seed, kept)
		}
		if same := Diff(have, have); len(same) != 0 {
			t.Errorf("world %d differs from itself:\n%s", seed, same)
		}
		checkOrder(t, have, plan)
		if t.Failed() {
			t.Fatalf("have %+v\nwant %+v", have, want)
		}
	}
}

// checkOrder holds a plan against the rules that keep an interface answering while it changes.
func checkOrder(t *testing.T, have State, p Plan) {
	t.Helper()
	for i, o := range p {
		_, must := phases(o)
		for _, m := range must {
			for j := i + 1; j < len(p); j++ {
				if other, _ := phases(p[j]); other == m {
					t.Errorf("%s comes before %s:\n%s", o, p[j], p)
				}
			}
		}
		if ours, ok := mark(o); ok && !ours {
			t.Errorf("%s: touches somebody else's (of %+v)", o, have)
		}
	}
}

// phases names an operation's kind, and the kinds that may not come after it.
func phases(o Op) (string, []string) {
	adds := []string{"+addr", "+link route", "+gateway", "+guard", "+source", "+packets"}
	switch x := o.obj.(type) {
	case Addr:
		if o.Verb == Del {
			return "-addr", append(adds, "-link route", "-gateway", "-guard", "-source")
		}
		return "+addr", nil
	case Route:
		switch {
		case o.Verb == Del && x.Via.IsValid():
			return "-gateway", append(adds, "-guard", "-source")
		case o.Verb == Del:
			return "-link route", append(adds, "-guard", "-source", "-gateway")
		case x.Via.IsValid():
			return "+gateway", []string{"+addr", "+link route"}
		}
		return "+link route", []string{"+addr"}
	case Rule:
		switch {
		case o.Verb == Del && x.Kind() == RuleGuard:
			return "-guard", append(adds, "-source", "-packets")
		case o.Verb == Del:
			return "-source", append(adds, "-packets")
		case x.Kind() == RuleGuard:
			return "+guard", []string{"+addr", "+link route", "+gateway"}
		}
		return "+source", []string{"+addr", "+link route", "+gateway", "+guard"}
	case packetTable:
		if o.Verb == Del {
			return "-packets", adds
		}
		return "+packets", []string{"+addr", "+link route", "+gateway", "+guard", "+source"}
	case linkUp:
		if x {
			return "up", nil
		}
		return "down", append(adds, "-addr", "-link route", "-gateway", "-guard", "-source", "group")
	}
	return "link", nil
}

// mark tells whether an operation's object is ours, if it is of a kind that has a mark.
func mark(o Op) (ours, ok bool) {
	switch x := o.obj.(type) {
	case Addr:
		return x.Ours, true
	case Route:
		return x.Ours, true
	}
	return false, false
}
