package plumb

import (
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// primary is the state of the interface that the host was started with. Whoever set up its first address
// keeps it, and main's routes, and where nobody does, ec2net gives it both: see host. It adds the secondary
// addresses, and, only beside other cloud interfaces, what keeps its answers on it.
func (w *want) primary() {
	w.host()
	if !w.in.Interface.Primary {
		return
	}
	four, six := w.delegated(false, w.in.Interface.Prefixes4), w.delegated(true, w.in.Interface.Prefixes6)
	w.secondaries()
	w.local(four)
	w.local(six)
	if (w.in.Have.OthersManaged || len(w.in.Services) > 0) && !w.in.Have.taken(w.n()) {
		w.protectPrimary(false, w.in.Interface.Addrs4, w.in.Interface.Subnets4, four)
		w.protectPrimary(true, w.in.Interface.Addrs6, w.in.Interface.Subnets6, six)
		w.services()
	}
}

// secondaries are the addresses that ec2net adds to the primary interface. Without the primary address they can not
// answer, since the kernel takes the routes away that prefer it, and a network manager that starts and finds
// them takes the interface for one that somebody else has configured: NetworkManager shows it as "connected
// (externally)" and does not activate its own profile. So they come and go with it. What another program gave
// the interface of IPv6 keeps the addresses of that family.
func (w *want) secondaries() {
	for six, list := range []metadata.Answer[[]netip.Addr]{w.in.Interface.Addrs4, w.in.Interface.Addrs6} {
		if Unconfigured(w.in.Have, w.in.Interface) && !w.gives(w.in.Interface.Addrs4.Value[0]) && (six == 0 || !w.router(true).IsValid()) {
			w.waiting(six == 1, list.Value)
			continue
		}
		if list.Status == metadata.Unavailable {
			w.keepAddrs(six == 1)
		}
		for i, a := range list.Value {
			if i > 0 || !a.Is4() {
				w.addr(netip.PrefixFrom(a, a.BitLen()))
			} else if h, held := w.in.Have.ours(a); held && !w.gives(a) { // a secondary one, of a list that has lost its first, or its order
				w.addr(h.Prefix)
			}
		}
	}
}

// waiting says which addresses are left out.
func (w *want) waiting(six bool, list []netip.Addr) {
	if !six && len(list) > 0 {
		list = list[1:]
	}
	if len(list) > 0 {
		w.refuse("%s does not have its primary address %s yet, which its network manager adds: %s waits for it", w.out.Name, w.in.Interface.Addrs4.Value[0], list[0])
	}
}

// Unconfigured: a primary interface has neither its primary IPv4 address nor one that another program gave it, so
// that its network manager has let it go, or has not begun.
func Unconfigured(have Snapshot, iface metadata.Interface) bool {
	return iface.Primary && len(iface.Addrs4.Value) > 0 && !have.hasAddr(iface.Addrs4.Value[0]) &&
		!slices.ContainsFunc(have.Addrs, func(a Addr) bool {
			return !a.Ours && a.Prefix.Addr().Is4() && !a.Prefix.Addr().IsLinkLocalUnicast()
		})
}

// protectPrimary gives the primary interface a table and rules of its own, as the others have. Main leads to the
// subnet of another interface by that interface, which is right for its own address and wrong for the primary's:
// the cloud drops such an answer (source check), and strict rp_filter the question before it.
func (w *want) protectPrimary(six bool, addrs metadata.Answer[[]netip.Addr], subnets metadata.Answer[[]netip.Prefix], delegated []netip.Prefix) {
	first, known := anchor(addrs.Value, delegated)
	if (six && w.in.Have.NoIPv6) || (!known && addrs.Status != metadata.Unavailable) {
		return
	}
	if addrs.Status == metadata.Unavailable || subnets.Status == metadata.Unavailable {
		w.keepRouting(six)
		return
	}
	subnet, ok := containing(subnets.Value, first)
	if !ok {
		w.refuse("%s is in none of the interface's subnets: left out", first)
		return
	}
	var primary netip.Addr // none where there is a delegated prefix alone
	if len(addrs.Value) > 0 {
		primary = addrs.Value[0]
	}
	gw := w.primaryRouter(six, subnet)
	if !gw.IsValid() {
		return // the host does without: nothing is known to be better than main
	}
	if w.suspended(six, primary) {
		w.keepRouting(six)
		w.leaveMain(six)
		return
	}
	w.routes(primary, subnet, gw)
	w.rules(addrs.Value, subnets.Value, delegated)
	if w.in.MainTable && primary.IsValid() {
		w.ahead(six)
	}
}

// primaryRouter is where the primary's answers leave: by main's default route, or, when main has lost that,
// by the router that it named last, which is still there. Where nobody knows that any more, the cloud's own
// rule tells. An operator who moved the host's own traffic to another interface has moved main's default
// route, and with it no address of the cloud's.
func (w *want) primaryRouter(six bool, subnet netip.Prefix) netip.Addr {
	named := w.router(six)
	switch {
	case named.IsValid():
		return named
	case six:
		return w.namedGateway6()
	}
	if last := w.in.Have.gateway(false); subnet.Contains(last.Via) || last.OnLink {
		return last.Via
	}
	return w.gateway4(subnet)
}

// suspended: the kernel takes no route of the family now, because the link is down or the address is gone
// that the routes prefer. A DHCP client that restarts takes it away for a moment. The rules stay for what
// comes back: without their table they lead nowhere.
func (w *want) suspended(six bool, primary netip.Addr) bool {
	away := !six && primary.IsValid() && !w.in.Have.hasAddr(primary) && !w.gives(primary)
	return (!w.in.Have.Link.Up && !w.out.Link.Up) || away
}

// leaveMain takes back what stands in main: the host itself has a better way than an interface that is out of use.
func (w *want) leaveMain(six bool) {
	w.out.Routes = slices.DeleteFunc(w.out.Routes, func(r Route) bool {
		return r.Ours && r.Table == tableMain && r.Dst.Addr().Is6() == six
	})
}

// ahead puts the primary's default route into main once more, one step before the others. Of every interface's
// router advertisements the kernel, and networkd, make a default route of the same metric, and so networkd
// does of every interface's lease; which of them the host's own traffic takes then hangs on who came last. The
// metric of the kernel's is set by a sysctl alone (ra_defrtr_metric), and ec2net changes none.
// One whose metric is above those of the interfaces' own comes before them all: NetworkManager adds 20000 where its
// connectivity check fails, and where the address is a link-local one.
func (w *want) ahead(six bool) {
	r := w.mainDefault(six)
	if !r.Via.IsValid() || r.Metric == 0 || !w.threatened(six, r.Metric) {
		return // no metric is below 0
	}
	before := min(r.Metric, baseTable) - 1 // by those from baseTable an interface's number is told
	w.route(Route{Table: tableMain, Dst: r.Dst, Via: r.Via, Src: r.Src, Metric: before, MTU: r.MTU, OnLink: r.OnLink && !six, Ours: true})
}

// threatened: another interface's default route comes, or may come, before the primary's of this metric, and nobody
// has chosen that.
func (w *want) threatened(six bool, metric uint32) bool {
	if six && metric == metric6 {
		return true
	}
	have := w.in.Have
	return have.leads(six, metric) && (metric > baseTable || (!six && have.ambiguous(six, metric)))
}
