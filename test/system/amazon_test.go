//go:build system

package system

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ec2net/doctor"
	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// peerRoot has Debian's package of the program that ec2net comes from. It drives systemd-networkd.
func peerRoot() (string, error) { return debian.Root(debian.Bookworm, "amazon-ec2-net-utils", "curl") }

// networkd does DHCP on every interface.
func networkd() map[string]string {
	return with(wanted("systemd-networkd.service"), map[string]string{
		"/etc/systemd/network/20-wired.network": "[Match]\nName=e*\n[Network]\nDHCP=ipv4\nLLMNR=no\n",
	})
}

// amazon is the peer with its two files as packaged, but that the lab's interfaces are veths.
func amazon() map[string]string {
	return with(wanted("systemd-networkd.service"), map[string]string{
		"/usr/lib/udev/rules.d/99-vpc-policy-routes.rules": `SUBSYSTEM=="net", ACTION=="add", ENV{ID_NET_DRIVER}=="veth", RUN+="/usr/bin/systemctl enable --now --no-block policy-routes@$name.service refresh-policy-routes@$name.timer"` + "\n",
		"/usr/lib/systemd/network/80-ec2.network":          "[Match]\nDriver=ena ixgbevf vif veth\n[Link]\nMTUBytes=9001\n[Network]\nDHCP=yes\nIPv6DuplicateAddressDetection=0\nLLMNR=no\nDNSDefaultRoute=yes\n",
	})
}

// reloaded: what systemd-networkd goes on writing into our table, from files that went with the other package, is told as
// that, and is gone after what doctor says to type. Deleted, it would be back with the next renewal.
func (m *machine) reloaded() {
	m.t.Helper()
	collision := func() (doctor.Finding, bool) {
		found := m.findings()
		i := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.ID == "table-collision" && f.Interface == "ens6" })
		if i < 0 {
			return doctor.Finding{}, false
		}
		return found[i], true
	}
	f, told := collision()
	if !told || !strings.Contains(f.Evidence[0], "written by systemd-networkd (by /run/systemd/network/70-ens6.network, which is gone)") || !strings.Contains(f.Remedy, "networkctl reload") {
		m.t.Errorf("doctor says %+v", f)
	}
	m.run("networkctl", "reload")
	m.until(hang, func() string { return "no collision any more: " + m.try("ec2net", "--cloud", "ec2", "doctor") }, func() bool {
		_, still := collision()
		return !still
	})
	m.answers(lab.EIP1, hang)
	m.answers(labtest.EIP(second()), hang)
}

// Where amazon-ec2-net-utils is replaced, whose file is the only network configuration of the host, nothing is lost
// on the spot, nothing of it stays behind that would come into the way, and the host is reached after the next boot
// as before.
func TestReplacesAmazon(t *testing.T) {
	m := start(t, options{suite: peer, bare: true, unmanaged: true, files: with(renamed(second()), amazon())})
	m.answers(lab.EIP1, hang)
	m.plug(second())
	m.until(time.Minute, said("the other package's rules"), func() bool { return strings.Contains(m.run("ip", "rule"), "lookup 10001 proto static") })
	extra, deb := m.extraAddress(), m.pocket()
	primary, other := m.talk(lab.EIP1, 7001), m.talk(labtest.EIP(second()), 7002)
	defer primary.end()
	defer other.end()

	began := time.Now()
	m.run("dpkg", "--install", deb)
	m.active("eth0")
	m.active("ens6")
	m.answers(extra, hang)
	m.within("replacement", max(time.Second, time.Since(began)/2), primary, other)
	if left := m.try("sh", "-c", "ls -d /run/systemd/network/70-* /run/amazon-ec2-net-utils 2>/dev/null; systemctl list-units --all --plain --no-legend '*policy-routes@*'"); left != "" {
		t.Errorf("left of the other package:\n%s", left)
	}
	m.healthy()
	m.until(time.Minute, said("the other package's rules are gone"), func() bool {
		return !strings.Contains(m.run("ip", "rule"), "proto static")
	})
	m.answers(labtest.EIP(second()), time.Second)
	m.reloaded()

	iface := lab.Eth0()
	m.reboot(iface, second())
	m.answers(lab.EIP1, hang)
	m.answers(labtest.EIP(second()), hang)
	m.active("eth0")
	m.active("ens6")
	if def := m.run("ip", "route", "show", "default"); !strings.Contains(strings.SplitN(def, "\n", 2)[0], "dev eth0") {
		t.Errorf("the host's own traffic does not leave by the primary:\n%s", def)
	}
}
