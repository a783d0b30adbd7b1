package metadata

import (
	"io/fs"
	"net/netip"
	"regexp"
	"strings"
)

// ec2 is Amazon EC2. Its router has an address of its own on every subnet (docs.aws.amazon.com, VPC, "Configure route
// tables").
func ec2() Provider {
	servers := []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
	return Provider{
		Name: CloudEC2, Detect: isEC2,
		Open: func(o Options) (Source, error) {
			s, err := NewEC2(EC2Options{Towards: o.Towards})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Traits: Traits{
			Metadata: servers, EveryInterface: true, Servers: servers,
			SwitchOn: "aws ec2 modify-instance-metadata-options --http-endpoint enabled",
			Gateways: UsualGateways(), Gateway6: netip.MustParseAddr("fe80:ec2::1"), FabricARP: true,
			ID: `[a-z]+-[0-9a-z]{1,40}`, AltName: `[a-z]+-(?:[0-9a-f]{8}|[0-9a-f]{17})|eni(?:-.*)?`,
			Drivers: []string{"ena", "ixgbevf", "vif", "xen-netfront", "xen_netfront"},
		},
	}
}

// isEC2 knows Nitro instances by the vendor or the board's tag, and Xen ones by the BIOS or a UUID.
func isEC2(sys fs.FS) bool {
	switch {
	case dmi(sys, "sys_vendor") == "Amazon EC2", isInstance(dmi(sys, "board_asset_tag")):
		return true
	case strings.Contains(strings.ToLower(dmi(sys, "bios_version")), "amazon"):
		return true
	}
	return isXenEC2(line(sys, "hypervisor/uuid"), dmi(sys, "product_uuid"), dmi(sys, "sys_vendor"))
}

// isInstance knows the asset tag of a Nitro board, which is the instance's own name.
func isInstance(tag string) bool {
	ok, _ := regexp.MatchString(`^i-[0-9a-f]{8,17}$`, tag)
	return ok
}

// isXenEC2 goes by the UUID that Xen instances have. One machine in 4096 has such a UUID by chance, so
// the firmware's UUID counts only where the vendor is Xen or not named.
func isXenEC2(hypervisor, product, vendor string) bool {
	return isEC2UUID(hypervisor) || (isEC2UUID(product) && (vendor == "Xen" || vendor == ""))
}

// isEC2UUID looks for "ec2" at the front, in either order of the first group's four bytes: SMBIOS 2.6
// changed it, and 45e12aec-… is ec2ae145-….
func isEC2UUID(uuid string) bool {
	u := strings.ToLower(uuid)
	if len(u) != 36 {
		return false
	}
	return strings.HasPrefix(u, "ec2") || strings.HasPrefix(u[6:8]+u[4:6], "ec2")
}
