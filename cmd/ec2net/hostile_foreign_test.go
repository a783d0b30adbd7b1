package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/agent"
	"ec2net/test/lab"
)

// dhclientOn starts ISC's client on an interface; the function that it returns kills it. Its script keeps the
// address of a lease that has ended, as networkd does with KeepConfiguration.
func dhclientOn(t *testing.T, c *lab.Cloud, iface string) (kill func()) {
	t.Helper()
	dir := t.TempDir()
	script, conf := filepath.Join(dir, "script"), filepath.Join(dir, "conf")
	must(t, os.WriteFile(script, []byte(dhclientScript), 0o755))
	must(t, os.WriteFile(conf, []byte("retry 2; initial-interval 1; backoff-cutoff 4;\n"), 0o644))
	return ownerOn(t, c, "dhclient", "-4", "-d", "-sf", script, "-cf", conf, "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), iface)
}

// dhcpcdOn starts Roy Marples' client on an interface, without its hooks, which are about resolv.conf.
func dhcpcdOn(t *testing.T, c *lab.Cloud, iface string) (kill func()) {
	t.Helper()
	hook := filepath.Join(t.TempDir(), "hook")
	must(t, os.WriteFile(hook, []byte("#!/bin/sh\n"), 0o755))
	return ownerOn(t, c, "dhcpcd", "-4", "-B", "-A", "-f", "/dev/null", "-c", hook, "-m", "200", iface)
}

func ownerOn(t *testing.T, c *lab.Cloud, name string, args ...string) (kill func()) {
	t.Helper()
	owner := c.Instance().Command(t.Context(), name, args...)
	log, ended := &lab.Log{}, make(chan struct{})
	owner.Stdout, owner.Stderr = log, log
	owner.WaitDelay = time.Second // its helpers have the same
	must(t, owner.Start())
	go func() { _ = owner.Wait(); close(ended) }()
	kill = func() { _ = owner.Process.Signal(syscall.SIGTERM); <-ended }
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log)
		}
	})
	return kill
}

// static is what an operator, or a manager without DHCP, put there: with a default route of main, or
// in a table of its own.
func static(routes ...string) func(*testing.T, *lab.Cloud, string) func() {
	return func(t *testing.T, c *lab.Cloud, iface string) func() {
		t.Helper()
		for _, r := range append([]string{"link set " + iface + " up", "addr add 10.0.2.37/24 dev " + iface}, routes...) {
			ip(t, c, r)
		}
		return func() {}
	}
}

// Another program has the lease, and the metadata is off or silent from the start: the interface answers by
// that program's address, the primary is as it was, and when the metadata speaks, the interface moves to its
// own table without a packet lost.
func TestDegradedBesideAnOwner(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, owner string
		own         func(*testing.T, *lab.Cloud, string) func()
		silent      bool
	}{
		{"dhclient, 403", "dhclient", dhclientOn, false},
		{"dhcpcd, 403", "dhcpcd", dhcpcdOn, false},
		{"dhclient, silent", "dhclient", dhclientOn, true},
		{"static, silent", "another program", static(), true},
		{"static with a table of its own", "another program", static("route add default via 10.0.2.1 dev eth1 table 77", "rule add from 10.0.2.37 lookup 77 pref 30000"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			off, on := func() error { _, err := c.IMDS().Inject(lab.Fault{Status: 403}); return err }, func() error { c.IMDS().Clear(); return nil }
			if tt.silent {
				off, on = c.IMDS().Silence, c.IMDS().Resume
			}
			must(t, off())
			primary := carries(world(t, c), "eth0")
			tt.own(t, c, "eth1")
			k := keep(t, c, "eth1")
			answers(t, c, lab.EIP2)
			table := leaseTable(t, c, "eth1")
			holds(t, ip(t, c, "rule"), "from 10.0.2.37 lookup "+table)
			holds(t, ip(t, c, "route show table "+table), "default via 10.0.2.1 dev eth1")
			state := "degraded: 10.0.2.37/24 as " + tt.owner + " set it up; waiting for the metadata"
			k.notify.await(t, "STATUS="+state)
			says(t, statusOf1(t, c, "eth1"), "eth1: "+state)
			holds(t, statusOf1(t, c, "eth1"), "lease "+tt.owner)
			session(t, c, "10.0.2.37", lab.EIP2)
			ip(t, c, "rule del lookup "+table) // it is looked after like any other
			answersWithin(t, c, hang, lab.EIP2)
			if d := cmp.Diff(lasting(primary), lasting(carries(world(t, c), "eth0"))); d != "" {
				t.Errorf("the primary interface's (-before +after):\n%s", d)
			}

			must(t, on())
			k.reload(t, c)
			k.notify.await(t, "STATUS=10.0.2.37, table 10001")
			if out := ip(t, c, "rule") + ip(t, c, "route show table all"); strings.Contains(out, table) {
				t.Errorf("something of table %s is left:\n%s", table, out)
			}
			k.logsTimes(t, "degraded", 2) // when it begins and when it ends
			if out := ip(t, c, "-4 -o addr show dev eth1"); strings.Count(out, "inet ") != 1 || (strings.Contains(out, "noprefixroute") && tt.owner != "dhcpcd") {
				t.Errorf("the address is not the owner's alone:\n%s", out)
			}
		})
	}
}

// What is gone of a degraded interface is seen, as of any other.
func TestDegradedDrift(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]func(*testing.T, *lab.Cloud, string) func(){"a lease": nil, "another program's address": static()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			if own != nil {
				own(t, c, "eth1")
			}
			degraded(t, c)
			says(t, statusOf1(t, c, "eth1"), "drift       none")
			table := leaseTable(t, c, "eth1")
			ip(t, c, "rule del lookup "+table)
			says(t, statusOf1(t, c, "eth1"), "drift       + rule from 10.0.2.37 lookup "+table)
			says(t, ec2net(t, c, exitDifferences, "doctor", "eth1"), "[source-rule]")
		})
	}
}

// A process that is killed while degraded, and started again, goes on where it was.
func TestDegradedOwnerRestart(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	spoil(t, c, lab.Fault{Status: 403})
	dhclientOn(t, c, "eth1")
	k := keep(t, c, "eth1")
	k.notify.await(t, "STATUS=degraded")
	end := session(t, c, "10.0.2.37", lab.EIP2)
	held := world(t, c)
	must(t, k.Process.Signal(syscall.SIGKILL))
	<-k.ended
	again := keep(t, c, "eth1")
	again.notify.await(t, "STATUS=degraded: 10.0.2.37/24 as dhclient")
	unchanged(t, c, held, "a restart")
	end()
	says(t, ec2net(t, c, exitOK, "down", "eth1"), "rule from 10.0.2.37")
	if out := ip(t, c, "rule") + ip(t, c, "route show table all"); strings.Contains(out, leaseTable(t, c, "eth1")) {
		t.Errorf("after down:\n%s", out)
	}
	says(t, ip(t, c, "-4 -o addr show dev eth1"), "10.0.2.37/24")
}

// Without the metadata, nothing is done to the interface that the host itself leaves by: neither where its
// address is somebody's, nor where it has none and our own client could be started.
func TestSilentMetadataLeavesThePrimary(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, conf, iface string
		setup             []string
	}{
		{"as it was installed", "", "eth0", nil},
		{"its lease is to be ours", "dhcp = \"native\"\n", "eth0", nil},
		{"no IPv4 address", "", "eth0", []string{"addr flush dev eth0 scope global", "route add default dev eth0"}},
		{"no IPv4 address, and the lease to be ours", "dhcp = \"native\"\n", "eth0", []string{"addr flush dev eth0 scope global", "route add default dev eth0"}},
		{"no default route at all", "", "eth0", []string{"route del default"}},
		{"a second interface with a better default route", "", "eth1", []string{
			"link set eth1 up", "addr add 10.0.2.37/24 dev eth1", "route del default",
			"route add default via 10.0.0.1 dev eth0 metric 300", "route add default via 10.0.2.1 dev eth1 metric 200",
		}},
		{"a VPN took the default route", "", "eth0", []string{
			"tuntap add dev tun0 mode tun", "link set tun0 up", "route del default",
			"route add default via 10.0.0.1 dev eth0 metric 300", "route add default dev tun0 metric 50",
		}},
		{"two with equal metrics", "", "eth0", []string{"link set eth1 up", "addr add 10.0.2.37/24 dev eth1", "route append default via 10.0.2.1 dev eth1 metric 100"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{})
			for _, s := range tt.setup {
				ip(t, c, s)
			}
			if slices.Contains(tt.setup, "link set eth1 up") {
				linkLocals(t, c, "eth1")
			}
			conf := write(t, tt.conf)
			spoil(t, c, lab.Fault{Status: 403})
			before, begun := world(t, c), time.Now()
			k := startWith(t, c, tt.iface, []string{"--config", conf})
			k.notify.await(t, "STATUS=waiting for the metadata (")
			time.Sleep(agent.Silence + 2*time.Second) // longer than any interface waits before it does without the metadata
			unchanged(t, c, before, "metadata that is switched off")
			if n := len(c.DHCP().Messages(begun)); n != 0 {
				t.Errorf("%d DHCP messages on the interface that the host leaves by", n)
			}
			if strings.Contains(k.log.String(), "degraded") {
				t.Errorf("log:\n%s", k.log)
			}
		})
	}
}

// carries is what a world says of one interface.
func carries(world []string, iface string) (out []string) {
	for _, line := range world {
		if strings.Contains(line, " "+iface) {
			out = append(out, line)
		}
	}
	return out
}
