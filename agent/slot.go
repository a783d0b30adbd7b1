package agent

import (
	"cmp"
	"path/filepath"
	"strconv"
	"strings"
)

// Where an interface is plugged in. EC2 plugs an instance's first interface into the first slot of its bus (of Nitro's
// PCI bus 0000:00:05.0, and Xen's vif-0); Azure's VMBus has no order.

// slot is a place on a bus. The zero value: not known, as of a veth device.
type slot struct {
	bus    string // "pci", "xen"
	number uint64 // places compare by it: of PCI domain, bus, device and function
}

func (s slot) compare(o slot) int { return cmp.Compare(s.number, o.number) }

// devicePath is the folder of an interface's device in sysfs, without symbolic links; "" for a virtual device.
func devicePath(name string) string {
	path, err := filepath.EvalSymlinks(filepath.Join("/sys/class/net", name, "device"))
	if err != nil {
		return ""
	}
	return path
}

// slotOf finds the slot in the path of a device: the last address of a bus in it, since a virtio device is below its
// PCI device, and that below its bridge.
func slotOf(path string) (s slot) {
	for part := range strings.SplitSeq(path, "/") {
		if n, ok := pciAddress(part); ok {
			s = slot{"pci", n}
		}
		if text, ok := strings.CutPrefix(part, "vif-"); ok {
			if n, err := strconv.ParseUint(text, 10, 32); err == nil {
				s = slot{"xen", n}
			}
		}
	}
	return s
}

// pciAddress reads domain:bus:device.function, in hexadecimal (PCI_DEVFN of linux/pci.h).
func pciAddress(s string) (n uint64, ok bool) {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '.' })
	if len(parts) != 4 || strings.Count(s, ":") != 2 {
		return 0, false
	}
	for i, bits := range []int{32, 8, 5, 3} {
		part, err := strconv.ParseUint(parts[i], 16, bits)
		if err != nil {
			return 0, false
		}
		n = n<<bits | part
	}
	return n, true
}
