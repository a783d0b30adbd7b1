//go:build vm

package vm

import (
	"path/filepath"
	"testing"

	"ec2net/test/lab"
)

const active = "systemctl is-active ec2net-ifup@"

// left is what an interface that was unplugged must not leave.
const left = `ip rule | grep -E '^[12]0[0-9]{3}:'; systemctl list-units --all --plain --no-legend 'ec2net-ifup@ens[67]*'; ls /run/ec2net | grep ens[67]; true`

// For each release's kernel: boot with two interfaces in place, take one out and put another in its slot; boot again;
// and from a snapshot of the VM with one interface, plug.
func TestVM(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			snapshot := filepath.Join(scratch(), suite+".snapshot")
			t.Run("boot", func(t *testing.T) {
				m := power(t, suite, "", nic(0))
				took, release := m.booted(), m.run("uname -r")
				t.Logf("boot %s, kernel %s", took, release)
				t.Attr("kernel", release)
				m.answers(lab.EIP1, hang)
				m.state("systemctl is-system-running", "running")
				m.state(active+"ens5", "active")
				if got := m.run(left); got != "" {
					t.Errorf("written although there is nothing to do:\n%s", got)
				}
				m.save(snapshot)
			})
			t.Run("plug", func(t *testing.T) { plugged(t, suite, snapshot) })
			t.Run("rules", func(t *testing.T) { rules(t, suite, snapshot) })
		})
	}
	t.Run("coldplug and reboot", coldplug)
	t.Run("azure", azured)
}

func plugged(t *testing.T, suite, snapshot string) {
	m := power(t, suite, snapshot, nic(0))
	first, second := nic(1), nic(2)
	second.Name = first.Name
	for _, c := range []lab.Interface{first, second, first} {
		t.Logf("plug to answer %s", m.plug(c, 1))
		m.state(active+"ens6", "active")
		m.unplug(c, 1)
		m.state(left, "")
	}
	m.state("systemctl is-system-running", "running")
	m.answers(lab.EIP1, hang)
}
