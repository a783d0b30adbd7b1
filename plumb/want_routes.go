package plumb

import (
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// routes writes the interface's subnet and default route. Without a primary address they are in the
// interface's own table only: main is for what the host itself sends.
func (w *want) routes(primary netip.Addr, subnet netip.Prefix, gw netip.Addr) {
	t, six := Table(w.n()), subnet.Addr().Is6()
	for _, r := range w.in.Have.Routes {
		c, ok := copied(r, t, subnet, six)
		switch {
		case ok && w.offSubnet(r):
			w.refuse("ignored a router advertisement on %s: it says that %s is on-link, which is not a subnet of the interface", w.out.Name, r.Dst)
		case ok && w.ownAddr(c.Via):
			w.refuse("%s: its gateway is now the host itself: not copied to table %d", r.text(w.out.Name), t)
		case ok:
			w.route(c)
		}
	}
	ours := w.subnetRoutes(primary, subnet, gw)
	if !gw.IsValid() || gw == primary {
		w.refuse("no gateway is known for %s, so there is no default route", subnet)
	} else {
		def := Route{Table: t, Dst: everywhere(six), Via: gw, Src: primary, Ours: true}
		def.OnLink = !six && w.beyond(gw, subnet)
		if six {
			def.Metric = metric6
		}
		ours = append(ours, def)
	}
	for _, r := range ours {
		w.route(r)
		if w.in.MainTable && primary.IsValid() && !w.in.Interface.Primary {
			w.main(r, t)
		}
	}
	w.leased(primary, subnet)
}

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
		return []Route{link, {Table: t, Dst: subnet, Via: gw, Src: primary, OnLink: true, Ours: true}}
	case six:
		link.Scope, link.Metric = 0, metric6
	}
	return []Route{link}
}

// main writes a route to main too, unless the host's own traffic would then leave by this interface and does not yet.
func (w *want) main(r Route, metric uint32) {
	r.Table, r.Metric = tableMain, metric
	if six := r.Dst.Addr().Is6(); r.isDefault() && w.in.Have.overtakes(six, metric) {
		w.refuse("%s would come before the host's own default route, which has a higher metric: left out until the primary interface's default route comes first (run \"ec2net up\" for the primary interface)", r.text(w.out.Name))
		return
	}
	w.route(r)
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

// offSubnet: a router advertisement put a block on the interface's link that the cloud does not have there,
// as one does that belongs on another interface's link. The interface's own table does without it.
func (w *want) offSubnet(r Route) bool {
	if !r.Advertised || r.Via.IsValid() || w.in.Interface.Subnets6.Status != metadata.Present {
		return false
	}
	return !slices.ContainsFunc(w.in.Interface.Subnets6.Value, func(p netip.Prefix) bool {
		return p.Bits() <= r.Dst.Bits() && p.Contains(r.Dst.Addr())
	})
}

// ownAddr: the host has the address on one of its cloud interfaces, so the kernel takes it for no gateway.
func (w *want) ownAddr(a netip.Addr) bool {
	return a.IsValid() && (w.in.Have.hasAddr(a) || slices.Contains(w.in.Have.Taken, netip.PrefixFrom(a, a.BitLen())) ||
		slices.ContainsFunc(w.out.Addrs, func(o Addr) bool { return o.Prefix.Addr() == a }))
}

func (w *want) rules(addrs []netip.Addr, subnets, delegated []netip.Prefix) {
	used := map[netip.Prefix]bool{}
	var sources []Rule
	add := func(from netip.Prefix) {
		sources = append(sources, sourceRule(w.n(), from))
		g, ok := containing(subnets, from.Addr())
		if !ok {
			g = from // an address outside of every subnet has a guard of its own
		}
		if !used[g] {
			used[g] = true
			w.out.Rules = append(w.out.Rules, Rule{Pref: uint32(baseTable + w.n()), From: g, Table: tableMain, NoGroup: true, MinBits: network})
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

// sourceRule sends what comes from an address or a block of the interface with number n to its table.
func sourceRule(n int, from netip.Prefix) Rule {
	return Rule{Pref: uint32(baseSource + n), From: from, Table: Table(n)}
}

// gateway4 is the first that one of the sources names: the lease's router when it lies in the subnet, the gateway that
// the metadata names, or the first address of the subnet. Where the cloud says nothing of the subnet, or it has one
// address alone, the lease's router is used on the link, as other DHCP clients do.
func (w *want) gateway4(subnet netip.Prefix) netip.Addr {
	var leased netip.Addr
	if w.in.Lease != nil {
		leased = w.in.Lease.Router
	}
	best := w.namedGateway4(subnet, leased)
	if !best.IsValid() {
		return leased // invalid too for a subnet of one address without a lease
	}
	if leased.IsValid() && leased != best && !subnet.Contains(leased) {
		w.refuse("ignored the lease's router %s: it is outside the subnet %s, whose router is %s according to the cloud", leased, subnet, best)
	}
	return best
}

// namedGateway4 is invalid where none of the sources names a gateway.
func (w *want) namedGateway4(subnet netip.Prefix, leased netip.Addr) netip.Addr {
	sources := w.in.Gateways
	if sources == nil {
		sources = metadata.UsualGateways()
	}
	first := subnet.Masked().Addr().Next()
	for _, s := range sources {
		switch {
		case s == metadata.GatewayOfLease && leased.IsValid() && subnet.Contains(leased):
			return leased
		case s == metadata.GatewayOfMetadata && w.in.Interface.Gateway4.IsValid():
			return w.in.Interface.Gateway4
		case s == metadata.GatewayFirst && subnet.Contains(first) && w.trusts(leased):
			return first
		}
	}
	return netip.Addr{}
}

// trusts reports whether the first address of the subnet is believed to be its router rather than leased, which lies
// outside of it: only where the subnet is the cloud's word.
func (w *want) trusts(leased netip.Addr) bool {
	return !leased.IsValid() || w.in.Interface.Subnets4.Status == metadata.Present
}

// gateway6 is the router that the kernel learned from a router advertisement, else the one that the metadata names, else
// the cloud's.
func (w *want) gateway6(netip.Prefix) netip.Addr {
	if r := w.router(true); r.IsValid() {
		return r
	}
	return w.namedGateway6()
}

func (w *want) namedGateway6() netip.Addr {
	if g := w.in.Interface.Gateway6; g.IsValid() {
		return g
	}
	return w.in.Gateway6
}

// router is where main leaves through the interface by somebody else's default route. Of several, the one
// that main prefers; of equals, the one that is in use, so that two routers which advertise in turn
// change nothing.
func (w *want) router(six bool) netip.Addr { return w.mainDefault(six).Via }

// mainDefault is the route behind router.
func (w *want) mainDefault(six bool) (best Route) {
	for _, r := range w.in.Have.Routes {
		theirs := !r.Ours && r.Table == tableMain && r.isDefault()
		if !theirs || r.Dst.Addr().Is6() != six || !r.Via.IsValid() {
			continue
		}
		if !best.Via.IsValid() || r.Metric < best.Metric || (r.Metric == best.Metric && w.uses(r.Via)) {
			best = r
		}
	}
	return best
}

// uses: the interface's table leaves by this router now.
func (w *want) uses(via netip.Addr) bool {
	return slices.ContainsFunc(w.in.Have.Routes, func(r Route) bool {
		return r.Ours && r.Table == Table(w.n()) && r.isDefault() && r.Via == via
	})
}

func containing(list []netip.Prefix, a netip.Addr) (netip.Prefix, bool) {
	i := slices.IndexFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return list[i], true
}
