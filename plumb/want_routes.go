package plumb

import (
	"net/netip"
	"slices"
)

func (w *want) routes(primary netip.Addr, subnet netip.Prefix, gw netip.Addr) {
	t := Table(w.n())
	link := Route{Table: t, Dst: subnet, Src: primary, Scope: scopeLink, Ours: true}
	def := Route{Table: t, Dst: netip.PrefixFrom(unspecified(primary), 0), Via: gw, Src: primary, Ours: true}
	def.OnLink = !subnet.Contains(gw)
	if primary.Is6() {
		link.Scope, link.Metric, def.Metric, def.OnLink = 0, metric6, metric6, false
	}
	for _, r := range w.in.Have.Routes {
		if c, ok := copied(r, t, subnet, primary.Is6()); ok {
			w.route(c)
		}
	}
	ours := []Route{link, def}
	if !gw.IsValid() || gw == primary {
		w.refuse("no gateway is known for %s, so there is no default route", subnet)
		ours = ours[:1]
	}
	for _, r := range ours {
		w.route(r)
		if w.in.MainTable {
			r.Table, r.Metric = tableMain, t
			w.route(r)
		}
	}
}

// route adds r unless the operator's own, copied from main, stands at its place already. What
// somebody else wrote there stays too (see Diff), and is told when it leads elsewhere.
func (w *want) route(r Route) {
	for _, o := range w.out.Routes {
		if o.key() == r.key() {
			return
		}
	}
	for _, o := range w.in.Have.Routes {
		if !o.Ours && o.key() == r.key() && o.Via != r.Via {
			w.refuse("%s: another program has its own there: %s", r.text(w.out.Name), o.text(w.out.Name))
		}
	}
	w.out.Routes = append(w.out.Routes, r)
}

// copied is main's route r for table t: the operator's static routes through the card hold for the
// card's own addresses too (cloud-init #5249). The subnet itself and default routes are ours to
// write.
func copied(r Route, t uint32, subnet netip.Prefix, six bool) (Route, bool) {
	if r.Ours || r.Table != tableMain || r.isDefault() || r.Dst.Addr().Is6() != six {
		return r, false
	}
	if r.Dst == subnet && !r.Via.IsValid() {
		return r, false
	}
	r.Table, r.Ours = t, true
	return r, true
}

func (w *want) rules(addrs []netip.Addr, subnets, delegated []netip.Prefix) {
	guard, source := uint32(baseTable+w.n()), uint32(baseSource+w.n())
	used := map[netip.Prefix]bool{}
	var sources []Rule
	add := func(from netip.Prefix) {
		sources = append(sources, Rule{Pref: source, From: from, Table: Table(w.n())})
		g, ok := containing(subnets, from.Addr())
		if !ok {
			g = from // an address outside of every subnet has a guard of its own
		}
		if !used[g] {
			used[g] = true
			w.out.Rules = append(w.out.Rules, Rule{Pref: guard, From: g, Table: tableMain, Guard: true})
		}
	}
	for _, a := range addrs {
		add(netip.PrefixFrom(a, a.BitLen()))
	}
	for _, p := range delegated {
		add(p)
	}
	w.out.Rules = append(w.out.Rules, sources...)
}

// gateway4 is the lease's router when it lies in the subnet, else the one that the metadata names,
// else the first address of the subnet, which is the router in every subnet of EC2 and Azure
// (docs.aws.amazon.com, VPC, "Subnet CIDR blocks").
func (w *want) gateway4(subnet netip.Prefix) netip.Addr {
	if l := w.in.Lease; l != nil && l.Router.IsValid() && subnet.Contains(l.Router) {
		return l.Router
	}
	if g := w.in.Card.Gateway4; g.IsValid() {
		return g
	}
	if first := subnet.Masked().Addr().Next(); subnet.Contains(first) {
		return first
	}
	return netip.Addr{} // a subnet of one address
}

// gateway6 is the router that the kernel learned from a router advertisement.
func (w *want) gateway6(netip.Prefix) netip.Addr {
	for _, r := range w.in.Have.Routes {
		if !r.Ours && r.Table == tableMain && r.isDefault() && r.Dst.Addr().Is6() && r.Via.IsValid() {
			return r.Via
		}
	}
	return w.in.Gateway6
}

func containing(list []netip.Prefix, a netip.Addr) (netip.Prefix, bool) {
	i := slices.IndexFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return list[i], true
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
