package plumb

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// Lead is how an interface stands to main's default routes, by which the host itself leaves.
type Lead struct {
	// Elsewhere is true if main prefers a default route of another interface to each one of this interface.
	Elsewhere bool
	// Tied are the indexes, in order, of the other interfaces with a default route of the same metric as this one's
	// best, where main has none that comes before. Which of them a packet takes hangs on who came last, and on who
	// answers ARP (fib_select_default in net/ipv4/fib_semantics.c).
	Tied []int
}

// Lead looks at IPv4, and at IPv6 where IPv4 has no default route. Our own routes through the interface say nothing,
// but for those that only the primary has, which come before the others; nor does a tunnel's, as of a VPN, whose
// packets leave by some interface all the same. It costs a dump of main and one of the links.
func (l *Link) Lead(index int) (Lead, error) {
	ifaces, err := l.rt.networkDevices()
	if err != nil {
		return Lead{}, err
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		d := newDefaults(index, ifaces)
		if err := l.rt.mainRoutes(family, d.add); err != nil {
			return Lead{}, fmt.Errorf("look for the host's default route: %w", err)
		}
		if d.here.known || d.away.known {
			return d.lead(), nil
		}
	}
	return Lead{}, nil
}

// Nowhere says whether the host itself leaves by no interface at all, by IPv4, and how many interfaces come before
// this one in the order of their indexes, which is that in which the kernel found them.
func (l *Link) Nowhere(index int) (ok bool, before int, err error) {
	ifaces, err := l.rt.networkDevices()
	if err != nil {
		return false, 0, err
	}
	d := newDefaults(index, ifaces)
	if err := l.rt.mainRoutes(unix.AF_INET, d.add); err != nil {
		return false, 0, fmt.Errorf("look for the host's default route: %w", err)
	}
	err = l.rt.links(func(s Snapshot) {
		if s.Index < index && s.isInterface() {
			before++
		}
	})
	return !d.here.known && !d.away.known, before, err
}

// isInterface: the device may be an interface of the cloud, that is nobody's slave.
func (s Snapshot) isInterface() bool {
	return s.isHardware() && s.Master == 0 && s.MAC != (metadata.MAC{})
}

// defaults are main's best default routes of one family: through the interface index, and through others.
type defaults struct {
	index      int
	ifaces     map[int]bool // what counts as away
	here, away best
	others     map[int]best // away, by interface
}

func newDefaults(index int, ifaces map[int]bool) defaults {
	return defaults{index: index, ifaces: ifaces, others: map[int]best{}}
}

// lead is what the routes say of the interface.
func (d *defaults) lead() Lead {
	l := Lead{Elsewhere: d.away.known && (!d.here.known || d.away.metric < d.here.metric)}
	for index, other := range d.others {
		if !l.Elsewhere && other == d.here {
			l.Tied = append(l.Tied, index)
		}
	}
	slices.Sort(l.Tied)
	return l
}

// networkDevices are the devices that are interfaces, or made of interfaces.
func (s *socket) networkDevices() (map[int]bool, error) {
	made := []string{"", "veth", "bridge", "bond", "team", "vlan", "macvlan", "ipvlan", "vrf"}
	out := map[int]bool{}
	return out, s.links(func(one Snapshot) { out[one.Index] = !one.Loopback && slices.Contains(made, one.Kind) })
}

func (d *defaults) add(h *nl.RtMsg, a attrs) {
	if h.Dst_len != 0 || h.Tos != 0 || h.Type != unix.RTN_UNICAST {
		return
	}
	for _, out := range outs(a) {
		switch {
		case out != d.index && !d.ifaces[out]:
		case out != d.index:
			d.away.take(a.u32(unix.RTA_PRIORITY))
			other := d.others[out]
			other.take(a.u32(unix.RTA_PRIORITY))
			d.others[out] = other
		case h.Protocol != Protocol || a.u32(unix.RTA_PRIORITY) < baseTable:
			d.here.take(a.u32(unix.RTA_PRIORITY))
		}
	}
}

// Foreign is what another program set up on the interface, in the form of a lease: its first IPv4 address
// that lies in a subnet, and the router by which a default route of its leaves through the interface, in
// main or in a table of that program. Nil when there is no such address.
func (s Snapshot) Foreign() *dhcp.Lease {
	for _, a := range s.Addrs {
		if a.Foreign4() && a.Prefix.Bits() < 31 {
			return &dhcp.Lease{Addr: a.Prefix, Router: s.foreignRouter(a.Prefix.Masked()), Expires: dhcp.Infinite}
		}
	}
	return s.single()
}

// single is one that lies in no subnet, as of a cloud that leases a /32 and a router outside of it.
func (s Snapshot) single() *dhcp.Lease {
	r := s.foreignRouter(netip.Prefix{})
	for _, a := range s.Addrs {
		if a.Foreign4() && r.IsValid() && r != a.Prefix.Addr() {
			return &dhcp.Lease{Addr: a.Prefix, Router: r, Expires: dhcp.Infinite}
		}
	}
	return nil
}

// foreignRouter prefers what lies in the subnet, then main, and there the lowest metric.
func (s Snapshot) foreignRouter(subnet netip.Prefix) netip.Addr {
	var best Route
	for _, r := range s.Routes {
		if r.Ours || !r.isDefault() || !r.Via.Is4() {
			continue
		}
		if !best.Via.IsValid() || r.compareRouter(best, subnet) < 0 {
			best = r
		}
	}
	return best.Via
}

// compareRouter is negative when the router of r is preferred to that of o.
func (r Route) compareRouter(o Route, subnet netip.Prefix) int {
	return cmp.Or(cmp.Compare(r.routerRank(subnet), o.routerRank(subnet)), cmp.Compare(r.Metric, o.Metric))
}

func (r Route) routerRank(subnet netip.Prefix) (rank int) {
	if !subnet.Contains(r.Via) {
		rank = 2
	}
	if r.Table != tableMain {
		rank++
	}
	return rank
}
