package plumb

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ec2net/dhcp"
)

// statics are the routes that the leases of an interface may have. Those that end in a subnet of the primary, or where
// others may come to be (see venue.strange), or at the metadata are not for main.
func (c *cloudInterface) statics() []dhcp.Route {
	router := c.subnets[0].Addr().Next().Next().Next()
	route := func(dst string, via netip.Addr) dhcp.Route {
		return dhcp.Route{Dst: netip.MustParsePrefix(dst), Via: via}
	}
	return []dhcp.Route{
		route("10.9.0.0/16", router), route("10.8.0.1/32", netip.IPv4Unspecified()), route("172.16.3.0/24", router),
		route("10.0.0.128/25", router), route("169.254.169.254/32", router), route("192.168.2.0/24", netip.MustParseAddr("10.0.9.9")),
	}
}

// leased are the static routes of the lease.
func (e *expectation) leased(primary netip.Addr) {
	for _, l := range e.static {
		r := netlink.Route{Table: e.t, Scope: unix.RT_SCOPE_LINK}
		via := netip.Addr{}
		if !l.Via.IsUnspecified() {
			r.Scope, via = 0, l.Via
		}
		if via.IsValid() && !e.subnets[0].Contains(via) {
			r.Flags = unix.RTNH_F_ONLINK
		}
		if e.copied(l.Dst) {
			continue
		}
		e.route(r, l.Dst, via, netip.Addr{})
		if e.main && !e.elsewhere(l.Dst) && l.Dst != netip.MustParsePrefix("169.254.169.254/32") {
			r.Table, r.Priority = 254, e.t
			e.route(r, l.Dst, via, primary)
		}
	}
}

// copied: main leads there by the interface already.
func (e *expectation) copied(dst netip.Prefix) bool {
	return slices.ContainsFunc(e.s.routes, func(o seenRoute) bool {
		return o.dev == e.name && o.Table == 254 && o.Dst.String() == dst.String() && o.Priority == 0
	})
}

// elsewhere: another device is in a network that the destination is in.
func (e *expectation) elsewhere(dst netip.Prefix) bool {
	return slices.ContainsFunc(e.s.routes, func(o seenRoute) bool {
		p := netip.MustParsePrefix(o.Dst.String())
		return o.dev != e.name && o.Table == 254 && o.Scope == unix.RT_SCOPE_LINK && p.Bits() <= dst.Bits() && p.Contains(dst.Addr())
	})
}
