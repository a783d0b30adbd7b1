//go:build vm

package vm

import (
	"strings"
	"testing"

	"ec2net/test/lab/labtest"
)

// rules tries udev's rule on what a container can not make: a real bus below the interface, bonds, VLANs.
func rules(t *testing.T, suite, snapshot string) {
	m := power(t, suite, snapshot, nic(0))
	m.plug(nic(1), 1)
	m.state(active+"ens6", "active")
	if score := m.run("systemd-analyze security --no-pager ec2net-ifup@ens6.service | tail -1"); !strings.Contains(score, "OK") {
		t.Errorf("sandbox: %s", score)
	}
	replies(t, m)
	filter(m)
	for _, c := range []struct{ make, iface string }{
		{"ip link add dummy7 type dummy", "dummy7"},
		{"ip link add link ens6 name ens6.7 type vlan id 7", "ens6.7"},
		{"ip link add br7 type bridge", "br7"},
		{"ip link add bond7 type bond mode active-backup", "bond7"},
		{"systemctl stop ec2net-ifup@ens6; ip link set ens6 down; ip link set ens6 master bond7", "ens6"}, // enslaved
	} {
		m.run(c.make + "; udevadm settle; udevadm trigger --settle --action=add --subsystem-match=net")
		if got := m.run("udevadm info -q property /sys/class/net/" + c.iface); strings.Contains(got, "SYSTEMD_WANTS") {
			t.Errorf("after %q a unit is wanted:\n%s", c.make, got)
		}
	}
	azure(t, m)
}

// filter shows that the unit's filter of addresses is in force: with nothing allowed, the metadata is out of reach.
func filter(m *machine) {
	m.run("mkdir /run/systemd/system/ec2net-ifup@ens6.service.d; printf '[Service]\\nIPAddressAllow=\\n' >/run/systemd/system/ec2net-ifup@ens6.service.d/t.conf")
	m.run("systemctl daemon-reload; systemctl restart --no-block ec2net-ifup@ens6")
	m.state("systemctl show --value -p StatusText ec2net-ifup@ens6 | grep -o 'waiting for the metadata' | head -1", "waiting for the metadata")
	m.answers(labtest.EIP(nic(1)), hang) // all the same
	m.run("rm -r /run/systemd/system/ec2net-ifup@ens6.service.d; systemctl daemon-reload; systemctl restart --no-block ec2net-ifup@ens6")
	m.state(active+"ens6", "active")
}

// azure tries what the rule does to Azure's virtual functions on an interface that is like one but for the names of
// the drivers: enslaved, and below a bus driver, which here is virtio-pci's and not hv_pci's.
func azure(t *testing.T, m *machine) {
	m.run("sed 's/hv_pci/virtio-pci/' /usr/lib/udev/rules.d/99-ec2net.rules >/etc/udev/rules.d/99-ec2net.rules && udevadm control --reload")
	marks := "udevadm info -q property /sys/class/net/ens6 | grep -E 'NM_UNMANAGED|ID_NET_MANAGED_BY|EC2NET_MANAGE' | sort | tr '\\n' ' '"
	for _, action := range []string{"add", "move", "change"} {
		m.run("udevadm trigger --settle --subsystem-match=net --action=" + action)
		if got := m.run(marks); got != "EC2NET_MANAGE=0 ID_NET_MANAGED_BY=unmanaged NM_UNMANAGED=1" {
			t.Errorf("%s: an enslaved virtual function is marked %q", action, got)
		}
	}
	m.run("ip link set ens6 nomaster; udevadm trigger --settle --subsystem-match=net --action=change")
	if got := m.run(marks + "; true"); got != "" {
		t.Errorf("an interface of its own is marked %q", got)
	}
}

// coldplug boots with interfaces in place, then boots the same machine again.
func coldplug(t *testing.T) {
	m := power(t, suites[0], "", nic(0), nic(1), nic(2))
	for _, boot := range []string{"first", "second"} {
		t.Logf("%s boot %s", boot, m.booted())
		for n := range byte(3) {
			m.answers(labtest.EIP(nic(n)), hang)
		}
		m.state(active+"ens6 ec2net-ifup@ens7", "active\nactive")
		m.state("systemctl is-system-running", "running")
		if boot == "first" {
			m.do("system_reset", nil)
		}
	}
}
