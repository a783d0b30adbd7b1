//go:build packages

package packaging_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dnf runs dnf on the system, which knows one repository, in this folder. Nothing is asked of a network, and nothing of
// the machine can be written to.
func (s system) dnf(repository string, args ...string) string {
	s.Helper()
	return output(s.T, "unshare", append([]string{"--mount", "sh", "-c", `mount -o remount,bind,ro / && TMPDIR="$0" exec dnf "$@"`, s.dir + "/tmp",
		"--installroot", s.dir, "--releasever=9", "--setopt=reposdir=/dev/null", "--repofrompath=test,file://" + repository, "--nogpgcheck",
		"--setopt=plugins=0", "--setopt=install_weak_deps=0", "--setopt=tsflags=", "--setopt=cachedir=" + s.dir + "/var/cache/dnf", "--assumeyes", "--quiet"}, args...)...)
}

// published is a repository of the given rpms, as createrepo_c makes it.
func published(t *testing.T, rpms ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range rpms {
		data, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f)), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	output(t, "createrepo_c", "--quiet", dir)
	return dir
}

// A host of the Red Hat family, by its own package manager, with what ec2net requires resolved: an update from
// amazon-ec2-net-utils replaces that package by ec2net, a newer ec2net is an update, and a removal takes all of it away and
// nothing else. Who asks for the other package's name gets ec2net.
func TestDNF(t *testing.T) {
	s := clean(t)
	base := stubRPM(t, "base", "1", "provides: [coreutils, grep, /bin/sh]\n")
	old := stub(t, "amazon-ec2-net-utils", "2.5.1")
	s.dnf(published(t, base, old), "install", "amazon-ec2-net-utils")
	s.installed("amazon-ec2-net-utils")
	s.dnf(published(t, base, old, rpm(t)), "upgrade")
	s.installed("base", "ec2net")
	if got := s.run("ec2ifup", "--help"); !strings.Contains(got, "Usage:") {
		t.Errorf("ec2ifup is not ours: %s", got)
	}
	s.dnf(published(t, base, rpm(t), file(t, upgrades, newerRPM+rpmArch+".rpm")), "upgrade")
	if got := s.run("ec2net", "--version"); got != "ec2net version "+newer+"\n" {
		t.Errorf("after the update it says %q", got)
	}
	if got := s.dnf(published(t, base), "check"); got != "" {
		t.Errorf("dnf check finds %s", got)
	}
	s.dnf(published(t, base, rpm(t)), "remove", "ec2net")
	s.installed()                                                        // with what only ec2net required
	s.dnf(published(t, base, rpm(t)), "install", "amazon-ec2-net-utils") // a name that ec2net provides
	s.installed("base", "ec2net")
}

// installed wants these packages, and no others.
func (s system) installed(names ...string) {
	s.Helper()
	got := output(s.T, "rpm", "--root", s.dir, "--query", "--all", "--queryformat", "%{NAME}\n")
	if sorted := output(s.T, "sh", "-c", "printf %s \"$0\" | sort", got); strings.TrimSpace(sorted) != strings.Join(names, "\n") {
		s.Errorf("installed: %q, want %q", strings.Fields(got), names)
	}
}
