package plumb

import (
	"net/netip"
	"slices"
)

// beyond: no route to the subnet tells the kernel that the gateway is on the link.
func (w *want) beyond(gw netip.Addr, subnet netip.Prefix) bool {
	return w.in.OffLink || !subnet.Contains(gw)
}

// subnetRoutes lead to the interface's subnet: on the link, or where the gateway alone is there, by it. In IPv6 the
// default route leads there then, by a link-local gateway.
func (w *want) subnetRoutes(primary netip.Addr, subnet netip.Prefix, gw netip.Addr) []Route {
	t, six := Table(w.n()), subnet.Addr().Is6()
	link := Route{Table: t, Dst: subnet, Src: primary, Scope: scopeLink, Ours: true}
	switch {
	case w.in.OffLink && (six || !gw.IsValid() || gw == primary):
		return nil
	case w.in.OffLink:
		link.Dst = netip.PrefixFrom(gw, gw.BitLen())
		if subnet.IsSingleIP() { // the address itself, all that a lease tells
			return []Route{link}
		}
		return []Route{link, {Table: t, Dst: subnet, Via: gw, Src: primary, OnLink: true, Ours: true}}
	case six:
		link.Scope, link.Metric = 0, metric6
	}
	return []Route{link}
}

// route adds r unless the operator's own, copied from main, stands at its place already. What
// somebody else wrote there stays too (see Diff), and is told when it leads elsewhere.
func (w *want) route(r Route) {
	if w.placed(r.key()) {
		return
	}
	for _, o := range w.foreign(r.key()) {
		if o.Via != r.Via {
			w.refuse("%s: another program has its own route there: %s", r.text(w.out.Name), o.text(w.out.Name))
		}
	}
	w.out.Routes = append(w.out.Routes, r)
}

// placed: a wanted route stands there already. A host may have thousands.
func (w *want) placed(k routeKey) bool {
	if w.places == nil {
		w.places = map[routeKey]bool{}
	}
	for ; w.seen < len(w.out.Routes); w.seen++ {
		w.places[w.out.Routes[w.seen].key()] = true
	}
	return w.places[k]
}

// foreign are the routes of others that stand there.
func (w *want) foreign(k routeKey) []Route {
	if w.others == nil {
		w.others = map[routeKey][]Route{}
		for _, o := range w.in.Have.Routes {
			if !o.Ours {
				w.others[o.key()] = append(w.others[o.key()], o)
			}
		}
	}
	return w.others[k]
}

// copied is main's route r for table t: the operator's static routes through the interface hold for the
// interface's own addresses too (cloud-init #5249). The subnet itself and default routes are ours to
// write.
func copied(r Route, t uint32, subnet netip.Prefix, six bool) (Route, bool) {
	if r.Ours || r.Table != tableMain || r.isDefault() || r.Dst.Addr().Is6() != six {
		return r, false
	}
	if r.Dst == subnet && !r.Via.IsValid() {
		return r, false
	}
	r.Table = t
	r.Ours, r.Advertised = true, false
	return r, true
}

// ownAddr: the host has the address on one of its cloud interfaces, so the kernel takes it for no gateway.
func (w *want) ownAddr(a netip.Addr) bool {
	return a.IsValid() && (w.in.Have.hasAddr(a) || slices.Contains(w.in.Have.Taken, netip.PrefixFrom(a, a.BitLen())) ||
		slices.ContainsFunc(w.out.Addrs, func(o Addr) bool { return o.Prefix.Addr() == a }))
}
