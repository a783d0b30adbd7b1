package metadata

import (
	"io/fs"
	"net/netip"
	"strings"
)

// gce is Google Compute Engine. Its ARP answers for gateways alone, and every lease is a /32
// (cloud.google.com, "Create VMs with multiple network interfaces"). The metadata's IPv6 address is that of machines
// without IPv4.
func gce() Provider {
	servers := []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd20:ce::254")}
	return Provider{
		Name: CloudGCE, Detect: isGCE,
		Open: func(o Options) (Source, error) {
			s, err := NewGCE(GCEOptions{Towards: o.Towards, Host: func() (Host, error) { return o.Host() }})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Traits: Traits{
			Metadata: servers, Servers: servers,
			Gateways: []GatewaySource{GatewayOfMetadata, GatewayOfLease}, OffLink: true, FabricARP: true,
			Drivers: []string{"virtio_net", "gve", "idpf"},
		},
	}
}

// isGCE goes by the product, and by the serial number, which only root may read.
func isGCE(sys fs.FS) bool {
	product := dmi(sys, "product_name")
	return product == "Google" || strings.Contains(product, "Google Compute Engine") ||
		strings.HasPrefix(dmi(sys, "product_serial"), "GoogleCloud-")
}
