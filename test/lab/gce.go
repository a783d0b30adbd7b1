package lab

import (
	"net/netip"
	"strings"
	"time"

	"ec2net/metadata"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func gceHabits() habits {
	return habits{
		metadata: []netip.Addr{imds4, netip.MustParseAddr("fd20:ce::254")}, service: newGCEService,
		plan: planGCE, leased: func(k *iface) []StaticRoute { return gceRoutes(k) }, lease6: primary6,
		gateway: func(s Subnet) metadata.MAC { return gceMAC(s.Gateway4()) },
		gateway6: func(s Subnet) netip.Addr {
			if !s.CIDR.IsValid() {
				return netip.MustParseAddr("fe80::4001:aff:fe00:1")
			}
			return linkLocal(gceMAC(s.Gateway4()))
		},
		lonely: true, block6: 96,
		serves: primaryInterface, closed: true, apart: true,
		mtu: 1460, vendor: [3]byte{0x42, 0x01, 0x0a}, id: "nic-gce",
		mac:     func(k *iface) metadata.MAC { return gceMAC(k.Addrs4[0]) },
		machine: gceMachine,
	}
}

// gceMachine is an instance in two networks, with an external address in each.
func gceMachine() Config {
	p := netip.MustParsePrefix
	nic := func(name, addr string, public netip.Addr) Interface {
		a := netip.MustParseAddr(addr)
		return Interface{Name: name, Addrs4: []netip.Addr{a}, EIPs: map[netip.Addr]netip.Addr{a: public}}
	}
	return Config{
		VPC: []netip.Prefix{p("10.10.0.0/16"), p("10.20.0.0/16"), p("2001:db8:9ce::/56")},
		Subnets: []Subnet{
			{ID: "net-a", CIDR: p("10.10.0.0/20"), IPv6: p("2001:db8:9ce::/64"), Secondary: []netip.Prefix{p("10.10.64.0/18")}},
			{ID: "net-b", CIDR: p("10.20.0.0/20"), IPv6: p("2001:db8:9ce:2::/64"), Secondary: []netip.Prefix{p("10.20.64.0/18")}},
		},
		Interfaces: []Interface{nic("eth0", "10.10.0.29", EIP1), nic("eth1", "10.20.0.37", EIP2)},
	}
}

// gceMAC is the MAC that goes with an IPv4 address. Google promises it to nobody.
func gceMAC(a netip.Addr) metadata.MAC {
	b := a.As4()
	return metadata.MAC{0x42, 0x01, b[0], b[1], b[2], b[3]}
}

// planGCE is what Google's cloud answers: the address alone, as /32, and in routes (option 121) that the router is on
// the link and the subnet behind it. Only the primary interface's router is one for everything else.
func planGCE(k *iface, _ DHCPMessage) dhcpPlan {
	p := dhcpPlan{
		server: imds4, resolver: imds4, domain: "europe-north1-a.c.ec2net-lab.internal",
		mtu: k.MTU, lease: 24 * time.Hour, options: map[uint8][]byte{},
	}
	if len(k.Addrs4) == 0 || !k.subnet.CIDR.IsValid() {
		p.silent = true
		return p
	}
	p.give = netip.PrefixFrom(k.Addrs4[0], 32)
	if k.primary {
		p.router = k.subnet.Gateway4()
	}
	p.asked = map[uint8][]byte{dhcpv4.OptionClasslessStaticRoute.Code(): Classless(gceRoutes(k)...)}
	return p
}

func gceRoutes(k *iface) []StaticRoute {
	gateway := k.subnet.Gateway4()
	out := []StaticRoute{{netip.PrefixFrom(gateway, 32), netip.IPv4Unspecified()}, {k.subnet.CIDR.Masked(), gateway}}
	if k.primary {
		out = append(out, StaticRoute{world4, gateway})
	}
	return out
}

// gceDocument is what is below /computeMetadata/v1/, with the keys of its paths. In JSON they are spelled otherwise.
func gceDocument(id Identity, ifaces []Interface, subnets func(string) (Subnet, bool)) object {
	nics := []any{}
	for _, k := range ifaces {
		s, _ := subnets(k.Subnet)
		nics = append(nics, gceInterface(k, s))
	}
	const project = "projects/123456789012"
	return object{
		"instance": object{
			"attributes": object{}, "hostname": "ec2net-lab.europe-north1-a.c.ec2net-lab.internal", "id": 1234567890123456789,
			"machine-type": project + "/machineTypes/n2-standard-4", "name": "ec2net-lab", "network-interfaces": nics,
			"tags": []any{}, "zone": project + "/zones/europe-north1-a",
		},
		"project": object{"numeric-project-id": 123456789012, "project-id": "ec2net-lab"},
	}
}

// gceInterface is one interface, which has neither a number nor a name but its place in the list.
func gceInterface(k Interface, s Subnet) object {
	aliases, access := []any{}, []any{}
	for i, a := range k.Addrs4 {
		if public, ok := k.EIPs[a]; ok {
			access = append(access, object{"external-ip": public.String(), "type": "ONE_TO_ONE_NAT"})
		}
		if i > 0 {
			aliases = append(aliases, netip.PrefixFrom(a, 32).String())
		}
	}
	for _, p := range k.Prefixes4 {
		aliases = append(aliases, p.String())
	}
	out := object{
		"access-configs": access, "dns-servers": []any{imds4.String()}, "ip-aliases": aliases, "mac": k.MAC.String(), "mtu": k.MTU,
		"network": "projects/123456789012/networks/" + k.Subnet,
	}
	if len(k.Addrs4) > 0 && s.CIDR.IsValid() {
		out["ip"], out["gateway"] = k.Addrs4[0].String(), s.Gateway4().String()
		out["subnetmask"] = mask(s.CIDR.Bits())
	}
	gceForwarded(out, k)
	if len(k.Addrs6) > 0 {
		a := k.Addrs6[0]
		out["ipv6"], out["ipv6s"] = []any{gceHabits().block(a).String()}, []any{a.String()}
		out["gateway-ipv6"] = gceHabits().gateway6(s).String()
		out["dhcpv6-refresh"] = "2219563210"
	}
	return out
}

// gceForwarded adds what arrives at the interface as it is: IPv4 without a length, IPv6 with one.
func gceForwarded(out object, k Interface) {
	targets := []any{}
	v4, v6 := []any{}, []any{}
	for _, p := range k.Forwarded {
		if p.Addr().Is4() {
			v4 = append(v4, strings.TrimSuffix(p.String(), "/32"))
		} else {
			v6 = append(v6, p.String())
		}
	}
	for _, a := range k.Targets {
		targets = append(targets, a.String())
	}
	out["forwarded-ips"], out["forwarded-ipv6s"] = v4, v6
	out["target-instance-ips"] = targets
}

// mask is a prefix length as a mask.
func mask(bits int) string {
	all := uint32(0xffffffff)
	b := all << (32 - bits)
	return netip.AddrFrom4([4]byte{byte(b >> 24), byte(b >> 16), byte(b >> 8), byte(b)}).String()
}
