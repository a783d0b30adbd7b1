package plumb

import (
	"cmp"
	"net/netip"
	"slices"
)

// Diff says how to get from have to want. Only objects with our mark are ever deleted or changed;
// one of somebody else's that stands where a wanted one belongs is left, and counts as ours.
//
// Additions come before deletions, so that an address or a route that moves is never missing; link
// attributes come first because the kernel refuses routes through an interface that is down; rules follow
// the routes they lead to, and leave before them; nftables tables, whose marks the rules ask for, follow
// the rules and leave before them.
func Diff(have, want State) Plan {
	p := diffLink(have, want)
	join, leave := diffGroups(have, want)
	p = append(p, join...)
	addAddrs, delAddrs := diffAddrs(have, want)
	addRoutes, delRoutes := diffRoutes(have, want)
	addRules, delRules := diffRules(have, want)
	addRules, addPass := natLast(addRules)
	delRules, delPass := natLast(delRules)
	addPackets, delPackets := diffPackets(have, want)
	validMark := diffValidMark(have, want)
	for _, ops := range []Plan{addAddrs, addRoutes, addRules, addPackets, addPass, validMark, delPass, delPackets, delRules, delRoutes, delAddrs, leave, diffNames(have, want)} {
		p = append(p, ops...)
	}
	if have.Link.Up && !want.Link.Up {
		p = append(p, Op{Set, want.Name, linkUp(false)})
	}
	return p
}

func diffLink(have, want State) (p Plan) {
	set := func(obj any) { p = append(p, Op{Set, want.Name, obj}) }
	if have.Link.MTU != want.Link.MTU {
		set(linkMTU(want.Link.MTU))
	}
	if !have.Link.Up && want.Link.Up {
		set(linkUp(true))
	}
	return p
}

// diffValidMark stands between what is added and what is deleted: as long as the setting is ours, there
// are rules that tell.
func diffValidMark(have, want State) (p Plan) {
	if have.Link.SrcValidMark != want.Link.SrcValidMark {
		p = append(p, Op{Set, want.Name, linkValidMark(want.Link.SrcValidMark)})
	}
	if have.Link.Forwarding != want.Link.Forwarding {
		p = append(p, Op{Set, want.Name, linkForward(want.Link.Forwarding)})
	}
	return p
}

// diffGroups: interfaces join our group before a guard rule asks for it, and leave it after the last.
func diffGroups(have, want State) (join, leave Plan) {
	had := map[int]uint32{have.Index: have.Link.Group}
	for _, g := range have.Groups {
		had[g.Index] = g.Group
	}
	for _, g := range append([]IfGroup{{want.Name, want.Index, want.Link.Group}}, want.Groups...) {
		op := Op{Set, want.Name, linkGroup(g)}
		switch was, ok := had[g.Index]; {
		case !ok || was == g.Group:
		case g.Group == Group:
			join = append(join, op)
		default:
			leave = append(leave, op)
		}
	}
	return join, leave
}

func diffNames(have, want State) (p Plan) {
	for _, n := range want.AltNames {
		if !slices.Contains(have.AltNames, n) {
			p = append(p, Op{Add, want.Name, altName(n)})
		}
	}
	for _, n := range have.AltNames {
		if !slices.Contains(want.AltNames, n) {
			p = append(p, Op{Del, want.Name, altName(n)})
		}
	}
	return p
}

// diffAddrs compares the addresses. One that another program has put there is not added beside it.
func diffAddrs(have, want State) (add, del Plan) {
	had, wanted := map[Addr]bool{}, map[Addr]bool{}
	foreign := map[netip.Addr]bool{}
	for _, a := range have.Addrs {
		had[a] = true
		foreign[a.Prefix.Addr()] = foreign[a.Prefix.Addr()] || !a.Ours
	}
	for _, a := range want.Addrs {
		wanted[a] = true
		if a.Ours && !had[a] && !foreign[a.Prefix.Addr()] {
			add = append(add, Op{Add, want.Name, a})
		}
	}
	for _, a := range have.Addrs {
		if a.Ours && !wanted[a] {
			del = append(del, Op{Del, want.Name, a})
		}
	}
	// The primary, whose subnet the others may lie in, goes last.
	slices.SortStableFunc(del, func(a, b Op) int {
		return cmp.Compare(b.obj.(Addr).Prefix.Bits(), a.obj.(Addr).Prefix.Bits())
	})
	return add, del
}

// diffRoutes compares the routes by what the kernel tells two of them apart by. Where another program has a route of the
// same table, prefix and metric, that one stays and ours is not written: an add would be refused (NLM_F_EXCL), and a
// replacement would hit whichever comes first (fib_table_insert of net/ipv4/fib_trie.c).
func diffRoutes(have, want State) (add, del Plan) {
	ours, taken := map[routeKey]Route{}, map[routeKey]bool{}
	for _, r := range have.Routes {
		if r.Ours {
			ours[r.key()] = r
		} else {
			taken[r.key()] = true
		}
	}
	wanted := map[routeKey]bool{}
	for _, r := range want.Routes {
		if !r.Ours {
			continue
		}
		wanted[r.key()] = true
		old, there := ours[r.key()]
		switch {
		case old == r, taken[r.key()] && !there:
		case taken[r.key()]: // a change in place could hit the other one
			del = append(del, Op{Del, want.Name, old})
		case there:
			add = append(add, Op{Set, want.Name, r})
		default:
			add = append(add, Op{Add, want.Name, r})
		}
	}
	for _, r := range have.Routes {
		if r.Ours && !wanted[r.key()] {
			del = append(del, Op{Del, want.Name, r})
		}
	}
	// A gateway can be named only after the route that reaches it, and must go before it.
	byVia := func(a, b Op) int { return cmp.Compare(viaRank(a), viaRank(b)) }
	slices.SortStableFunc(add, byVia)
	slices.SortStableFunc(del, func(a, b Op) int { return byVia(b, a) })
	return add, del
}

func viaRank(o Op) int {
	if o.obj.(Route).Via.IsValid() {
		return 1
	}
	return 0
}

// diffRules compares the rules, which are never changed in place: the kernel has no way to.
func diffRules(have, want State) (add, del Plan) {
	had, wanted := map[Rule]bool{}, map[Rule]bool{}
	for _, r := range have.Rules {
		had[r] = true
	}
	for _, r := range want.Rules {
		wanted[r] = true
		if !had[r] {
			add = append(add, Op{Add, want.Name, r})
		}
	}
	for _, r := range have.Rules {
		if !wanted[r] {
			del = append(del, Op{Del, want.Name, r})
		}
	}
	// A source rule without its guard would send local traffic to the gateway.
	guardsFirst := func(a, b Op) int { return cmp.Compare(sourceRank(a), sourceRank(b)) }
	slices.SortStableFunc(add, guardsFirst)
	slices.SortStableFunc(del, func(a, b Op) int { return guardsFirst(b, a) })
	return add, del
}

func sourceRank(o Op) int {
	r, _ := o.Rule()
	switch kind := r.Kind(); {
	case kind.guards(), kind == RuleNATMain, kind == RuleEgressMain:
		return 0
	}
	return 1
}

// diffPackets replaces an interface's nftables table as a whole, because the kernel can do that at once.
func diffPackets(have, want State) (add, del Plan) {
	had, wanted := packetTables(have.Packets), packetTables(want.Packets)
	find := func(list []packetTable, table uint32) (t packetTable) {
		if i := slices.IndexFunc(list, func(t packetTable) bool { return t.table == table }); i >= 0 {
			t = list[i]
		}
		return t
	}
	for _, t := range wanted {
		old := find(had, t.table)
		if slices.Equal(old.rules, t.rules) {
			continue // an altered one, too, that is to stay
		}
		switch t.rules = slices.DeleteFunc(t.rules, PacketRule.isAltered); {
		case len(t.rules) == 0, slices.Equal(old.rules, t.rules):
		case len(old.rules) == 0:
			add = append(add, Op{Add, want.Name, t})
		default:
			add = append(add, Op{Set, want.Name, t})
		}
	}
	for _, t := range had {
		if find(wanted, t.table).table == 0 {
			del = append(del, Op{Del, want.Name, packetTable{table: t.table}})
		}
	}
	return add, del
}

// natLast splits the rules for what is passed on from the others: they come after the table that translates, and go
// before it.
func natLast(rules Plan) (others, nat Plan) {
	for _, op := range rules {
		if op.leadsPassed() {
			nat = append(nat, op)
			continue
		}
		others = append(others, op)
	}
	return others, nat
}

// leadsPassed: the operation is on a rule by which what is passed on leaves by an interface.
func (o Op) leadsPassed() bool {
	r, ok := o.Rule()
	return ok && r.leadsPassed()
}
