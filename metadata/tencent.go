package metadata

import "net/netip"

// tencent is Tencent Cloud CVM. It has no reader yet. What its firmware says is not published.
func tencent() Provider {
	servers := []netip.Addr{netip.MustParseAddr("169.254.0.23")}
	return Provider{
		Name: CloudTencent,
		Traits: Traits{
			Metadata: servers, Servers: servers,
			Gateways: []GatewaySource{GatewayOfMetadata, GatewayOfLease}, FabricARP: true,
			Drivers: []string{"virtio_net"},
		},
	}
}
