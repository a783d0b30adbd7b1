package dhcp

import (
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// readRouter fills Router and Routes from options 3 and 121. When 121 is there and well formed, 3
// is not looked at, not even when 121 holds no default (RFC 3442).
func readRouter(m *dhcpv4.DHCPv4, l *Lease) error {
	if routes, ok := classless(m.Options.Get(dhcpv4.OptionClasslessStaticRoute)); ok {
		sortRoutes(routes, l)
		return nil
	}
	b := m.Options.Get(dhcpv4.OptionRouter)
	if len(b)%4 != 0 {
		return fault(dhcpv4.OptionRouter, "%d bytes (% x), want a multiple of 4", len(b), clip(b))
	}
	for ; len(b) > 0; b = b[4:] { // they come in the order of preference (RFC 2132 section 3.5)
		switch a := netip.AddrFrom4([4]byte(b)); {
		case !gateway(a, l.Addr):
		case l.Addr.Contains(a):
			l.Router = a
			return nil
		case !l.Router.IsValid():
			l.Router = a
		}
	}
	return nil
}

// sortRoutes takes the default route as Router and keeps the others, the first of each destination.
func sortRoutes(routes []Route, l *Lease) {
	seen := make(map[netip.Prefix]bool)
	for _, r := range routes {
		onLink := r.Via.IsUnspecified()
		switch {
		case seen[r.Dst] || (!onLink && !gateway(r.Via, l.Addr)):
			continue
		case r.Dst.Bits() == 0 && !onLink:
			l.Router = r.Via
		case r.Dst.Bits() > 0 && unusable(r.Dst.Addr()) == "":
			l.Routes = append(l.Routes, r)
		}
		seen[r.Dst] = true
	}
}

// classless decodes option 121; false when it is missing or any part of it is malformed: half of
// somebody's routes can be worse than none.
func classless(b []byte) ([]Route, bool) {
	var routes []Route
	for len(b) > 0 {
		bits := int(b[0])
		n := (bits + 7) / 8
		if bits > 32 || len(b) < 1+n+4 {
			return nil, false
		}
		var dst [4]byte
		copy(dst[:], b[1:1+n])
		via := netip.AddrFrom4([4]byte(b[1+n:]))
		if !via.IsUnspecified() && unusable(via) != "" {
			return nil, false
		}
		routes = append(routes, Route{Dst: netip.PrefixFrom(netip.AddrFrom4(dst), bits).Masked(), Via: via})
		b = b[1+n+4:]
	}
	return routes, len(routes) > 0
}

// gateway says whether a can be the address of a router for the host that has addr. One outside of the subnet is
// reached on the link all the same: clouds that lease a /32 have no other, and other DHCP clients use it so. A
// link-local address is a way to the metadata, and to nobody else.
func gateway(a netip.Addr, addr netip.Prefix) bool {
	edge := addr.Bits() < 31 && (a == addr.Masked().Addr() || a == broadcast(addr))
	if unusable(a) != "" || a == addr.Addr() || edge {
		return false
	}
	return addr.Contains(a) || !addr.Addr().IsLinkLocalUnicast()
}
