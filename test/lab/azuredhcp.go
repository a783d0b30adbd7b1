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
		p.asked = map[uint8][]byte{dhcpv4.OptionClasslessStaticRoute.Code(): classless(p.router)}
		p.options[optionWireServer] = WireServer.AsSlice()
	}
	return p
}

// azureRoutes is what Azure's lease routes by the gateway.
func azureRoutes() []netip.Prefix {
	out := []netip.Prefix{world4}
	for _, a := range Azure.habits().own() {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}

// classless is option 121 with these routes (RFC 3442): length, the octets that count, router.
func classless(router netip.Addr) (b []byte) {
	for _, p := range azureRoutes() {
		b = append(b, byte(p.Bits()))
		b = append(b, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
		b = append(b, router.AsSlice()...)
	}
	return b
}
