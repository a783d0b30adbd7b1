//go:build packages

package packaging_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A whole life in a system without systemd.
func TestRPMWithoutSystemd(t *testing.T) {
	s := clean(t)
	// Every rpm distribution's packages filesystem and systemd have these.
	s.run("mkdir", "-p", "/usr/share/licenses", "/usr/lib/systemd/system/multi-user.target.wants")
	before := s.tree()
	s.rpm("--upgrade", rpm(t))
	if got := s.rpm("--verify", "ec2net"); got != "" {
		t.Errorf("after installation rpm finds %s", got)
	}
	if got := s.run("ec2ifup", "--help"); !strings.Contains(got, "Usage:") {
		t.Errorf("ec2ifup --help says %s", got)
	}
	s.rpm("--upgrade", file(t, upgrades, newerRPM+rpmArch+".rpm"))
	if got := s.run("ec2net", "--version"); got != "ec2net version "+newer+"\n" {
		t.Errorf("after the upgrade it says %q", got)
	}
	s.rpm("--erase", "ec2net")
	s.same(before)
}

// rpm has no purge: what an administrator wrote stays.
func TestRPMKeepsConfiguration(t *testing.T) {
	s := clean(t)
	s.rpm("--upgrade", rpm(t))
	s.write("/etc/ec2net/ec2net.toml", "refresh = \"1m\"\n", 0o644)
	s.write("/etc/iproute2/rt_protos.d/ec2net.conf", "236 interfaces\n", 0o644)
	s.rpm("--upgrade", file(t, upgrades, newerRPM+rpmArch+".rpm"))
	if got := read(t, s.dir+"/etc/iproute2/rt_protos.d/ec2net.conf"); got != "236 interfaces\n" {
		t.Errorf("after the upgrade the protocol's name is %q", got)
	}
	s.rpm("--erase", "ec2net")
	if !s.exists("/etc/ec2net/ec2net.toml") || !s.exists("/etc/iproute2/rt_protos.d/ec2net.conf.rpmsave") {
		t.Error("configuration that was written by hand is gone")
	}
}

func TestRPMCalls(t *testing.T) {
	s := clean(t)
	s.booted()
	s.rpm("--upgrade", rpm(t))
	s.called("installation", daemonReload, udevReload, renewUnits, scan)
	s.rpm("--upgrade", "--replacepkgs", rpm(t))
	s.called("re-installation", daemonReload, udevReload, renewUnits, scan)
	s.rpm("--upgrade", file(t, upgrades, newerRPM+rpmArch+".rpm"))
	s.called("upgrade", daemonReload, udevReload, renewUnits, scan)
	s.rpm("--erase", "ec2net")
	s.called("removal", stopUnits, resetFailed, daemonReload, udevReload)
}

// stub is an rpm of a name that ec2net obsoletes, with the file that both have.
func stub(t *testing.T, name, version string) string {
	t.Helper()
	return stubRPM(t, name, version, "contents: [{src: ec2net.toml, dst: /usr/sbin/ec2ifup}]\n")
}

// stubRPM is an rpm of that name, with more lines of nfpm's.
func stubRPM(t *testing.T, name, version, more string) string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "nfpm.yaml")
	text := "name: " + name + "\narch: amd64\nversion: " + version + "\nmaintainer: a <a@b.example>\ndescription: stub\nlicense: MIT\n" + more
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, name+".rpm")
	output(t, "go", "tool", "-modfile=tools/go.mod", "nfpm", "package", "--config", conf, "--packager", "rpm", "--target", out)
	return out
}

// An update to ec2net takes ec2-net-utils away, of both generations, in the same transaction.
func TestRPMObsoletes(t *testing.T) {
	for name, version := range map[string]string{"ec2-net-utils": "1.7.3", "amazon-ec2-net-utils": "2.5.1"} {
		s := clean(t)
		s.rpm("--upgrade", stub(t, name, version))
		amazon := name == peer
		if amazon { // its program and its file, which the stub does not have
			s.write("/usr/bin/setup-policy-routes", "", 0o755)
			s.write("/usr/lib/systemd/network/80-ec2.network", "[Match]\nDriver=ena\n[Network]\nDHCP=yes\n", 0o644)
		}
		s.write("/etc/sysconfig/network-scripts/ifcfg-eth1", "DEVICE=eth1\nEC2SYNC=no\n", 0o644)
		s.rpm("--upgrade", rpm(t))
		if got := output(t, "rpm", "--root", s.dir, "--define", "_dbpath /var/lib/rpm", "--query", "--all", "--queryformat", "%{NAME}\n"); got != "ec2net\n" {
			t.Errorf("installed after the update from %s %s: %q", name, version, got)
		}
		if got := s.run("ec2ifup", "--help"); !strings.Contains(got, "Usage:") {
			t.Errorf("ec2ifup is not ours: %s", got)
		}
		if !s.exists("/etc/ec2net/ec2net.toml") {
			t.Error("EC2SYNC=no was not carried over")
		}
		if amazon {
			s.keeps("Driver=ena\n", "RouteMetric=512")
		} else if s.exists(keptNetwork) {
			t.Error("a network configuration appeared")
		}
	}
}

// What is unpacked without rpm goes into the folder that one is in, as with the rpms of rpmbuild: the names in the payload
// are relative. What rpm says of the payload's digest is true of it.
func TestRPMPayload(t *testing.T) {
	for _, arch := range []string{rpmArch, otherRPM} {
		f := file(t, built, rpmName+arch+".rpm")
		names := strings.Fields(output(t, "sh", "-c", `rpm2cpio "$0" | cpio -t --quiet`, f))
		if len(names) < 30 {
			t.Errorf("%s has %d files", f, len(names))
		}
		for _, name := range names {
			if !strings.HasPrefix(name, "./") {
				t.Errorf("%s would be unpacked as %s", f, name)
			}
		}
		if got := output(t, "rpm", "--checksig", "--verbose", f); strings.Contains(got, "BAD") || !strings.Contains(got, "Payload SHA256 digest: OK") {
			t.Errorf("%s:\n%s", f, got)
		}
	}
}

// An rpm that is rebuilt needs what its scriptlets call.
func TestRPMRequires(t *testing.T) {
	got := strings.Fields(output(t, "rpm", "-qp", "--requires", rpm(t)))
	for _, want := range []string{"/bin/sh", "coreutils", "grep"} {
		if !strings.Contains(strings.Join(got, " "), want) {
			t.Errorf("the rpm does not require %s, only %q", want, got)
		}
	}
}
