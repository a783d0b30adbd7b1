package plumb

import (
	"net/netip"
	"slices"
)

// For whom the host passes traffic on. What arrives from a range by one interface leaves by another, under
// that one's address. Each interface's keeper does its own interface's part: both interfaces forward; the interface that
// traffic leaves by has two rules for each range and translates; the one that it arrives by has the
// way back to a range that is not on its link.

// nat has what comes from the ranges leave by the interface. The rules ask for the interface that it arrived by: so
// they are for what is passed on, and not for what the host itself sends.
func (w *want) nat() {
	if len(w.in.NAT) == 0 || !hasDefault(w.out.Routes, Table(w.n()), false) {
		return
	}
	if !w.packet(PacketRule{Kind: ClampMSS}) {
		return
	}
	for _, n := range w.in.NAT {
		w.packet(PacketRule{Kind: Masquerade, From: n.From})
		w.out.Rules = append(w.out.Rules,
			Rule{Pref: prefPass, From: n.From, Iif: n.In, Table: tableMain, MinBits: network, Owner: Table(w.n())},
			Rule{Pref: prefLeave, From: n.From, Iif: n.In, Table: Table(w.n())})
	}
	w.out.Link.Forwarding = true
}

// inside has the interface take what comes from the ranges. Strict rp_filter wants the way back to lead by
// the interface, and so do the answers: main has it for the interface's own subnet, and gets it for others.
//
// What the interface that a range leaves by does not take, since its link is down or it is gone, would go by main,
// under the address that it came with. The rule that stops it is this interface's, which passes on: it comes before
// the interface's forwarding is switched on, and goes after that was given back, so that it holds whoever is killed.
func (w *want) inside() {
	for _, p := range w.in.Inside {
		w.out.Rules = append(w.out.Rules, Rule{Pref: prefStop, From: p, Iif: w.in.Have.Name, Refuse: true, Owner: Table(w.n())})
	}
	for _, p := range w.in.Inside {
		subnet, ok := w.subnet4()
		if !ok {
			return
		}
		w.out.Link.Forwarding = w.out.Link.Forwarding || w.in.Have.natReady(p)
		r := Route{Table: tableMain, Dst: p, Metric: Table(w.n()), Src: w.in.Interface.Addrs4.Value[0], Ours: true}
		switch onLink := subnet.Bits() <= p.Bits() && subnet.Contains(p.Addr()); {
		case onLink && (w.in.MainTable || w.in.Interface.Primary):
			continue
		case onLink:
			r.Scope = scopeLink
		default:
			r.Via = w.routerFor(subnet)
		}
		if r.Via.IsValid() || r.Scope == scopeLink {
			w.route(r)
		}
	}
}

// natReady reports whether the outside interface already translates p: it writes its rules after its nftables table and
// removes them before it. Forwarding earlier, or later, would leave connections untranslated for as long as they last,
// where another program has the kernel track connections.
func (s Snapshot) natReady(p netip.Prefix) bool {
	return slices.ContainsFunc(s.Leaving, func(r Rule) bool { return r.Kind() == RuleNAT && r.From == p && r.Iif == s.Name })
}

// subnet4 is the subnet of the interface's primary address.
func (w *want) subnet4() (netip.Prefix, bool) {
	if len(w.in.Interface.Addrs4.Value) == 0 {
		return netip.Prefix{}, false
	}
	return containing(w.in.Interface.Subnets4.Value, w.in.Interface.Addrs4.Value[0])
}

func (w *want) routerFor(subnet netip.Prefix) netip.Addr {
	if w.in.Interface.Primary {
		return w.router(false)
	}
	return w.gateway4(subnet)
}
