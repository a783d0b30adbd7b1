// Package debian makes the Debian root file systems that the system and the VM tests boot.
//
// A root is made once by mmdebstrap and kept below the repository's .cache, in a folder named by a
// hash of its recipe. It is never booted nor written to: tests put an overlay on it.
package debian

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The releases that the tests can boot.
const (
	Bullseye = "bullseye" // systemd 247, Linux 5.10
	Bookworm = "bookworm" // systemd 252, Linux 6.1
	Trixie   = "trixie"   // systemd 257, Linux 6.12
	Forky    = "forky"    // systemd 262, Linux 7.2: Debian's next
	Sid      = "sid"      // what comes after it: `make test-next`
)

// Experimental is no release: it has packages that are not even in Sid, such as the next kernel.
const Experimental = "experimental"

// Suites are the releases that a run boots: Bookworm and Trixie, or those that EC2NET_SUITES names.
func Suites() ([]string, error) {
	known := []string{Bullseye, Bookworm, Trixie, Forky, Sid}
	named := strings.Fields(os.Getenv("EC2NET_SUITES"))
	if len(named) == 0 {
		return []string{Bookworm, Trixie}, nil
	}
	for _, suite := range named {
		if !slices.Contains(known, suite) {
			return nil, fmt.Errorf("EC2NET_SUITES: %q is none of %s", suite, strings.Join(known, ", "))
		}
	}
	return named, nil
}

// Mirror is where this machine's own apt gets Debian from.
func Mirror() (string, error) {
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian", "Label: Debian").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its sources: %w", err)
	}
	site, _, _ := strings.Cut(string(out), "\n")
	if site == "" {
		return "", errors.New("apt has no list of Debian's packages here: add Debian's archive to its sources, and run apt-get update")
	}
	return site, nil
}

// packages are what the tests boot, and the network managers that they set beside us.
func packages(suite string) []string {
	list := []string{"systemd", "systemd-sysv", "udev", "dbus", "iproute2", "kmod", "procps", "network-manager", "ifupdown"}
	switch suite {
	case Bullseye:
		return append(list, "isc-dhcp-client", "dhcpcd5")
	case Forky, Sid: // have no isc-dhcp-client any more: their ifupdown calls dhcpcd
		return append(list, "dhcpcd-base")
	}
	return append(list, "isc-dhcp-client", "dhcpcd-base")
}

// managers must not start by themselves: a test starts the one that it is about.
var managers = [...]string{
	"NetworkManager.service", "NetworkManager-dispatcher.service", "NetworkManager-wait-online.service",
	"networking.service", "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service",
	"dhcpcd.service",
}

// options make a root small and quick to build; the tests read no manuals.
var options = [...]string{
	"--variant=minbase", "--format=directory", "--quiet",
	`--aptopt=Acquire::Languages "none"`, `--aptopt=APT::Install-Recommends "false"`,
	"--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
	"--dpkgopt=path-include=/usr/share/doc/ec2net/*",
}

// moving are the options for a release that is not out yet: a mirror's copy of it may be older than it says it may get.
func moving(suite string) []string {
	if suite == Forky || suite == Sid {
		return []string{`--aptopt=Acquire::Check-Valid-Until "false"`}
	}
	return nil
}

// cache is the folder for what takes long to make, below the repository, and git ignores it.
func cache() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			dir = filepath.Join(dir, ".cache")
			return dir, os.MkdirAll(dir, 0o755)
		}
	}
	return "", errors.New("find the repository: no go.mod above the working directory")
}

// Root returns the folder with a release's root file system, and makes it when it is not there, or that with more packages
// of Debian, which begins as a copy of the other. It needs root and, the first time, the network: half a minute or so.
func Root(suite string, more ...string) (string, error) {
	recipe := strings.Join(slices.Concat(options[:], moving(suite), packages(suite), managers[:]), "\n")
	plain, err := Once("root-"+suite, recipe, func(dir string) error { return bootstrap(suite, dir) })
	if err != nil || len(more) == 0 {
		return plain, err
	}
	recipe = strings.Join(append([]string{filepath.Base(plain), addition}, more...), "\n")
	return Once("root-"+suite+"-"+more[0], recipe, func(dir string) error { return extend(plain, dir, more) })
}

// Once returns the folder for something that recipe describes, and has it made when it is not there.
// Processes that want the same wait for each other. What an interrupted one left is removed.
func Once(name, recipe string, make func(dir string) error) (string, error) {
	dir, err := cache()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, fmt.Sprintf("%s-%.6x", name, sha256.Sum256([]byte(recipe))))
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock %s: %w", dir, err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", dir, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	return dir, build(dir, make)
}

// build makes the folder under another name first, so that a half-made one is never taken for whole.
func build(dir string, make func(string) error) error {
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("remove what was left of %s: %w", part, err)
	}
	if err := make(part); err != nil {
		return errors.Join(fmt.Errorf("make %s: %w", dir, err), os.RemoveAll(part))
	}
	return os.Rename(part, dir)
}

func bootstrap(suite, dir string) error {
	site, err := Mirror()
	if err != nil {
		return err
	}
	args := append(slices.Concat(options[:], moving(suite)), "--include="+strings.Join(packages(suite), ","), suite, dir, site)
	if err := Run("mmdebstrap", args...); err != nil {
		return err
	}
	return disable(dir)
}

// addition installs packages into the root $1, in mounts of its own. No service is started, nor a kernel's hook run.
const addition = `set -e
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root" # apt takes the folder for a file system, and asks how much is free there
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$root" apt-get update -qq
chroot "$root" apt-get install -qq -y "$@"
rm -rf "$root/usr/sbin/policy-rc.d" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb`

// extend makes a root with more packages of a copy of one.
func extend(from, dir string, more []string) error {
	if err := Run("cp", "-a", "--reflink=auto", from, dir); err != nil {
		return err
	}
	args := append([]string{"--mount", "--uts", "--ipc", "--pid", "--fork", "sh", "-c", addition, "sh", dir}, more...)
	if err := Run("unshare", args...); err != nil {
		return err
	}
	return disable(dir)
}

func disable(dir string) error {
	for _, unit := range managers {
		if err := Run("systemctl", "--root="+dir, "disable", "--quiet", unit); err != nil && !strings.Contains(err.Error(), "does not exist") {
			return err
		}
	}
	return nil
}

// Run runs a program and, when it fails, returns what it said.
func Run(name string, args ...string) error {
	runtime.LockOSThread() // Pdeathsig follows the thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command(name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return nil
}
