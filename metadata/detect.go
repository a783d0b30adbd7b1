package metadata

import (
	"io/fs"
	"regexp"
	"strings"
)

// Cloud names whose metadata this machine has.
type Cloud string

// The clouds that Detect knows.
const (
	CloudNone  Cloud = "none" // none of the others
	CloudEC2   Cloud = "ec2"
	CloudAzure Cloud = "azure"
)

// azureTag is the chassis asset tag of every Azure machine, Generation 1 and 2 alike.
const azureTag = "7783-7084-3265-9085-8269-3286-77"

// Detect tells the cloud by what the firmware says of the machine, and never sends a packet. sys is
// the root of sysfs, os.DirFS("/sys"). What is missing or can not be read (product_uuid is root's
// alone) counts as empty.
func Detect(sys fs.FS) Cloud {
	dmi := func(name string) string { return line(sys, "class/dmi/id/"+name) }
	switch {
	case dmi("chassis_asset_tag") == azureTag:
		return CloudAzure
	case dmi("sys_vendor") == "Amazon EC2", isInstance(dmi("board_asset_tag")):
		return CloudEC2
	case strings.Contains(strings.ToLower(dmi("bios_version")), "amazon"):
		return CloudEC2
	case isXenEC2(line(sys, "hypervisor/uuid"), dmi("product_uuid"), dmi("sys_vendor")):
		return CloudEC2
	}
	return CloudNone
}

// line is a file's content without the space around it.
func line(sys fs.FS, name string) string {
	b, err := fs.ReadFile(sys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
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
