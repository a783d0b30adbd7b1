package agent

import (
	"net"
	"net/netip"
	"slices"
)

// hint tells the user of `up` about the one thing that `up` cannot repair. main now has a route to this interface's
// subnet, so the primary interface's answers to hosts in it leave by this interface, and the cloud drops them. The
// primary's own process prevents that with rules of its own; if none runs, the user has to start it. Nothing is said
// of a subnet that both are in.
func (a *Agent) hint() {
	if a.settled.Primary || !a.iface.MainTable {
		return
	}
	for _, g := range a.snap.Groups {
		if r, ok := a.store.Load(g.Name); a.store.Managed(g.Name) || (ok && r.Ready) {
			continue
		}
		for _, subnet := range slices.Concat(a.settled.Subnets4.Value, a.settled.Subnets6.Value) {
			if outside(g.Index, subnet) {
				a.log.Infof("hosts in %s, the subnet of %s, get no answer from %s until you run \"ec2net up %s\"; hosts elsewhere do", subnet, a.snap.Name, g.Name, g.Name)
			}
		}
	}
}

// outside reports whether an interface has addresses of the subnet's family and none of them in the subnet.
func outside(index int, subnet netip.Prefix) (found bool) {
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return false // it is gone meanwhile
	}
	list, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		switch {
		case err != nil || p.Addr().Is6() != subnet.Addr().Is6() || p.Addr().IsLinkLocalUnicast():
		case subnet.Contains(p.Addr()):
			return false
		default:
			found = true
		}
	}
	return found
}
