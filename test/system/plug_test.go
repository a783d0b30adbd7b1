//go:build system

package system

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"ec2net/metadata"
	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// extra is the nth interface beyond the first, with a MAC that a .link file can name.
func extra(n byte) lab.Interface {
	return labtest.Nth(n, metadata.MAC{0x02, 0xec, 0x20, 0, 1, n}, netip.AddrFrom4([4]byte{10, 0, 2, 36 + n}))
}

// second is seed 002's second interface.
func second() lab.Interface { return extra(1) }

// renamed are .link files that rename the interfaces to ens6, ens7 and so on, as predictable naming does.
func renamed(ifaces ...lab.Interface) map[string]string {
	files := map[string]string{}
	for i, c := range ifaces {
		name := slot(i)
		files["/etc/systemd/network/10-"+name+".link"] = "[Match]\nMACAddress=" + c.MAC.String() + "\n[Link]\nName=" + name + "\n"
	}
	return files
}

func slot(i int) string { return fmt.Sprintf("ens%d", 6+i) }

// with adds files to those of another set.
func with(files map[string]string, more map[string]string) map[string]string {
	out := maps.Clone(files)
	maps.Copy(out, more)
	return out
}

// suites are the releases that are booted, see debian.Suites. A test that needs but one takes the first.
var suites, errSuites = debian.Suites()

// onEach runs a test on every release, side by side: it waits more than it computes.
func onEach(t *testing.T, f func(t *testing.T, suite string)) {
	t.Helper()
	inTurn(t, func(t *testing.T, suite string) {
		t.Parallel()
		f(t, suite)
	})
}

// inTurn runs a test on one release after the other, as one wants that looks for gaps in the traffic.
func inTurn(t *testing.T, f func(t *testing.T, suite string)) {
	t.Helper()
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) { f(t, suite) })
	}
}

// An interface that udev renames, as it does nearly always, starts the unit under its new name alone.
func TestPlug(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.figure("plug", m.plug(second()))
		m.active("ens6")
		if units := m.units(); !strings.Contains(units, "@ens6.") || strings.Contains(units, "@eth1.") {
			t.Errorf("units after a rename from eth1 to ens6: %s", units)
		}
		m.figure("unplug", m.unplug("eth1", "ens6"))
		m.healthy()
	})
}

// units are the interfaces' units that systemd has loaded.
func (m *machine) units() string {
	return m.try("systemctl", "list-units", "--all", "--plain", "--no-legend", "ec2net-ifup@*")
}

// Nothing wears out: the start limit, the names, the files, the rules.
func TestPlugHundredTimes(t *testing.T) {
	one, other := second(), second()
	other.MAC[3] = 0xff
	files := map[string]string{"/etc/systemd/network/10-x.link": fmt.Sprintf("[Match]\nMACAddress=%s %s\n[Link]\nName=ens6\n", one.MAC, other.MAC)}
	m := start(t, options{files: files})
	m.active("eth0")
	var plugs, unplugs time.Duration
	for i := range 100 {
		iface := one
		if i%2 == 1 {
			iface = other
		}
		plugs += m.plug(iface)
		unplugs += m.unplug("eth1", "ens6")
	}
	t.Logf("mean of 100: plug to answer %s, unplug to clean %s", plugs/100, unplugs/100)
	m.healthy()
	m.alone()
}

// alone waits until the first interface, now that it is the only one, has nothing of ours: its own unit takes that off.
func (m *machine) alone() {
	m.t.Helper()
	m.until(hang, func() string { return "nothing of ours is left, but\n" + m.ours() }, func() bool { return m.ours() == "" })
}

// Three interfaces at once, and boot with all of them in place: each ends right, each alone.
func TestThreeAtOnceThenBootWithFour(t *testing.T) {
	three := []lab.Interface{extra(1), extra(2), extra(3)}
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(three...)})
		var wg sync.WaitGroup
		for _, c := range three {
			wg.Go(func() {
				if err := m.cloud.Attach(c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		m.allAnswer(three)
		m.reboot(append([]lab.Interface{lab.Eth0()}, three...)...)
		m.allAnswer(three)
		m.healthy()
		m.onlyTransient()
	})
}

func (m *machine) allAnswer(ifaces []lab.Interface) {
	m.t.Helper()
	m.answers(lab.EIP1, hang)
	for i, c := range ifaces {
		for _, eip := range c.EIPs {
			m.answers(eip, hang)
		}
		m.active(slot(i))
	}
}

// onlyTransient wants no file of ours that outlives the boot, but for the package's own.
func (m *machine) onlyTransient() {
	m.t.Helper()
	out := m.run("sh", "-c", `find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /usr \) -prune -o -name 'systemd-private-*' -prune -o -name '*ec2net*' -print`)
	for _, f := range lines(out) {
		if !strings.HasPrefix(f, "/etc/") && !strings.HasPrefix(f, "/var/lib/dpkg/") && !strings.HasPrefix(f, "/var/lib/systemd/deb-systemd-helper-enabled") {
			m.t.Errorf("a file of ours outside /usr, /etc and /run: %s", f)
		}
	}
}

// Unplugged while the metadata is silent, and at any other moment of the set-up.
func TestUnplugDuringSetUp(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.active("eth0")
		if err := m.cloud.IMDS().Silence(); err != nil {
			t.Fatal(err)
		}
		if err := m.cloud.Attach(second()); err != nil {
			t.Fatal(err)
		}
		m.until(hang, said("the unit waits for the metadata"), func() bool { return m.unit("ec2net-ifup@ens6", "ActiveState") == "activating" })
		m.unplug("eth1", "ens6")
		if err := m.cloud.IMDS().Resume(); err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			if err := m.cloud.Attach(second()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(i*i) * time.Millisecond) // the moments that are wanted: 0 to 121 ms
			m.unplug("eth1", "ens6")
		}
		m.healthy()
		m.alone()
		m.plug(second())
	})
}

// Taken out and put back at once, before the old unit has ended: systemd drops a start that comes while it
// stops the same unit.
func TestReplugAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.plug(second())
		m.active("ens6")
		for i := range 10 {
			if err := m.cloud.Detach("eth1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(i*10) * time.Millisecond) // the moments that are wanted: 0 to 90 ms
			m.plug(second())
			m.active("ens6")
		}
		m.unplug("eth1", "ens6")
		m.healthy()
	})
}

// Put back while the old unit still stops, as an interface that udev has not named yet when the unit's last command looks
// around: that waits for udev, or the start would come while the unit stops, and be dropped. The site's own command after
// ours makes the time long in which that happens.
func TestReplugBesideSlowUdev(t *testing.T) {
	slow := map[string]string{
		"/etc/udev/rules.d/70-slow.rules":                      `ACTION=="add", SUBSYSTEM=="net", ATTR{address}=="` + second().MAC.String() + `", PROGRAM="/bin/sleep 0.5"` + "\n",
		"/etc/systemd/system/ec2net-ifup@.service.d/slow.conf": "[Service]\nExecStopPost=/bin/sleep 1\n",
	}
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: with(renamed(second()), slow)})
		m.plug(second())
		m.active("ens6")
		if err := m.cloud.Detach("eth1"); err != nil {
			t.Fatal(err)
		}
		m.plug(second())
		m.active("ens6")
		m.healthy()
	})
}

// An interface that went while nobody kept it is cleared up after by the unit that was killed; where systemd has killed
// it by its control group, so that ExecStopPost is killed too, by the agent of another interface, and by a scan.
func TestUnplugAfterKill(t *testing.T) {
	inTurn(t, func(t *testing.T, suite string) {
		for _, how := range []string{
			"systemctl kill --signal=KILL ec2net-ifup@ens6.service",
			"echo 1 >/sys/fs/cgroup$(systemctl show --value --property=ControlGroup ec2net-ifup@ens6.service)/cgroup.kill", // as systemd-oomd does
		} {
			t.Run(strings.Fields(how)[0], func(t *testing.T) {
				m := start(t, options{suite: suite, files: renamed(second())})
				m.active("eth0")
				m.plug(second())
				m.active("ens6")
				for i := range 10 {
					m.run("sh", "-c", how)
					if err := m.cloud.Detach("eth1"); err != nil {
						t.Fatal(err)
					}
					if i%2 == 0 {
						m.run("ec2net", "--cloud", "ec2", "scan")
					}
					// The unit may go on to wait for its device: systemd had queued a restart before it went.
					m.until(hang, func() string { return "nothing is left of ens6, but " + m.remains("ens6") },
						func() bool { return m.remains("ens6") == "" })
					m.try("systemctl", "reset-failed", "ec2net-ifup@ens6.service") // ten kills in a minute are no crash loop
					m.plug(second())
					m.active("ens6")
				}
				m.healthy()
			})
		}
	})
}
