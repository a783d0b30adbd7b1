package plumb

import (
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// The addresses, routes and rules of one address family, as the metadata has settled them; and what is kept where it
// says nothing.

// family writes everything of one address family. The first of addrs is the primary address.
func (w *want) family(six bool, addrs metadata.Answer[[]netip.Addr], subnets metadata.Answer[[]netip.Prefix],
	delegated []netip.Prefix, gateway func(netip.Prefix) netip.Addr) {
	if six && w.in.Have.NoIPv6 {
		return
	}
	if addrs.Status == metadata.Unavailable {
		w.unknown(six)
		return
	}
	anchor, ok := anchor(addrs.Value, delegated)
	if !ok {
		return
	}
	subnet, ok := containing(subnets.Value, anchor)
	switch {
	case !ok && subnets.Status == metadata.Unavailable:
		w.keep(six)
		w.refuse("the metadata did not give the subnet of %s: its configuration stays as it is", anchor)
	case !ok:
		w.refuse("%s is in none of the interface's subnets: left out", anchor)
	case !w.in.OwnAddress && !six && len(addrs.Value) > 0 && !w.in.Have.hasAddr(anchor):
		w.keep(six)
		w.refuse("%w: waiting for %s", ErrNoAddress, anchor)
	default:
		w.set(addrs.Value, subnet, subnets.Value, delegated, gateway(subnet))
	}
}

func (w *want) set(addrs []netip.Addr, subnet netip.Prefix, subnets, delegated []netip.Prefix, gw netip.Addr) {
	var primary netip.Addr
	if len(addrs) > 0 {
		primary = addrs[0]
	}
	for i, a := range addrs {
		p := netip.PrefixFrom(a, a.BitLen())
		if i == 0 && a.Is4() {
			p = w.onLink(a, subnet)
		}
		w.addr(p)
	}
	w.routes(primary, subnet, gw)
	w.rules(addrs, subnets, delegated)
	w.local(delegated)
}

// anchor is the address that tells the subnet: the primary, or one of a block where an interface has only
// blocks, as an interface for containers may.
func anchor(addrs []netip.Addr, delegated []netip.Prefix) (netip.Addr, bool) {
	switch {
	case len(addrs) > 0:
		return addrs[0], true
	case len(delegated) > 0:
		return delegated[0].Addr(), true
	}
	return netip.Addr{}, false
}

// addrs4 is the lease's address while the metadata has never answered.
func (w *want) addrs4() metadata.Answer[[]netip.Addr] {
	if w.in.Interface.MAC == (metadata.MAC{}) && w.in.Lease != nil {
		if a := w.in.Lease.Addr.Addr(); !a.IsLinkLocalUnicast() { // that is all that an IPv6-only subnet leases
			return metadata.Is([]netip.Addr{a})
		}
	}
	return w.in.Interface.Addrs4
}

func (w *want) subnets4() metadata.Answer[[]netip.Prefix] {
	if w.in.Interface.Subnets4.Status != metadata.Present && w.in.Lease != nil {
		return metadata.Is([]netip.Prefix{w.in.Lease.Addr.Masked()})
	}
	return w.in.Interface.Subnets4
}

// onLink is the primary IPv4 address with the length of what is on the link with it.
func (w *want) onLink(a netip.Addr, subnet netip.Prefix) netip.Prefix {
	if w.in.OffLink {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.PrefixFrom(a, subnet.Bits())
}

func (w *want) addr(p netip.Prefix) {
	if p.Addr().Is6() && w.in.Have.NoIPv6 {
		return
	}
	if i := slices.IndexFunc(w.in.Have.Addrs, func(a Addr) bool { return !a.Ours && a.Prefix.Addr() == p.Addr() }); i >= 0 {
		return // somebody else's; ours to add only when they take it away
	}
	w.out.Addrs = append(w.out.Addrs, Addr{Prefix: p, NoPrefixRoute: true, Ours: true})
}

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

// main writes a route to main too, unless the host's own traffic would then leave by this interface and does not yet.
func (w *want) main(r Route, metric uint32) {
	r.Table, r.Metric = tableMain, metric
	if six := r.Dst.Addr().Is6(); r.isDefault() && w.in.Have.overtakes(six, metric) {
		w.refuse("%s would come before the host's own default route, which has a higher metric: left out until the primary interface's default route comes first (run \"ec2net up\" for the primary interface)", r.text(w.out.Name))
		return
	}
	w.route(r)
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

// unknown is a family whose addresses could not be asked. An interface without any IPv4 that is known has
// to wait; IPv6 need not be there.
func (w *want) unknown(six bool) {
	w.keep(six)
	if !six && len(w.out.Rules) == 0 {
		w.refuse("%w: neither the metadata nor a lease has named one", ErrNoAddress)
	}
}

// keep leaves one family as the kernel has it.
func (w *want) keep(six bool) {
	w.keepAddrs(six)
	w.keepRouting(six)
}

func (w *want) keepRouting(six bool) {
	for _, r := range w.in.Have.Routes {
		if r.Ours && r.Dst.Addr().Is6() == six {
			w.out.Routes = append(w.out.Routes, r)
		}
	}
	for _, r := range w.in.Have.Rules {
		if kind := r.Kind(); r.From.Addr().Is6() == six && (kind == RuleGuard || kind == RuleSource) { // what has a mark is for the setting to say
			w.out.Rules = append(w.out.Rules, r)
		}
	}
}

func (w *want) keepAddrs(six bool) {
	for _, a := range w.in.Have.Addrs {
		if a.Ours && a.Prefix.Addr().Is6() == six {
			w.out.Addrs = append(w.out.Addrs, a)
		}
	}
}
