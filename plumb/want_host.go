package plumb

import (
	"net/netip"
	"slices"
)

// host gives the interface what the host lives by where nobody else does. What it has of that stays until another
// program has given it a default route of its own: connections hang on it.
func (w *want) host() {
	switch have := w.in.Have; {
	case w.in.Host && !have.foreign4() && w.give():
	case have.Hosts():
		w.stay()
	}
}

// give writes the address and main's routes, by the metadata or, while that has never answered, by the lease alone.
// Then the default route is the lease's too: Azure names no router but to the primary.
func (w *want) give() bool {
	addrs := w.addrs4().Value
	if len(addrs) == 0 {
		return false
	}
	a := addrs[0]
	subnet, ok := containing(w.subnets4().Value, a)
	if !ok {
		return false
	}
	w.out.Link.Up = true
	w.namedMTU()
	gw := w.hostRouter(subnet)
	w.out.Addrs = append(w.out.Addrs, Addr{Prefix: w.onLink(a, subnet), NoPrefixRoute: true, Ours: true})
	for _, r := range w.subnetRoutes(a, subnet, gw) {
		r.Table, r.Metric = tableMain, hostMetric
		w.route(r)
	}
	if gw.IsValid() && gw != a {
		w.route(Route{Table: tableMain, Dst: everywhere(false), Via: gw, Src: a, Metric: hostMetric, OnLink: w.beyond(gw, subnet), Ours: true})
	}
	w.hostStatic(a, subnet)
	return true
}

func (w *want) hostRouter(subnet netip.Prefix) netip.Addr {
	if !w.in.Interface.Primary {
		return w.in.Lease.Router
	}
	return w.gateway4(subnet)
}

// stay keeps what there is. The route of the subnet stays with the address, which has none of the kernel's.
func (w *want) stay() {
	addrs, routes := w.in.Have.hosted()
	w.out.Addrs = append(w.out.Addrs, addrs...)
	for _, r := range routes {
		if !r.isDefault() || !w.router(false).IsValid() {
			w.route(r)
		}
	}
}

// gives: the address is about to be there.
func (w *want) gives(a netip.Addr) bool {
	return slices.ContainsFunc(w.out.Addrs, func(o Addr) bool { return o.Prefix.Addr() == a })
}

// namedMTU sets what a lease of ours says, or the metadata, and gives it back when there is to be none.
func (w *want) namedMTU() {
	switch {
	case w.in.OwnAddress && w.in.Lease != nil && w.in.Lease.MTU != 0:
		w.out.Link.MTU = w.mtu("the lease's", w.in.Lease.MTU)
	case w.in.OwnAddress && w.in.Interface.MTU != 0:
		w.out.Link.MTU = w.mtu("the metadata's", w.in.Interface.MTU)
	case w.in.NoDHCP:
		w.out.Link.MTU = w.in.Baseline.mtu(w.in.Have)
	}
}

// mtu bounds an MTU that somebody named by what the driver supports.
func (w *want) mtu(whose string, named int) int {
	if most := w.in.Have.MaxMTU; most != 0 && named > most {
		w.refuse("%s MTU of %d is more than the interface's driver supports (%d)", whose, named, most)
		return most
	}
	return named
}
