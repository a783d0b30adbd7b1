package agent

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"ec2net/config"
	"ec2net/plumb"
)

// What the kernel and sysfs say of a device by its name or index.

// InterfaceNames are the names of the host's devices without the loopback device; "none" if there are none.
func InterfaceNames() []string {
	list, _ := net.Interfaces()
	out := []string{}
	for _, i := range list {
		if i.Flags&net.FlagLoopback == 0 {
			out = append(out, i.Name)
		}
	}
	if len(out) == 0 {
		return []string{"none"}
	}
	return out
}

// nameOf is the name of the device with an index, or "device N" if there is none any more.
func nameOf(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return fmt.Sprintf("device %d", index)
}

// Driver is the name of the kernel module behind an interface, as `ethtool -i` shows it; "" for a virtual device.
func Driver(name string) string {
	link, err := os.Readlink(filepath.Join("/sys/class/net", name, "device/driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// MatchKeys are what sections of the configuration can match an interface by before the metadata tells more: its
// name, MAC and driver.
func MatchKeys(s plumb.Snapshot) config.Facts { return config.Local(s.Name, s.MAC, Driver(s.Name)) }
