package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// dhclient puts the address on the interface itself: what a distribution's script does, without touching
// the machine's resolv.conf.
const dhclientScript = `#!/bin/sh
case $reason in BOUND|RENEW|REBIND|REBOOT)
	ip link set "$interface" up mtu "${new_interface_mtu:-1500}"
	ip addr replace "$new_ip_address/24" dev "$interface"
	[ -n "$old_ip_address" ] || ip route add default via "$new_routers" dev "$interface" metric 200
;; esac
`

// Where another program owns the lease, ec2net adds its layer only: no DHCP of its own, and the
// address stays that program's.
func TestOwner(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	must(t, os.WriteFile(script, []byte(dhclientScript), 0o755))
	owner := c.Instance().Command(t.Context(), "dhclient", "-4", "-d", "-sf", script,
		"-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "eth1")
	log := &lab.Log{}
	owner.Stderr = log
	must(t, owner.Start())
	t.Cleanup(func() { _ = owner.Process.Kill(); _ = owner.Wait() })

	k := keep(t, c, "eth1") // races with dhclient, as at a hot plug
	answers(t, c, lab.EIP2)
	if out := ip(t, c, "-4 -o addr show dev eth1"); strings.Count(out, "inet ") != 1 || strings.Contains(out, "noprefixroute") {
		t.Errorf("the address is not dhclient's alone:\n%s", out)
	}
	k.logs(t, "dhclient manages the interface")
	if got := k.log.String(); strings.Contains(got, "lease of") {
		t.Errorf("log:\n%s", got)
	}
	if out := ec2net(t, c, exitOK, "status"); !strings.Contains(out, "lease       dhclient") {
		t.Errorf("status:\n%s", out)
	}
	must(t, c.Assign("eth1", addr("10.0.2.77")))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, "the secondary address", func() bool { return strings.Contains(ip(t, c, "addr show dev eth1"), "10.0.2.77/32") })
	ec2net(t, c, exitOK, "down", "eth1")
	if out := ip(t, c, "-4 -o addr show dev eth1"); !strings.Contains(out, "10.0.2.37/24") || strings.Contains(out, "10.0.2.77") {
		t.Errorf("after down:\n%s", out)
	}
	if t.Failed() {
		t.Log(log)
	}
}

// startDhclient has dhclient take eth1 and keep it; its default route has the metric.
func startDhclient(t *testing.T, c *lab.Cloud, metric int) {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	must(t, os.WriteFile(script, []byte(strings.ReplaceAll(dhclientScript, "metric 200", "metric "+strconv.Itoa(metric))), 0o755))
	owner := c.Instance().Command(t.Context(), "dhclient", "-4", "-d", "-sf", script,
		"-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "eth1")
	ip(t, c, "link set eth1 up")
	must(t, owner.Start())
	t.Cleanup(func() { _ = owner.Process.Kill(); _ = owner.Wait() })
	eventually(t, hang, "dhclient's route", func() bool {
		return strings.Contains(ip(t, c, "route show table main"), "dev eth1 metric "+strconv.Itoa(metric))
	})
}
