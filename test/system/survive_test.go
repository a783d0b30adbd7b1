//go:build system

package system

import (
	"strings"
	"testing"
	"time"

	"ec2net/test/lab/labtest"
)

// What happens to the unit is not felt by the traffic on its interface: not one packet waits for a repair.
func TestTrafficSurvivesTheUnit(t *testing.T) {
	const unit = "ec2net-ifup@ens6.service"
	inTurn(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.plug(second())
		m.active("ens6")
		tr := m.talk(labtest.EIP(second()), 7001)
		defer tr.end()
		m.until(hang, said("the primary has rules of its own beside another interface"), func() bool {
			now := m.ours()
			return strings.Contains(now, "dev eth0 table 10000") && strings.Contains(now, "20000:")
		})
		before := m.steady("what is ours", m.ours)
		for _, act := range []struct {
			name    string
			command []string
			then    string // the unit's state afterwards
		}{
			{"reload", []string{"systemctl", "reload", unit}, "active"},
			{"kill -9", []string{"systemctl", "kill", "--signal=KILL", unit}, "active"},
			{"restart", []string{"systemctl", "restart", unit}, "active"},
			{"stop", []string{"systemctl", "stop", unit}, "inactive"},
			{"start", []string{"systemctl", "start", unit}, "active"},
			{"daemon-reexec", []string{"systemctl", "daemon-reexec"}, "active"},
			{"udev trigger", []string{"udevadm", "trigger", "--settle", "--subsystem-match=net", "--action=change"}, "active"},
			{"udev coldplug", []string{"udevadm", "trigger", "--settle", "--subsystem-match=net", "--action=add"}, "active"},
		} {
			m.run(act.command[0], act.command[1:]...)
			m.until(hang, said(unit+" is "+act.then+" after "+act.name), func() bool { return m.unit(unit, "ActiveState") == act.then })
			if act.name == "kill -9" {
				m.until(hang, said("it is started again"), func() bool { return m.unit(unit, "NRestarts") == "1" && m.unit(unit, "SubState") == "running" })
			}
			m.calm(act.name, tr)
			if now := m.ours(); now != before {
				t.Errorf("%s changed what the kernel holds:\n%s\nbefore:\n%s", act.name, now, before)
			}
		}
		m.healthy()
	})
}

// An interface that gets another name while it works keeps working: the old unit ends, a new one begins.
func TestRenameAtRunTime(t *testing.T) {
	inTurn(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.plug(second())
		m.active("ens6")
		tr := m.talk(labtest.EIP(second()), 7001)
		defer tr.end()
		for _, to := range []string{"blue0", "ens6", "green0"} {
			from := strings.TrimSpace(m.run("sh", "-c", "ip -o link | grep -o 'blue0\\|ens6\\|green0' | head -1"))
			began := time.Now()
			m.run("ip", "link", "set", from, "name", to)
			m.active(to)
			m.until(hang, said("the unit of "+from+" has ended"), func() bool { return !strings.Contains(m.units(), "@"+from+".service loaded") })
			// What is lost on the way is sent again after twice the time at the latest.
			m.within("from "+from+" to "+to, max(1500*time.Millisecond, 2*time.Since(began)), tr)
		}
		m.healthy()
		m.unplug("eth1", "green0")
		m.gone("ens6")
	})
}
