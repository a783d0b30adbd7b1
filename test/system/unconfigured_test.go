//go:build system

package system

import (
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// A host with no network configuration at all: the package alone brings both interfaces up, at each boot, and says that
// it is the one who does. An interface that is plugged in later comes up as on any other host.
func TestHostThatNobodyConfigures(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, unmanaged: true, files: with(renamed(second()), map[string]string{"/etc/network/interfaces": ""})})
		m.livesByUs()
		m.run("systemctl", "stop", "ec2net-ifup@eth0.service")
		m.run("ec2net", "down", "--lease", "eth0")
		m.run("ec2net", "--cloud", "ec2", "scan") // typed by hand: the metadata can not be asked yet
		m.livesByUs()
		m.plug(second())
		m.active("ens6")
		m.healthy()
		m.run("systemctl", "kill", "--signal=KILL", "ec2net-ifup@eth0.service")
		m.until(hang, said("the unit is started again"), func() bool { return m.unit("ec2net-ifup@eth0.service", "NRestarts") == "1" })
		m.livesByUs()
		m.takenOver()

		iface := lab.Eth0()
		m.reboot(iface, second())
		m.livesByUs()
		m.answers(labtest.EIP(second()), time.Minute)
		m.active("ens6")
		m.healthy()
		m.run("dpkg", "--remove", "ec2net") // an operator is not cut off by it
		m.answers(lab.EIP1, time.Second)
	})
}

// takenOver has a network manager configure the first interface from now on, until the next boot: nothing is cut off,
// and ec2net leaves the lease to it.
func (m *machine) takenOver() {
	m.t.Helper()
	tr := m.talk(lab.EIP1, 7003)
	defer tr.end()
	m.run("sh", "-c", "mkdir -p /run/systemd/network && printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n' >/run/systemd/network/20-first.network && systemctl start systemd-networkd")
	m.until(time.Minute, said("networkd's default route is the only one of eth0"), func() bool {
		def := m.run("ip", "route", "show", "default", "dev", "eth0")
		return strings.Contains(def, "proto dhcp") && !strings.Contains(def, "proto ec2net")
	})
	m.until(time.Minute, said("status leaves the lease to networkd"), func() bool { return !strings.Contains(m.run("ec2net", "status", "eth0"), "nobody else") })
	m.within("networkd takes over", time.Second, tr)
	m.run("systemctl", "restart", "ec2net-ifup@eth0.service")
	m.active("eth0")
	m.answers(lab.EIP1, time.Minute)
	m.healthy()
}

// livesByUs wants the first interface to have what ec2net alone gave it.
func (m *machine) livesByUs() {
	m.t.Helper()
	m.answers(lab.EIP1, time.Minute)
	m.active("eth0")
	if def := m.run("ip", "route", "show", "default"); !strings.Contains(strings.SplitN(def, "\n", 2)[0], "dev eth0 proto ec2net src 10.0.0.29 metric 512") {
		m.t.Errorf("the host's own traffic does not leave by the primary:\n%s", def)
	}
	if out := m.run("ec2net", "status", "eth0"); !strings.Contains(out, "nobody else configures it: lease of 10.0.0.29/24") {
		m.t.Errorf("status does not say who configures the host:\n%s", out)
	}
}
