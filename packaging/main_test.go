//go:build packages

// Package packaging_test builds the packages and installs them into clean systems. It needs root, the
// programs that test/setup installs, and the first time the network, for a Debian to install into.
package packaging_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ec2net/test/testkit"
)

// What the packages of the tests are built from: the date is no round one, and not today.
const (
	epoch     = "1795267823"
	version   = "v0.9.0-rc1"
	debName   = "ec2net_0.9.0~rc1-1_"
	rpmName   = "ec2net-0.9.0~rc1-1."
	newer     = "v0.9.0"
	newerDeb  = "ec2net_0.9.0-1_"
	newerRPM  = "ec2net-0.9.0-1."
	debArch   = "amd64"
	rpmArch   = "x86_64"
	otherDeb  = "arm64"
	otherRPM  = "aarch64"
	bothArchs = "amd64,arm64"
)

func TestMain(m *testing.M) {
	err := testkit.Programs("dpkg", "dpkg-deb", "rpm", "lintian", "rpmlint", "man", "mandoc", "mmdebstrap", "bash", "zsh", "fish", "ip", "git", "shellcheck", "setpriv")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "installing packages takes root")
		os.Exit(1)
	}
	if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); err != nil {
		fmt.Fprintf(os.Stderr, "%v: run test/setup test\n", err)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "ec2net-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("EC2NET_PACKAGES", dir)
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// snapshot is a copy of the sources: they may be edited while the tests run.
var snapshot = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(os.Getenv("EC2NET_PACKAGES"), "snapshot")
	return dir, copySources("..", dir)
})

// built are the packages of both architectures, made once for all tests.
var built = sync.OnceValues(func() (string, error) { return build("first", version, bothArchs) })

// upgrades are those of a newer version.
var upgrades = sync.OnceValues(func() (string, error) { return build("newer", newer, debArch) })

// build runs the build and returns the folder with the packages.
func build(name, version, arches string) (string, error) {
	tree, err := snapshot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(os.Getenv("EC2NET_PACKAGES"), name)
	c := exec.Command("go", "run", "./packaging/build", "-out", out, "-arch", arches)
	c.Dir = tree
	c.Env = append(os.Environ(), "VERSION="+version, "SOURCE_DATE_EPOCH="+epoch)
	if b, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the packages: %w\n%s", err, b)
	}
	return out, nil
}

// file is a package of one of the builds.
func file(t *testing.T, build func() (string, error), name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func deb(t *testing.T) string { t.Helper(); return file(t, built, debName+debArch+".deb") }
func rpm(t *testing.T) string { t.Helper(); return file(t, built, rpmName+rpmArch+".rpm") }

// output is what a program prints, when it succeeds.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var complaint bytes.Buffer
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	c.Stderr = &complaint
	b, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(c.Args, " "), err, b, complaint.String())
	}
	return string(b)
}

// unpacked is the deb's content in a folder.
func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", deb(t), dir)
	return dir
}

var read = testkit.Read
