//go:build vm

package vm

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// azureNIC is the nth interface of a machine like seed 001's, in PCI slot 5+n.
func azureNIC(n byte) lab.Interface {
	a := netip.MustParseAddr([]string{"172.22.5.68", "172.22.5.4", "172.22.5.132"}[n])
	return labtest.Nth(n, mac(n), a)
}

// azured boots a machine of which the chassis asset tag alone says that it is Azure's. The primary interface is
// networkd's, and known by the routes that its lease brought. Then comes a second device with an interface's MAC,
// as a virtual function does: udev starts a unit for it, which leaves it as it is.
func azured(t *testing.T) {
	m := powerIn(t, suites[len(suites)-1], "", firmwareAzure, lab.Config{Cloud: lab.Azure, Interfaces: []lab.Interface{azureNIC(0), azureNIC(1), azureNIC(2)}})
	t.Logf("boot %s, kernel %s", m.booted(), m.run("uname -r"))
	for n := range byte(3) {
		m.answers(labtest.EIP(azureNIC(n)), hang)
	}
	m.state(active+"ens5 ec2net-ifup@ens6 ec2net-ifup@ens7", "active\nactive\nactive")
	for dst, iface := range map[string]string{"168.63.129.16": "ens5", "168.63.129.16 from 172.22.5.4": "ens6", "168.63.129.16 from 172.22.5.68": "ens5"} {
		if got := m.run("ip -c=never route get " + dst); !strings.Contains(got, "dev "+iface) {
			t.Errorf("to %s: %s", dst, got)
		}
	}
	if got := m.run("ec2net status"); !strings.Contains(got, "ens5: primary interface") || !strings.Contains(got, "lease with no expiry") {
		t.Errorf("status:\n%s", got)
	}
	if got := m.run("ip -c=never route show 168.63.129.16"); !strings.Contains(got, "proto dhcp") {
		t.Errorf("not from networkd's lease: %s", got)
	}

	// Without the kernel's own link-local addresses, which are there a moment after the interfaces.
	const objects = "(ip -c=never rule; ip -c=never route show table all; ip -c=never -o addr show dev ens6) | grep -v 'fe80::\\|ff00::'"
	before := m.run(objects)
	for i := range 2 {
		m.ip("tuntap add dev tap3 mode tap")
		m.do("netdev_add", map[string]any{"type": "tap", "id": "n3", "ifname": "tap3", "script": "no", "downscript": "no"})
		m.do("device_add", map[string]any{"driver": "virtio-net-pci", "netdev": "n3", "id": "nic3", "mac": mac(1).String(), "romfile": "", "addr": "0x8"})
		m.until(hang, "the unit of the function has ended", func() bool {
			out, _ := m.try("journalctl -b -o cat --no-pager -u ec2net-ifup@ens8")
			return strings.Count(out, "is the virtual function of ens6") > i
		})
		if got := m.run("ip -c=never -d link show dev ens8; ip -c=never addr show dev ens8"); strings.Contains(got, ",UP") || strings.Contains(got, "inet") || !strings.Contains(got, "group default") {
			t.Errorf("the function is configured:\n%s", got)
		}
		m.answers(labtest.EIP(azureNIC(1)), hang)
		m.do("device_del", map[string]any{"id": "nic3"})
		if err := m.qmp.event("DEVICE_DELETED", hang); err != nil {
			t.Fatal(err)
		}
		m.do("netdev_del", map[string]any{"id": "n3"})
		m.ip("link del tap3")
	}
	if got := m.run(objects); got != before {
		t.Errorf("it was\n%s\nand is\n%s", before, got)
	}
	m.state("systemctl is-system-running", "running")
}
