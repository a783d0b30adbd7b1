//go:build system

package system

import (
	"strings"
	"testing"

	"ec2net/test/lab/labtest"
)

// Beside a dhcpcd that takes all interfaces, ec2net adds the address itself where dhcpcd asks for no lease on one that
// is plugged in (10.5 of Debian 14 does not notice it), and waits for dhcpcd where it does.
func TestDhcpcdThatTakesAll(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		for _, mgr := range managers(suite) {
			if mgr.name != "dhcpcd" {
				continue
			}
			m := start(t, options{suite: suite, unmanaged: true, files: with(renamed(second()), mgr.files)})
			t.Logf("plug to answer %s", m.plug(second()))
			m.active("ens6")
			m.answers(labtest.EIP(second()), hang)
			addr := m.run("ip", "-4", "-o", "addr", "show", "dev", "ens6")
			log := m.run("journalctl", "-u", "ec2net-ifup@ens6", "-o", "cat")
			ours := strings.Contains(addr, "proto 236") || strings.Contains(addr, "proto ec2net") || strings.Contains(addr, "metric 23600000")
			if unheard := strings.Contains(log, "nobody has asked for a lease on ens6"); unheard != ours {
				t.Errorf("nobody asked: %t, the address is ours: %t\n%s\n%s", unheard, ours, addr, log)
			}
			t.Logf("the address is ec2net's: %t", ours)
		}
	})
}
