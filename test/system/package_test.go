//go:build system

package system

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// pocket puts the built package into the machine.
func (m *machine) pocket() string {
	m.t.Helper()
	deb, err := debian.Package()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := debian.Copy(deb, fmt.Sprintf("/proc/%d/root/root/ec2net.deb", m.leader)); err != nil {
		m.t.Fatal(err)
	}
	return "/root/ec2net.deb"
}

// everything is what of the machine the package could change: the kernel's network and the files.
func (m *machine) everything() string {
	return m.run("sh", "-c", `ip -o link | grep -o '^[0-9]*: [^:@]*\|group.*\|mtu [0-9]*\|altname.*'; ip rule; ip -6 rule; ip route show table all; ip -o addr | sed 's/valid_lft.*//'
		sysctl -a 2>/dev/null | grep -E 'rp_filter|accept_ra |forwarding|arp_'
		find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var -o -path /root \) -prune -o -newer /root/began -type f -print | sort
		find / /run -xdev -name '*ec2net*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/root/*' -not -path '/etc/systemd/system/ec2net*' -not -path '*/systemd-private-*' -not -path '/run/systemd/*' | sort
		systemctl list-units --all --plain --no-legend 'ec2net*'`)
}

// Installed on a running machine all present interfaces are picked up, the primary too: its secondary address answers,
// and so does it to a host in the other one's subnet. Its connections never notice; an upgrade is not felt either;
// removed, the machine is as before, and purged nothing is left.
func TestPackageOnRunningMachine(t *testing.T) {
	inTurn(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, bare: true, files: renamed(second())})
		m.run("touch", "/root/began")
		if err := m.cloud.Attach(second()); err != nil {
			t.Fatal(err)
		}
		m.until(hang, said("ens6 is there"), func() bool { return strings.Contains(m.try("ip", "link"), "ens6") })
		m.run("udevadm", "settle")
		before, deb := m.steady("the machine", m.everything), m.pocket()
		extra := m.extraAddress()
		neighbour, err := m.cloud.AddPeer("neighbour", netip.MustParseAddr("10.0.2.50"))
		if err != nil {
			t.Fatal(err)
		}
		primary := m.talk(lab.EIP1, 7001)
		defer primary.end()
		beside := m.talkFrom(neighbour, lab.Eth0().Addrs4[0], 7003)
		defer beside.end()

		began := time.Now()
		m.run("dpkg", "--install", deb)
		m.answers(labtest.EIP(second()), hang)
		m.answers(extra, hang)
		m.active("ens6")
		m.active("eth0")
		m.calm("install", primary)
		// From the second one's routes to the primary's rules some milliseconds pass: one packet is sent once more.
		m.within("install", max(time.Second, time.Since(began)/2), beside)
		if out := m.run("ec2net", "--cloud", "ec2", "scan"); !strings.Contains(out, "every interface is set up") {
			t.Errorf("scan says: %s", out)
		}

		secondary := m.talk(labtest.EIP(second()), 7002)
		defer secondary.end()
		first := m.unit("ec2net-ifup@ens6", "MainPID")
		began = time.Now()
		m.run("dpkg", "--install", deb)
		m.until(hang, said("the upgrade starts the unit anew"), func() bool { return m.unit("ec2net-ifup@ens6", "MainPID") != first })
		m.active("ens6")
		m.calm("upgrade", primary, secondary)
		m.within("upgrade", max(time.Second, time.Since(began)/2), beside)
		m.healthy()

		m.run("dpkg", "--remove", "ec2net")
		m.calm("removal", primary)
		m.run("dpkg", "--purge", "ec2net")
		if after := m.everything(); after != before {
			t.Errorf("after the removal:\n%s", difference(before, after))
		}
		m.healthy()
	})
}

// extraAddress gives the first interface another address and an elastic IP for it, which nobody has set up.
func (m *machine) extraAddress() (eip netip.Addr) {
	m.t.Helper()
	private, eip := netip.MustParseAddr("10.0.0.40"), netip.MustParseAddr("203.0.113.240")
	if err := m.cloud.Assign("eth0", private); err != nil {
		m.t.Fatal(err)
	}
	if err := m.cloud.AssociateEIP(private, eip); err != nil {
		m.t.Fatal(err)
	}
	return eip
}

// calm wants no connection to have waited for longer than a moment.
func (m *machine) calm(what string, connections ...*traffic) {
	m.t.Helper()
	m.within(what, 150*time.Millisecond, connections...)
}

// within is calm with another limit.
func (m *machine) within(what string, limit time.Duration, connections ...*traffic) {
	m.t.Helper()
	for i, tr := range connections {
		if gap, err := tr.gaps(); err != nil || gap > limit {
			m.t.Errorf("%s: connection %d waited %s, error %v", what, i, gap, err)
		}
	}
}

// difference lists the lines that only one of the texts has.
func difference(before, after string) string {
	var out []string
	for _, l := range lines(before) {
		if !strings.Contains(after, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range lines(after) {
		if !strings.Contains(before, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}
