//go:build system

package system

import (
	"strings"
	"testing"
)

// One interface with one address: ec2net looks, and writes nothing.
func TestBootOneInterface(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite})
		t.Logf("boot %s", m.boot)
		m.active("eth0")
		m.healthy()
		if got := m.ours(); got != "" {
			t.Errorf("written although there is nothing to do:\n%s", got)
		}
	})
}

// Two machines that run at the same time have nothing in common: each has a cgroup of its own for a unit of the
// same name.
func TestMachinesAreApart(t *testing.T) {
	const unit = "ec2net-ifup@eth0.service"
	inode := func(m *machine) string {
		m.active("eth0")
		return strings.TrimSpace(m.run("sh", "-c", "stat -c %i /sys/fs/cgroup$(systemctl show --value --property=ControlGroup "+unit+")"))
	}
	if a, b := inode(start(t, options{})), inode(start(t, options{})); a == b {
		t.Errorf("both machines run %s in one cgroup, inode %s", unit, a)
	}
}

// active waits until an interface's unit has set it up.
func (m *machine) active(iface string) {
	m.t.Helper()
	m.until(hang, said("ec2net-ifup@"+iface+" is active"), func() bool {
		return strings.TrimSpace(m.try("systemctl", "is-active", "ec2net-ifup@"+iface+".service")) == "active"
	})
}

// ours is what the kernel holds with our mark, or in our group.
func (m *machine) ours() string {
	return m.run("sh", "-c", `ip rule show | grep -E '^[12]0[0-9]{3}:'; ip -6 rule show | grep -E '^[12]0[0-9]{3}:'
		ip route show table all proto 236; ip -6 route show table all proto 236; ip -br link show group 236
		ip link | grep altname; true`)
}
