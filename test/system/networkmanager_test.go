//go:build system

package system

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// NetworkManager's connectivity check fails here, so that it adds 20000 to the metric of its default routes; and its
// profile is taken down, while it is restarted, and activated again: it never takes the interface for one that
// somebody else has configured.
func TestNetworkManagerPenalty(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		nm := managers(suite)[1]
		m := start(t, options{suite: suite, unmanaged: true, files: with(renamed(second()), with(nm.files, map[string]string{
			"/etc/NetworkManager/conf.d/90-check.conf": "[connectivity]\nenabled=true\nuri=http://10.0.0.1:9/\ninterval=60\ntimeout=2\n",
		}))})
		m.answers(lab.EIP1, hang)
		m.plug(second())
		m.active("ens6")
		m.eventually("the host leaves by eth0, whose default route is penalised", func() bool {
			return strings.Contains(m.try("ip", "route", "show", "default", "dev", "eth0"), "metric 20") &&
				strings.Contains(m.try("ip", "route", "get", lab.ClientIP.String()), "dev eth0")
		})
		t.Log(m.run("ip", "route"))
		m.answers(lab.EIP1, hang)
		m.answers(labtest.EIP(second()), hang)
	})
}

// NetworkManager, restarted after its profile was taken down, finds nothing of ec2net's on eth0 that it would take for
// somebody else's configuration, and activates the profile when it is told to.
func TestNetworkManagerNotExternal(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		nm := managers(suite)[1]
		first := lab.Eth0()
		first.Addrs4 = append(first.Addrs4, netip.MustParseAddr("10.0.0.40"))
		m := start(t, options{suite: suite, unmanaged: true, cloud: lab.Config{Interfaces: []lab.Interface{first}}, files: with(renamed(second()), nm.files)})
		m.answers(lab.EIP1, hang)
		shows := func(what string) func() bool {
			return func() bool { return strings.Contains(m.try("ip", "-4", "-o", "addr", "show", "dev", "eth0"), what) }
		}
		m.eventually("the secondary address", shows("10.0.0.40"))
		for range 2 {
			m.run("nmcli", "con", "down", "wired")
			m.eventually("eth0 has no address", func() bool { return !shows("inet ")() })
			m.run("systemctl", "restart", "NetworkManager")
			m.eventually("NetworkManager is there again", func() bool { return strings.Contains(m.try("nmcli", "device"), "eth0") })
			if state := m.run("nmcli", "-f", "GENERAL.STATE", "device", "show", "eth0"); strings.Contains(state, "externally") {
				t.Errorf("NetworkManager takes the interface for somebody else's:\n%s", state)
			}
			m.run("nmcli", "con", "up", "wired", "ifname", "eth0")
			m.answers(lab.EIP1, hang)
			m.eventually("the secondary address is back", shows("10.0.0.40"))
			if state := m.run("nmcli", "-f", "GENERAL.STATE", "device", "show", "eth0"); strings.Contains(state, "externally") {
				t.Errorf("after con up:\n%s", state)
			}
		}
	})
}

// What ec2net leased NetworkManager shows as "connected (externally)", for want of a profile. That is no lease of
// NetworkManager's: a process that starts anew leases the interface again.
func TestNetworkManagerFindsOurs(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		nm := managers(suite)[1]
		nm.files["/etc/NetworkManager/system-connections/wired.nmconnection"] += "[match]\ninterface-name=eth0\n"
		nm.files["/etc/NetworkManager/conf.d/90-test.conf"] = "[main]\nno-auto-default=*\n"
		m := start(t, options{suite: suite, unmanaged: true, files: with(renamed(second()), nm.files)})
		m.answers(lab.EIP1, limit)
		m.plug(second())
		m.active("ens6")
		// 1.30 makes what it has found its own when it is restarted: it adds the address anew, without ec2net's mark.
		takesOver := suite == debian.Bullseye
		for restarts := range 3 {
			if restarts > 0 {
				m.run("systemctl", "restart", "NetworkManager")
			}
			shows := "externally"
			if restarts > 0 && takesOver {
				shows = "100 (connected)"
			}
			m.eventually("NetworkManager finds ens6 configured", func() bool { return strings.Contains(m.nm("ens6"), shows) })
			m.run("systemctl", "restart", "ec2net-ifup@ens6")
			m.active("ens6")
			if restarts == 0 || !takesOver {
				m.eventually("ens6 is leased by ec2net", func() bool { return strings.Contains(m.run("ec2net", "status", "ens6"), " by native from ") })
			}
			m.answers(labtest.EIP(second()), limit)
		}
		if said := m.try("ec2net", "--cloud", "ec2", "doctor"); strings.Contains(said, "NetworkManager") {
			t.Errorf("doctor:\n%s", said)
		}
	})
}

// nm is the state of an interface as NetworkManager shows it.
func (m *machine) nm(name string) string {
	return m.try("nmcli", "-g", "GENERAL.STATE", "device", "show", name)
}

// eventually waits for something of which the machine sends no event.
func (m *machine) eventually(what string, ok func() bool) {
	m.t.Helper()
	for limit := time.Now().Add(hang); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			m.t.Fatalf("%s: not within a minute\n%s\n%s", what, m.try("ip", "addr"), m.try("nmcli", "device"))
		}
	}
}
