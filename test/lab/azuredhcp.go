package lab

import (
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// optionWireServer is Azure's own DHCP option: the address of the host's server.
const optionWireServer = 245

// azureDomain is the domain of a virtual network without name server of its own.
const azureDomain = "ec2net-lab.internal.cloudapp.net"

// planAzure is what Azure's host answers: a lease for ever, a router and routes to the primary interface only, no
// MTU, and nothing at all to a client that asks for it.
func planAzure(k *iface, m DHCPMessage) dhcpPlan {
	p := dhcpPlan{
		server: WireServer, resolver: WireServer, domain: azureDomain,
		lease: InfiniteLease, t1: InfiniteLease, t2: InfiniteLease, options: map[uint8][]byte{},
	}
	mtuAsked := slices.Contains(m.Params, dhcpv4.OptionInterfaceMTU.Code())
	if len(k.Addrs4) == 0 || !k.subnet.CIDR.IsValid() || mtuAsked {
		p.silent = true
		return p
	}
	p.give = netip.PrefixFrom(k.Addrs4[0], k.subnet.CIDR.Bits())
	if k.primary {
		p.router = k.subnet.Gateway4()
		p.asked = map[uint8][]byte{dhcpv4.OptionClasslessStaticRoute.Code(): Classless(azureRoutes(p.router)...)}
		p.options[optionWireServer] = WireServer.AsSlice()
	}
	return p
}

// azureRoutes is what Azure's lease routes by the gateway.
func azureRoutes(gateway netip.Addr) []StaticRoute {
	out := []StaticRoute{{world4, gateway}}
	for _, a := range []netip.Addr{WireServer, imds4} {
		out = append(out, StaticRoute{netip.PrefixFrom(a, a.BitLen()), gateway})
	}
	return out
}

// StaticRoute is a route that a lease brings.
type StaticRoute struct {
	Dst netip.Prefix
	Via netip.Addr // 0.0.0.0: on the link
}

// Classless is DHCP's option 121 with these routes (RFC 3442): length, the octets that count, router.
func Classless(routes ...StaticRoute) (b []byte) {
	for _, r := range routes {
		b = append(b, byte(r.Dst.Bits()))
		b = append(b, r.Dst.Addr().AsSlice()[:(r.Dst.Bits()+7)/8]...)
		b = append(b, r.Via.AsSlice()...)
	}
	return b
}
