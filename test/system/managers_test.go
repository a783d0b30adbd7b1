//go:build system

package system

import (
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// manager is a network manager that does DHCP on every interface, in the settings that its package comes with.
type manager struct {
	name    string
	files   map[string]string
	restart []string // what its user would type
	unit    string   // that must be active
	// downs: its restart takes down an interface that was plugged in, and does not bring it up again (docs/releases.md).
	downs bool
}

// wanted makes a unit part of the boot.
func wanted(unit string) map[string]string {
	return map[string]string{"/etc/systemd/system/test-manager.service": "[Unit]\nWants=" + unit + "\n[Service]\nType=oneshot\nExecStart=true\n",
		"/etc/systemd/system/multi-user.target.d/t.conf": "[Unit]\nWants=test-manager.service\n"}
}

// dhcpcdPID is where dhcpcd writes its process's number: in a folder of its own since version 9.
func dhcpcdPID(suite string) string {
	if suite == debian.Bullseye {
		return "/run/dhcpcd.pid"
	}
	return "/run/dhcpcd/pid"
}

func managers(suite string) []manager {
	return []manager{
		{
			name: "networkd", unit: "systemd-networkd.service", restart: []string{"systemctl", "restart", "systemd-networkd"},
			files: with(wanted("systemd-networkd.service"), map[string]string{
				"/etc/systemd/network/20-wired.network": "[Match]\nName=e*\n[Network]\nDHCP=ipv4\n",
			}),
		},
		{
			name: "NetworkManager", unit: "NetworkManager.service", restart: []string{"systemctl", "restart", "NetworkManager"},
			files: with(wanted("NetworkManager.service"), map[string]string{
				// It leaves veths alone, and makes no connection for them by itself.
				"/etc/udev/rules.d/86-test.rules":                           `ENV{ID_NET_DRIVER}=="veth", ENV{NM_UNMANAGED}="0"` + "\n",
				"/etc/NetworkManager/system-connections/wired.nmconnection": "[connection]\nid=wired\ntype=ethernet\nmulti-connect=3\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=auto\n",
				"/etc/network/interfaces":                                   "", // else it leaves what is named there alone
			}),
		},
		{
			name: "ifupdown", unit: "networking.service", restart: []string{"systemctl", "restart", "networking"}, downs: suite == debian.Bullseye,
			files: with(wanted("networking.service"), map[string]string{
				"/etc/network/interfaces": "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\nallow-hotplug ens6\niface ens6 inet dhcp\n",
			}),
		},
		{
			name: "dhcpcd", unit: "dhcpcd.service", restart: []string{"systemctl", "restart", "dhcpcd"},
			files: with(wanted("dhcpcd.service"), map[string]string{
				"/etc/systemd/system/dhcpcd.service": "[Service]\nType=forking\nPIDFile=" + dhcpcdPID(suite) + "\nExecStart=/sbin/dhcpcd -q -b\nExecStop=/sbin/dhcpcd -x\nTimeoutStopSec=5\n",
			}),
		},
	}
}

// Where another program does DHCP on the interfaces, ec2net adds its own layer; and when that program is restarted
// while traffic flows, every address answers again within two seconds.
func TestBesideManager(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		for _, mgr := range managers(suite) {
			t.Run(mgr.name, func(t *testing.T) {
				t.Parallel()
				m := start(t, options{suite: suite, unmanaged: true, files: with(renamed(second()), mgr.files)})
				t.Logf("eth0 answers %s after boot", m.answers(lab.EIP1, hang))
				m.figure("plug", m.plug(second()))
				m.active("ens6")
				if out := m.run("ec2net", "status"); strings.Contains(out, "nobody else configures") {
					t.Errorf("ec2net has taken a lease beside %s:\n%s", mgr.name, out)
				}
				m.restarts(mgr)
				if state := m.unit(mgr.unit, "ActiveState"); state != "active" {
					t.Errorf("%s is %s", mgr.unit, state)
				}
				if !strings.Contains(m.run("ec2net", "status", "ens6"), mgr.name) && mgr.name != "ifupdown" {
					t.Errorf("ec2net does not say that the lease is %s's:\n%s", mgr.name, m.run("ec2net", "status", "ens6"))
				}
				m.unplug("eth1", "ens6")
				if failed := m.try("systemctl", "--failed", "--plain", "--no-legend"); strings.Contains(failed, "ec2net") || strings.Contains(failed, mgr.unit) {
					t.Errorf("failed units: %s", failed)
				}
				m.answers(lab.EIP1, hang)
			})
		}
	})
}

// restarts restarts a manager twice beside a connection to each interface, and measures for how long the worse of
// the two was silent.
func (m *machine) restarts(mgr manager) {
	m.t.Helper()
	connections := [...]*traffic{m.talk(lab.EIP1, 7001), m.talk(labtest.EIP(second()), 7002)}
	defer connections[0].end()
	defer connections[1].end()
	var worst time.Duration
	for range 2 {
		began := time.Now()
		m.run(mgr.restart[0], mgr.restart[1:]...)
		back := time.Now()
		m.answers(lab.EIP1, hang)
		m.answers(labtest.EIP(second()), hang)
		took := time.Since(back)
		for i, tr := range connections {
			gap, err := tr.gaps()
			if err != nil {
				m.t.Errorf("connection %d is lost: %v", i, err)
			}
			worst = max(worst, gap)
		}
		if limit := max(2*time.Second, 3*back.Sub(began)); took > limit && !mgr.downs {
			m.t.Errorf("every address answers again after %s; the restart itself took %s", took, back.Sub(began))
		}
	}
	m.figure("restart", worst)
}
