package metadata

import (
	"io/fs"
	"net/netip"
)

// aliyun is Alibaba Cloud ECS. It has no reader yet. Its metadata is at routed addresses, not link-local ones, and the
// gateway has the third address from the end of the subnet.
func aliyun() Provider {
	servers := []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:100::100:200")}
	return Provider{
		Name:   CloudAliyun,
		Detect: func(sys fs.FS) bool { return dmi(sys, "product_name") == "Alibaba Cloud ECS" },
		Traits: Traits{
			Metadata: servers, Servers: servers,
			Gateways: []GatewaySource{GatewayOfMetadata, GatewayOfLease}, FabricARP: true,
			ID:      `eni-[0-9a-z]{1,40}`,
			Drivers: []string{"virtio_net"},
		},
	}
}
