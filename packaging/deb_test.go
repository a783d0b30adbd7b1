//go:build packages

package packaging_test

import (
	"strings"
	"testing"
)

// what the scriptlets ask systemd and udev for.
const (
	daemonReload = "systemctl daemon-reload"
	udevReload   = "udevadm control --reload"
	renewUnits   = "systemctl --no-block try-restart ec2net-ifup@*.service"
	scan         = "systemctl --no-block restart ec2net-scan.service"
	stopUnits    = "systemctl stop ec2net-scan.service ec2net-ifup@*.service"
	resetFailed  = "systemctl reset-failed ec2net-scan.service ec2net-ifup@*.service"
)

// A whole life in a system without systemd: a chroot, a container image.
func TestDebWithoutSystemd(t *testing.T) {
	s := clean(t)
	before := s.tree()
	s.install(deb(t))
	if got := s.run("dpkg", "--verify", "ec2net"); got != "" {
		t.Errorf("after installation dpkg finds %s", got)
	}
	for _, name := range []string{"ec2net", "ec2ifup", "ec2ifdown", "ec2ifscan"} {
		if got := s.run(name, "--help"); !strings.Contains(got, "Usage:") {
			t.Errorf("%s --help says %s", name, got)
		}
	}
	s.write("/etc/ec2net/ec2net.toml", "refresh = \"1m\"\n", 0o644)
	s.install(file(t, upgrades, newerDeb+debArch+".deb"))
	if got := s.run("ec2net", "--version"); got != "ec2net version "+newer+"\n" {
		t.Errorf("after the upgrade it says %q", got)
	}
	s.run("dpkg", "--remove", "ec2net")
	if !s.exists("/etc/iproute2/rt_protos.d/ec2net.conf") || !s.exists("/etc/ec2net/ec2net.toml") {
		t.Error("removal took away configuration, which is for purge")
	}
	s.run("dpkg", "--purge", "ec2net")
	s.same(before)
}

// Purge takes the configuration away, but nothing that is not ours.
func TestDebPurgeKeepsForeignFiles(t *testing.T) {
	s := clean(t)
	s.install(deb(t))
	s.write("/etc/ec2net/ec2net.toml", "manage = false\n", 0o644)
	s.write("/etc/ec2net/notes", "mine\n", 0o644)
	s.run("dpkg", "--purge", "ec2net")
	if s.exists("/etc/ec2net/ec2net.toml") || !s.exists("/etc/ec2net/notes") {
		t.Error("purge must remove ec2net.toml, and not what is beside it")
	}
}

// An operator's change of the protocol's name outlives an upgrade.
func TestDebKeepsChangedConffile(t *testing.T) {
	s := clean(t)
	s.install(deb(t))
	s.write("/etc/iproute2/rt_protos.d/ec2net.conf", "236 interfaces\n", 0o644)
	s.install(file(t, upgrades, newerDeb+debArch+".deb"))
	if got := read(t, s.dir+"/etc/iproute2/rt_protos.d/ec2net.conf"); got != "236 interfaces\n" {
		t.Errorf("after the upgrade it is %q", got)
	}
}

// What each step asks of a running systemd and udev, and nothing else: no device is triggered, no
// manager reloaded, and no unit stopped but at removal.
func TestDebCalls(t *testing.T) {
	s := clean(t)
	s.booted()
	s.install(deb(t))
	s.called("installation", daemonReload, udevReload, renewUnits, scan)
	s.install(deb(t))
	s.called("re-installation", daemonReload, udevReload, renewUnits, scan)
	s.install(file(t, upgrades, newerDeb+debArch+".deb"))
	s.called("upgrade", daemonReload, udevReload, renewUnits, scan)
	s.install(deb(t))
	s.called("downgrade", daemonReload, udevReload, renewUnits, scan)
	s.run("dpkg", "--remove", "ec2net")
	s.called("removal", stopUnits, resetFailed, daemonReload, udevReload)
	s.run("dpkg", "--purge", "ec2net")
	s.called("purge")
}

// systemctl and udevadm that fail are no reason to leave a package half-installed.
func TestDebWithBrokenSystemd(t *testing.T) {
	s := clean(t)
	before := s.tree()
	s.write("/run/systemd/system/.kept", "", 0o644)
	s.write("/usr/bin/systemctl", "#!/bin/sh\nexit 1\n", 0o755)
	s.write("/usr/bin/udevadm", "#!/bin/sh\nexit 1\n", 0o755)
	s.install(deb(t))
	s.install(file(t, upgrades, newerDeb+debArch+".deb"))
	s.run("dpkg", "--purge", "ec2net")
	s.run("rm", "-r", "/run/systemd", "/usr/bin/systemctl", "/usr/bin/udevadm")
	s.same(before)
}

// policy-rc.d may forbid that packages start services.
func TestDebAsksPolicy(t *testing.T) {
	for status, want := range map[string][]string{
		"101": {daemonReload, udevReload},
		"104": {daemonReload, udevReload, renewUnits, scan},
	} {
		s := clean(t)
		s.booted()
		s.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit "+status+"\n", 0o755)
		s.install(deb(t))
		s.called("installation with policy "+status, want...)
	}
}

// Installing it takes Debian's package for the same job away, which can not be beside it.
func TestDebReplacesAmazon(t *testing.T) {
	s := clean(t)
	s.run("sh", "-c", "dpkg --force-depends --install /var/cache/"+peer+"_*.deb")
	s.install(deb(t))
	if got := s.run("dpkg-query", "--show", "--showformat", "${db:Status-Status}", "ec2net"); got != "installed" {
		t.Errorf("ec2net is %s", got)
	}
	if got, err := s.try("dpkg-query", "--show", "--showformat", "${db:Status-Status}", peer); err == nil && got == "installed" {
		t.Errorf("%s is still installed", peer)
	}
	s.keeps("[DHCPv4]\nUseHostname=no", "Driver=ena ixgbevf vif", "RouteMetric=512")
	s.run("dpkg", "--purge", "ec2net") // the host's only network configuration is not ours to take
	s.keeps("DHCP=yes")
	if got := s.run("sh", "-c", "dpkg --force-depends --install /var/cache/"+peer+"_*.deb"); got == "" {
		t.Error("dpkg says nothing")
	}
	s.install(deb(t))
	if got := s.run("dpkg-query", "--show", "--showformat", "${Provides}", "ec2net"); !strings.Contains(got, peer) {
		t.Errorf("ec2net provides %q", got)
	}
}

// Where apt has removed the other package a step earlier, what it had generated tells of it; and a file of the
// operator's stays as it is.
func TestDebKeepsNetworkAfterwards(t *testing.T) {
	s := clean(t)
	const generated = "/run/systemd/network/70-eth0.network"
	s.write(generated+".d/eni.conf", "# Configuration for eth0 generated by policy-routes@eth0.service\n", 0o644)
	s.write("/run/systemd/network/70-mine.network", "[Match]\nName=mine\n", 0o644)
	s.run("ln", "-s", "/usr/lib/systemd/network/80-ec2.network", generated)
	s.install(deb(t))
	s.keeps("[Match]\nDriver=ena ixgbevf vif\n", "DHCP=yes", "RouteMetric=512")
	if s.exists(generated) || s.exists(generated+".d") || !s.exists("/run/systemd/network/70-mine.network") {
		t.Errorf("in /run/systemd/network are %q", names(t, s.dir+"/run/systemd/network"))
	}

	s = clean(t)
	s.run("sh", "-c", "dpkg --force-depends --install /var/cache/"+peer+"_*.deb")
	s.write(keptNetwork, "[Match]\nName=nothing\n", 0o644)
	s.install(deb(t))
	if got := read(t, s.dir+keptNetwork); got != "[Match]\nName=nothing\n" {
		t.Errorf("the operator's file became:\n%s", got)
	}
}

const keptNetwork = "/etc/systemd/network/80-ec2.network"

// keeps wants the replaced package's network configuration, with these texts.
func (s system) keeps(texts ...string) {
	s.Helper()
	got := read(s.T, s.dir+keptNetwork)
	for _, want := range texts {
		if !strings.Contains(got, want) {
			s.Errorf("%s has no %q:\n%s", keptNetwork, want, got)
		}
	}
}

// A script that is called as it never is must say so, not do something.
func TestDebUnknownAction(t *testing.T) {
	s := clean(t)
	s.install(deb(t))
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		out, err := s.try("/var/lib/dpkg/info/ec2net."+script, "explode")
		if err == nil || !strings.Contains(out, "unknown argument: explode") {
			t.Errorf("%s explode: %v %s", script, err, out)
		}
	}
}
