package plumb

import (
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// mostStatic is how many static routes of a lease are used. A lease has room for hundreds; OpenStack allows a subnet 20
// (max_subnet_host_routes), and no cloud that has such routes gives more than a handful.
const mostStatic = 64

// linkLocal4 is where clouds have servers of their own, of which an interface's lease need not know: metadata, DNS, time,
// disks (OCI: 169.254.2.0/24).
var linkLocal4 = netip.MustParsePrefix("169.254.0.0/16")

// boundLease leaves out of a lease the static routes beyond the first ones.
func (w *want) boundLease() {
	if w.in.Lease == nil || len(w.in.Lease.Routes) <= mostStatic {
		return
	}
	l := *w.in.Lease
	w.refuse("the lease has %d static routes (option 121): only the first %d are used", len(l.Routes), mostStatic)
	l.Routes = l.Routes[:mostStatic]
	w.in.Lease = &l
}

// static are the static routes of our own lease (RFC 3442) for a table. A router outside of the subnet is used on the
// link, whether or not the lease has a route to it.
func (w *want) static(table uint32, subnet netip.Prefix) (out []Route) {
	if w.in.Lease == nil || subnet.Addr().Is6() {
		return nil
	}
	for _, l := range w.in.Lease.Routes {
		r := Route{Table: table, Dst: l.Dst, Scope: scopeLink, Ours: true}
		if !l.Via.IsUnspecified() {
			r.Via, r.OnLink = l.Via, !subnet.Contains(l.Via)
			r.Scope = 0
		}
		if w.ownAddr(r.Via) {
			w.refuse("%s of the lease: its gateway is the host itself: left out", r.text(w.out.Name))
			continue
		}
		out = append(out, r)
	}
	return out
}

// leased writes the lease's static routes: for what comes from the interface's addresses, and to main for what the host
// itself sends. What main or the subnet has for the same destination comes first. A lease that the metadata does not
// confirm leads nothing of the host's own.
func (w *want) leased(primary netip.Addr, subnet netip.Prefix) {
	t := Table(w.n())
	confirmed := w.in.Interface.MAC != (metadata.MAC{}) && primary.IsValid()
	for _, r := range w.static(t, subnet) {
		if w.placed(r.key()) {
			continue
		}
		w.route(r)
		if w.in.MainTable && confirmed && !w.in.Interface.Primary {
			w.lead(r, primary, subnet)
		}
	}
}

// lead writes a static route of a secondary interface's lease to main, unless the host's own traffic to a place that is
// not the interface's would follow it. Routes to the cloud's servers alone, as OpenStack and Hetzner give to each
// interface, and those within a subnet that another interface is in too, are left out silently: they are not missed.
func (w *want) lead(r Route, primary netip.Addr, subnet netip.Prefix) {
	server := slices.IndexFunc(w.in.Servers, r.Dst.Contains)
	network := w.networkOf(r.Dst)
	why := ""
	switch {
	case Internet(r.Dst):
		why = "it leads to a part of the Internet"
	case server >= 0 && !r.Dst.IsSingleIP():
		why = "it leads to " + w.in.Servers[server].String() + ", a server of the cloud, too"
	case server >= 0, within(r.Dst, linkLocal4), network.IsValid() && within(r.Dst, subnet):
		return
	case network.IsValid():
		why = "another interface is in " + network.String()
	default:
		r.Table, r.Metric = tableMain, Table(w.n())
		r.Src = primary
		w.route(r)
		return
	}
	w.refuse("the lease's route to %s is not added to the main table: %s", r.Dst, why)
}

// hostStatic writes the static routes of the lease that the host itself lives by, those to the cloud's servers too.
func (w *want) hostStatic(primary netip.Addr, subnet netip.Prefix) {
	for _, r := range w.static(tableMain, subnet) {
		r.Src, r.Metric = primary, hostMetric
		if network := w.networkOf(r.Dst); network.IsValid() {
			w.refuse("the lease's route to %s is not added to the main table: another interface is in %s", r.Dst, network)
			continue
		}
		w.route(r)
	}
}

// networkOf is the network of another interface that a destination lies in; invalid: none.
func (w *want) networkOf(dst netip.Prefix) netip.Prefix {
	i := slices.IndexFunc(w.in.Have.Networks, func(p netip.Prefix) bool { return within(dst, p) })
	if i < 0 {
		return netip.Prefix{}
	}
	return w.in.Have.Networks[i]
}

// within: all of p is in the network.
func within(p, network netip.Prefix) bool {
	return p.Bits() >= network.Bits() && network.Contains(p.Addr())
}
