//go:build system

package system

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// asPackaged undoes the fixture's naming of the cloud: this machine is on none.
var asPackaged = map[string]string{
	"/etc/systemd/system/ec2net-ifup@.service.d/t.conf": "",
	"/etc/systemd/system/ec2net-scan.service.d/t.conf":  "",
	"/etc/systemd/system/ec2net-scan@.service.d/t.conf": "",
}

// Off the cloud the unit ends at once, in good order, and no packet is sent.
func TestOffCloud(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: with(renamed(second()), asPackaged)})
		began := time.Now()
		if err := m.cloud.Attach(second()); err != nil {
			t.Fatal(err)
		}
		m.until(hang, said("the unit has run"), func() bool { return m.unit("ec2net-ifup@ens6", "ExecMainExitTimestampMonotonic") != "0" })
		for _, unit := range []string{"ec2net-ifup@ens6", "ec2net-ifup@eth0", "ec2net-scan"} {
			m.until(hang, said(unit+" has ended"), func() bool { return m.unit(unit, "ActiveState") == "inactive" })
			if got := m.unit(unit, "Result") + " " + m.unit(unit, "ActiveState"); got != "success inactive" {
				t.Errorf("%s: %s", unit, got)
			}
		}
		if got := m.cloud.IMDS().Requests(began.Add(-time.Hour)); len(got) > 0 {
			t.Errorf("the metadata was asked: %v", got)
		}
		if got := m.cloud.DHCP().Messages(began.Add(-time.Hour)); len(got) > 0 {
			t.Errorf("DHCP was asked: %v", got)
		}
		m.healthy()
	})
}

// A broken configuration stops the unit with a message that can be read in its status; what was mended is
// picked up by a scan, and the first interface is never touched.
func TestBrokenConfiguration(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		const file = "/etc/ec2net/ec2net.toml"
		m := start(t, options{suite: suite, files: with(renamed(extra(1), extra(2)), map[string]string{file: "refresh = \"30s\"\ndchp = \"auto\"\n"})})
		for _, c := range []lab.Interface{extra(1), extra(2)} {
			if err := m.cloud.Attach(c); err != nil {
				t.Fatal(err)
			}
		}
		for _, iface := range []string{"ens6", "ens7"} {
			m.until(hang, said("the unit fails"), func() bool { return m.unit("ec2net-ifup@"+iface, "ActiveState") == "failed" })
			if text := m.unit("ec2net-ifup@"+iface, "StatusText"); !strings.Contains(text, "dchp") || !strings.Contains(text, "2") {
				t.Errorf("status of %s does not name the key and the line: %q", iface, text)
			}
			if n := m.unit("ec2net-ifup@"+iface, "NRestarts"); n != "0" {
				t.Errorf("%s was tried again %s times, although nothing was mended", iface, n)
			}
		}
		m.answers(lab.EIP1, hang)
		m.run("sh", "-c", "echo 'refresh = \"30s\"' >"+file)
		m.run("ec2ifscan", "--cloud", "ec2")
		m.answers(labtest.EIP(extra(1)), hang)
		m.answers(labtest.EIP(extra(2)), hang)
		m.active("ens6")
		m.active("ens7")
	})
}

// A name that systemd escapes is started by the scan, under the escaped name.
func TestEscapedName(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.plug(second())
		m.active("ens6")
		last := "ens6"
		for _, c := range []struct{ name, instance string }{
			{"eth-data", `eth\x2ddata`}, {"we@ird+name", `we\x40ird\x2bname`}, {".dot", ".dot"}, {"a$(b)`c`", `a\x24\x28b\x29\x60c\x60`},
		} {
			m.run("ip", "link", "set", "dev", last, "name", c.name)
			last = c.name
			if strings.Contains(c.name, "$") && suite == debian.Bullseye {
				m.misnamed(c.name)
				continue
			}
			m.active(c.instance)
			m.answers(labtest.EIP(second()), hang)
			m.until(hang, said("the scan has ended"), func() bool { return m.unit("ec2net-scan", "ActiveState") == "inactive" })
		}
		m.unplug("eth1", last)
		if suite != debian.Bullseye { // there the scan failed
			m.healthy()
		}
	})
}

// misnamed wants the process of the interface's former name, and a scan, to say that systemd cannot start its unit:
// udev 247 does not hand on the new one.
func (m *machine) misnamed(name string) {
	m.t.Helper()
	says := "systemd cannot start the unit of " + name
	m.until(hang, said("the process of the former name says so"), func() bool { return strings.Contains(m.try("journalctl", "-b", "--no-pager"), says) })
	m.run("ec2net", "down", name)
	if out := m.try("ec2net", "--cloud", "ec2", "scan"); !strings.Contains(out, says) {
		m.t.Errorf("scan says: %s", out)
	}
}

// Several such interfaces at once: none is missed because a scan for another one has looked around already.
func TestEscapedNamesAtOnce(t *testing.T) {
	ifaces := []lab.Interface{extra(1), extra(2), extra(3)}
	files := map[string]string{}
	for i, c := range ifaces {
		files[fmt.Sprintf("/etc/systemd/network/10-%d.link", i)] = fmt.Sprintf("[Match]\nMACAddress=%s\n[Link]\nName=net-%d\n", c.MAC, i)
	}
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: files})
		for round := range 4 {
			for _, c := range ifaces {
				if err := m.cloud.Attach(c); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(round*10) * time.Millisecond) // the moments that are wanted: 0 to 30 ms
			}
			for i, c := range ifaces {
				m.answers(labtest.EIP(c), hang)
				m.active(fmt.Sprintf(`net\x2d%d`, i))
			}
			for i, c := range ifaces {
				m.unplug(c.Name, fmt.Sprintf("net-%d", i))
			}
		}
		m.healthy()
	})
}

// Interfaces that are nobody's, or somebody else's, start nothing.
func TestNotOurs(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		const optOut = `SUBSYSTEM=="net", ATTR{address}=="02:ec:20:00:01:02", ENV{EC2NET_MANAGE}="0"` + "\n"
		m := start(t, options{suite: suite, files: with(renamed(extra(1), extra(2)), map[string]string{"/etc/udev/rules.d/95-site.rules": optOut})})
		// A bridge's port: there before udev hears of it.
		m.run("sh", "-c", "ip link add br0 type bridge; ip link add va type veth peer name vb; ip link set va master br0; ip link add mv0 link eth0 type macvlan; udevadm settle")
		m.run("udevadm", "trigger", "--settle", "--action=add", "--subsystem-match=net")
		m.run("systemctl", "stop", "ec2net-ifup@va.service", "ec2net-ifup@vb.service")
		if err := m.cloud.Attach(extra(2)); err != nil {
			t.Fatal(err)
		}
		m.plug(extra(1)) // the one that is ours, to know when udev is through
		m.active("ens6")
		if out := m.run("ec2net", "--cloud", "ec2", "scan"); !strings.Contains(out, "ens7 is left alone, because a udev rule sets EC2NET_MANAGE=0") {
			t.Errorf("scan says: %s", out)
		}
		for iface, wants := range map[string]bool{"ens6": true, "eth0": true, "ens7": false, "va": false, "br0": false, "mv0": false, "lo": false} {
			props := m.run("udevadm", "info", "--query=property", "/sys/class/net/"+iface)
			if got := strings.Contains(props, "SYSTEMD_WANTS=ec2net"); got != wants {
				t.Errorf("%s starts a unit: %v, want %v\n%s", iface, got, wants, props)
			}
		}
		m.healthy()
	})
}

// An interface that is gone, and names that no interface has: nothing runs, nothing fails for good, nothing is written.
func TestHostileNames(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite})
		m.active("eth0")
		files := func() string { // but for those that are about to replace another
			return m.run("find", "/etc", "/run/ec2net", "-type", "f", "-not", "-path", "/run/ec2net/.*")
		}
		before := m.steady("what files there are", files)
		for _, instance := range []string{"ghost0", `..\x2f..\x2fetc\x2fpasswd`, `\x2d\x2dconfig\x3d\x2fetc\x2fshadow`, `$(reboot)`, `\x2d`, "a b", strings.Repeat("x", 200)} {
			unit := "ec2net-ifup@" + instance + ".service"
			// The device is waited for in vain; without its dependencies the unit runs all the same.
			_ = m.try("systemctl", "start", "--job-mode=ignore-dependencies", unit)
			if state := m.unit(unit, "ActiveState"); state == "active" || state == "activating" {
				t.Errorf("%s: %s", instance, state)
			}
		}
		if after := files(); after != before {
			t.Errorf("files changed:\n%s\nbefore:\n%s", after, before)
		}
		m.answers(lab.EIP1, hang)
	})
}
