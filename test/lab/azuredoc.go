package lab

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ec2net/metadata"
)

// azureDocument is what /metadata/instance shows of a machine. The first interface is the primary. All values are
// texts, numbers too.
func azureDocument(id Identity, ifaces []Interface, subnets func(string) (Subnet, bool)) object {
	interfaces := []any{}
	for _, k := range ifaces {
		s, _ := subnets(k.Subnet)
		interfaces = append(interfaces, azureInterface(k, s))
	}
	tags := []string{}
	for _, name := range slices.Sorted(maps.Keys(id.Tags)) {
		tags = append(tags, name+":"+id.Tags[name])
	}
	return object{
		"compute": object{
			"azEnvironment": "AzurePublicCloud", "location": "northeurope", "name": "ec2net-lab", "osType": "Linux",
			"provider": "Microsoft.Compute", "resourceGroupName": "ec2net", "subscriptionId": "00000000-0ec2-0000-0000-000000000001",
			"tags": strings.Join(tags, ";"), "userData": id.UserData, "vmId": "00000000-0ec2-0000-0000-000000000002",
			"vmSize": "Standard_D8s_v5", "zone": "1",
		},
		"network": object{"interface": interfaces},
	}
}

// azureInterface is one interface: its MAC without separators, and no name, number or gateway. An interface without
// IPv6 has an empty list; what IPv6 subnet the addresses are in is not said.
func azureInterface(k Interface, s Subnet) object {
	v4, v6 := []any{}, []any{}
	subnets := []any{}
	for _, a := range k.Addrs4 {
		public := ""
		if p, ok := k.EIPs[a]; ok {
			public = p.String()
		}
		v4 = append(v4, object{"privateIpAddress": a.String(), "publicIpAddress": public})
	}
	for _, a := range k.Addrs6 {
		v6 = append(v6, object{"privateIpAddress": a.String()})
	}
	for _, p := range k.Prefixes4 { // a block is spelled in one of two ways
		v4 = append(v4, object{"privateIpAddress": p.String(), "publicIpAddress": ""})
	}
	for _, p := range k.Prefixes6 {
		v6 = append(v6, object{"privateIpAddress": p.Addr().String(), "privateIpAddressPrefixLength": strconv.Itoa(p.Bits())})
	}
	if s.CIDR.IsValid() {
		subnets = append(subnets, azureSubnet(s.CIDR))
	}
	return object{
		"ipv4": object{"ipAddress": v4, "subnet": subnets}, "ipv6": object{"ipAddress": v6},
		"macAddress": azureMAC(k.MAC),
	}
}

// azureMAC is a MAC as Azure writes it.
func azureMAC(m metadata.MAC) string { return fmt.Sprintf("%X", m[:]) }

func azureSubnet(p netip.Prefix) object {
	return object{"address": p.Masked().Addr().String(), "prefix": strconv.Itoa(p.Bits())}
}
