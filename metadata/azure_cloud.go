package metadata

import (
	"io/fs"
	"net/netip"
)

// azureTag is the chassis asset tag of every Azure machine, Generation 1 and 2 alike.
const azureTag = "7783-7084-3265-9085-8269-3286-77"

// driverMANA is that of Microsoft's own adapter, which may also stand alone, and is the interface then
// (learn.microsoft.com, "Linux VMs with the Microsoft Azure Network Adapter").
const driverMANA = "mana"

// azure is Microsoft Azure. Its platform is the wire server, which also sends the probes of load balancers, and the
// metadata; both are reached by the primary interface alone (learn.microsoft.com, "What is IP address
// 168.63.129.16?"). The IPv6 router is the one that its router advertisements name on every machine, and that its own
// container network is configured with. Its DHCP server makes no offer to who asks for the MTU (option 26), and tells
// the primary interface of the wire server (option 245).
func azure() Provider {
	wire, imds := netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("169.254.169.254")
	return Provider{
		Name:   CloudAzure,
		Detect: func(sys fs.FS) bool { return dmi(sys, "chassis_asset_tag") == azureTag },
		Open: func(o Options) (Source, error) {
			s, err := NewAzure(AzureOptions{Towards: o.Towards, Host: func() (Host, error) { return o.Host(wire, imds) }})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Traits: Traits{
			Metadata: []netip.Addr{imds}, Servers: []netip.Addr{wire, imds},
			Ask:      []uint8{1, 3, 245, 51, 54, 58, 59, 121},
			Gateways: UsualGateways(), Gateway6: netip.MustParseAddr("fe80::1234:5678:9abc"), FabricARP: true,
			Drivers: []string{"hv_netvsc", driverMANA},
			Twins: Twins{
				Interface: []string{"hv_netvsc"},
				Function:  []string{"mlx4_core", "mlx5_core"},
				Either:    []string{driverMANA},
			},
		},
	}
}
