package metadata

import (
	"io/fs"
	"net/netip"
)

// oci is Oracle Cloud Infrastructure. DHCP serves the primary VNIC alone; the disks of a machine are
// iSCSI volumes at 169.254.0.2 and in 169.254.2.0/24, which it reaches by that one too.
func oci() Provider {
	servers := []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:c1::a9fe:a9fe")}
	return Provider{
		Name:   CloudOCI,
		Detect: func(sys fs.FS) bool { return dmi(sys, "chassis_asset_tag") == "OracleCloud.com" },
		Trial:  true,
		Open: func(o Options) (Source, error) {
			s, err := NewOCI(OCIOptions{Towards: o.Towards, Host: func() (Host, error) { return o.Host() }})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Traits: Traits{
			Metadata: servers, Servers: append(servers[:2:2], netip.MustParseAddr("169.254.0.2")), PrimaryDHCP: true,
			Gateways: []GatewaySource{GatewayOfMetadata, GatewayOfLease, GatewayFirst}, FabricARP: true,
			ID:      `ocid1\.vnic\.[0-9a-z.-]{1,100}`,
			Drivers: []string{"virtio_net", "net_failover"},
		},
	}
}
