package agent

import (
	"net/netip"
	"testing"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// stored is a store in a folder of its own.
func stored(t *testing.T) state.Store {
	t.Helper()
	s, err := state.Open(t.TempDir())
	must(t, err)
	return s
}

// aRecord is what an interface leaves on disk.
func aRecord() state.Record {
	mac, prefix := metadata.MAC{2, 0, 0, 0, 0, 0x11}, netip.MustParsePrefix
	return state.Record{
		Name: "eth1", Index: 3, MAC: mac, Numbers: []int{1}, Peers: []metadata.MAC{mac}, Baseline: &plumb.Baseline{AltNames: []string{"enp0s6"}},
		Interface: metadata.Interface{MAC: mac, ID: "eni-0a1", DeviceNumber: 1, Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37")}),
			Subnets4: metadata.Is([]netip.Prefix{prefix("10.0.2.0/24")}), Prefixes6: metadata.Is([]netip.Prefix{prefix("2001:db8::/80")})},
		Lease: &dhcp.Lease{Addr: prefix("10.0.2.37/24"), Router: addr("10.0.2.1"), MTU: 1500, Start: time.Unix(1, 0), Expires: time.Hour},
	}
}
