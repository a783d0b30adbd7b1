package plumb

import (
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// Which router the interface's routes lead by, and which default routes of main they stand beside.

// gateway4 is the first that one of the sources names: the lease's router when it lies in the subnet, the gateway that
// the metadata names, or the first address of the subnet. Where the cloud says nothing of the subnet, or it has one
// address alone, the lease's router is used on the link, as other DHCP clients do.
func (w *want) gateway4(subnet netip.Prefix) netip.Addr {
	var leased netip.Addr
	if w.in.Lease != nil {
		leased = w.in.Lease.Router
	}
	best := w.namedGateway4(subnet, leased)
	switch {
	case !best.IsValid() && !leased.IsValid():
		return w.routedGateway() // invalid too for a subnet of one address without a lease
	case !best.IsValid():
		return leased
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

// routedGateway is the one gateway of the lease's static routes, where nobody else can be on the link: such a lease
// has no default route on any interface but the primary. It is invalid where they name none, or several.
func (w *want) routedGateway() (one netip.Addr) {
	if !w.in.OffLink || w.in.Lease == nil {
		return netip.Addr{}
	}
	for _, r := range w.in.Lease.Routes {
		switch {
		case !r.Via.IsValid() || r.Via.IsUnspecified() || r.Via == one:
		case one.IsValid():
			return netip.Addr{}
		default:
			one = r.Via
		}
	}
	return one
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

func containing(list []netip.Prefix, a netip.Addr) (netip.Prefix, bool) {
	i := slices.IndexFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return list[i], true
}
