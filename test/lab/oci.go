package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"ec2net/metadata"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// What OCI has at link-local addresses besides the metadata, which are also its DNS and NTP server: the instance's
// disks, by iSCSI.
var (
	OCIBootVolume  = netip.MustParseAddr("169.254.0.2")
	OCIBlockVolume = netip.MustParseAddr("169.254.2.2") // one of 169.254.2.0/24
)

// ociLate is how long after a VNIC is attached to a running instance its entry in the metadata may be missing, as
// users saw.
const ociLate = 10 * time.Second

func ociHabits() habits {
	return habits{
		metadata: []netip.Addr{imds4, netip.MustParseAddr("fd00:c1::a9fe:a9fe")}, service: newOCIService,
		plan: planOCI, leased: func(k *iface) []StaticRoute { return ociRoutes(k.subnet.Gateway4()) },
		lease6:   func(k *iface) []netip.Addr { return k.Addrs6 },
		services: []netip.Addr{OCIBootVolume, OCIBlockVolume},
		gateway:  same(metadata.MAC{0x00, 0x00, 0x17, 0x40, 0x89, 0x72}),
		gateway6: same(netip.MustParseAddr("fe80::200:17ff:fe40:8972")),
		serves:   primaryInterface, closed: true,
		mtu: 9000, vendor: [3]byte{0x02, 0x00, 0x17}, id: "ocid1.vnic.oc1.phx.0ec2",
		late: ociLate, machine: ociMachine,
	}
}

// ociMachine is an instance with two VNICs in two subnets, each with a public address.
func ociMachine() Config {
	p := netip.MustParsePrefix
	vnic := func(name, addr string, public netip.Addr) Interface {
		a := netip.MustParseAddr(addr)
		return Interface{Name: name, Addrs4: []netip.Addr{a}, EIPs: map[netip.Addr]netip.Addr{a: public}}
	}
	return Config{
		VPC: []netip.Prefix{p("10.0.0.0/16"), p("2001:db8:c1::/56")},
		Subnets: []Subnet{
			{ID: "subnet-1", CIDR: p("10.0.0.0/24"), IPv6: p("2001:db8:c1::/64")},
			{ID: "subnet-2", CIDR: p("10.0.2.0/24"), IPv6: p("2001:db8:c1:2::/64")},
		},
		Interfaces: []Interface{vnic("eth0", "10.0.0.231", EIP1), vnic("eth1", "10.0.2.37", EIP2)},
	}
}

// planOCI is what OCI answers: a lease for a day to the primary VNIC, and nothing to any other.
func planOCI(k *iface, _ DHCPMessage) dhcpPlan {
	p := dhcpPlan{
		server: imds4, resolver: imds4, domain: "ec2net.oraclevcn.com",
		mtu: k.MTU, lease: 24 * time.Hour, options: map[uint8][]byte{},
	}
	if !k.primary || len(k.Addrs4) == 0 || !k.subnet.CIDR.IsValid() {
		p.silent = true
		return p
	}
	p.give = netip.PrefixFrom(k.Addrs4[0], k.subnet.CIDR.Bits())
	p.router = k.subnet.Gateway4()
	p.asked = map[uint8][]byte{dhcpv4.OptionClasslessStaticRoute.Code(): Classless(ociRoutes(p.router)...)}
	return p
}

// ociRoutes is what the primary's lease routes: link-local servers are on the link.
func ociRoutes(gateway netip.Addr) []StaticRoute {
	return []StaticRoute{
		{netip.MustParsePrefix("169.254.0.0/16"), netip.IPv4Unspecified()},
		{world4, gateway},
	}
}

// ociDocument is what is below /opc/v2/. The first VNIC is the primary.
func ociDocument(id Identity, ifaces []Interface, subnets func(string) (Subnet, bool)) object {
	vnics := []any{}
	for i, k := range ifaces {
		s, _ := subnets(k.Subnet)
		vnics = append(vnics, ociVNIC(i, k, s))
	}
	return object{
		"instance": object{
			"availabilityDomain": "EMIr:PHX-AD-1", "canonicalRegionName": "us-phoenix-1", "displayName": "ec2net-lab",
			"hostname": "ec2net-lab", "id": "ocid1.instance.oc1.phx." + id.ID, "region": "phx", "shape": "VM.Standard.E4.Flex",
			"state": "Running", "timeCreated": 1600381928581,
		},
		"vnics": vnics,
	}
}

// ociVNIC is one interface. Its secondary private IPv4 addresses are not told, its IPv6 addresses are. In a subnet
// without IPv4 the key of the subnet's block holds a text that is none, and the others are missing.
func ociVNIC(index int, k Interface, s Subnet) object {
	out := object{"vnicId": k.ID, "macAddr": ociMAC(k.MAC), "vlanTag": 1039 + index, "subnetCidrBlock": "<null>"}
	if s.CIDR.IsValid() && len(k.Addrs4) > 0 {
		out["privateIp"] = k.Addrs4[0].String()
		out["subnetCidrBlock"] = s.CIDR.Masked().String()
		out["virtualRouterIp"] = s.Gateway4().String()
	}
	if s.IPv6.IsValid() && len(k.Addrs6) > 0 {
		var addrs []any
		for _, a := range k.Addrs6 {
			addrs = append(addrs, a.String())
		}
		out["ipv6Addresses"] = addrs
		out["ipv6SubnetCidrBlock"] = s.IPv6.Masked().String()
		out["ipv6VirtualRouterIp"] = ociHabits().gateway6(s).String()
	}
	return out
}

// ociMAC is a MAC as OCI writes it.
func ociMAC(m metadata.MAC) string {
	return fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", m[0], m[1], m[2], m[3], m[4], m[5])
}

// ociForwarded are the headers of a proxy, which OCI's service refuses.
var ociForwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host"}

func forwarded(header func(string) []string) bool {
	return slices.ContainsFunc(ociForwarded, func(name string) bool { return len(header(name)) > 0 })
}
