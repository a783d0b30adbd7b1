//go:build vm

package vm

import (
	"fmt"
	"net/netip"
	"time"

	"ec2net/metadata"
	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// nic is the nth interface, in PCI slot 5+n: ens5, ens6 and so on.
func nic(n byte) lab.Interface {
	if n == 0 {
		c := lab.Eth0()
		c.MAC = mac(0)
		return c
	}
	return labtest.Nth(n, mac(n), netip.AddrFrom4([4]byte{10, 0, 2, 36 + n}))
}

func mac(n byte) metadata.MAC { return metadata.MAC{0x02, 0xec, 0x20, 0, 5, n} }

// ip changes the network outside of the VM: the lab's instance, in which qemu runs.
func (m *machine) ip(args string) {
	m.t.Helper()
	labtest.IP(m.t, m.cloud, args)
}

// tap joins an interface's cable with the VM's slot. The VM has the interface's MAC, so that the cable's end here,
// which had it, gets another.
func (m *machine) tap(c lab.Interface, n int) {
	m.t.Helper()
	m.ip("link set " + c.Name + " down")
	m.ip(fmt.Sprintf("link set %s address 02:ff:00:00:00:%02x", c.Name, n))
	m.ip(fmt.Sprintf("link add br%d type bridge", n))
	m.ip(fmt.Sprintf("tuntap add dev tap%d mode tap", n))
	for _, dev := range []string{c.Name, fmt.Sprintf("tap%d", n)} {
		m.ip(fmt.Sprintf("link set %s master br%d", dev, n))
		m.ip("link set " + dev + " up")
	}
	m.ip(fmt.Sprintf("link set br%d up", n))
}

// plug attaches an interface in the slot of its number and returns the time until its elastic IP answered.
func (m *machine) plug(c lab.Interface, n int) time.Duration {
	m.t.Helper()
	if err := m.cloud.Attach(c); err != nil {
		m.t.Fatal(err)
	}
	m.tap(c, n)
	began := time.Now()
	m.do("netdev_add", map[string]any{"type": "tap", "id": fmt.Sprintf("n%d", n), "ifname": fmt.Sprintf("tap%d", n), "script": "no", "downscript": "no"})
	m.do("device_add", map[string]any{"driver": "virtio-net-pci", "netdev": fmt.Sprintf("n%d", n), "id": fmt.Sprintf("nic%d", n),
		"mac": c.MAC.String(), "romfile": "", "addr": fmt.Sprintf("0x%x", 5+n)})
	m.answers(labtest.EIP(c), hang)
	return time.Since(began)
}

// unplug takes an interface out of its slot.
func (m *machine) unplug(c lab.Interface, n int) {
	m.t.Helper()
	m.do("device_del", map[string]any{"id": fmt.Sprintf("nic%d", n)})
	if err := m.qmp.event("DEVICE_DELETED", hang); err != nil {
		m.t.Fatal(err)
	}
	m.do("netdev_del", map[string]any{"id": fmt.Sprintf("n%d", n)})
	m.ip(fmt.Sprintf("link del tap%d", n))
	m.ip(fmt.Sprintf("link del br%d", n))
	if err := m.cloud.Detach(c.Name); err != nil {
		m.t.Fatal(err)
	}
}
