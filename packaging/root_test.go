//go:build packages

package packaging_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/system/debian"
)

// peer is Debian's own package for the same job; the clean system has its file.
const peer = "amazon-ec2-net-utils"

// minbase is a Debian of the least packages, without systemd, made once.
func minbase(t *testing.T) string {
	t.Helper()
	args := []string{
		"--variant=minbase", "--format=directory", "--quiet", "--dpkgopt=force-unsafe-io",
		`--aptopt=Acquire::Languages "none"`, "--include=init-system-helpers",
		`--customize-hook=chroot "$1" sh -c "cd /var/cache && apt-get download ` + peer + `"`, "bookworm",
	}
	dir, err := debian.Once("minbase", strings.Join(args, "\n"), func(dir string) error {
		site, err := debian.Mirror()
		if err != nil {
			return err
		}
		return debian.Run("mmdebstrap", append(args, dir, site)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// system is a clean Debian to install into, with a network of its own.
type system struct {
	*testing.T
	dir string
}

// clean makes a system that is gone after the test. The test's thread is in namespaces of its own and
// is never unlocked, so that it ends with the test.
func clean(t *testing.T) system {
	t.Helper()
	below, dir := minbase(t), t.TempDir()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS); err != nil {
		t.Fatal(err)
	}
	mount(t, "", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	mount(t, "tmpfs", dir, "tmpfs", 0, "")
	root := filepath.Join(dir, "root")
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, "overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", below, dir, dir))
	mount(t, "proc", root+"/proc", "proc", 0, "")
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := system{t, root}
	s.write("/run/.kept", "", 0o644) // else the tree would lose /run, which is empty
	return s
}

func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
}

// try runs a command in the system, as root there.
func (s system) try(name string, args ...string) (string, error) {
	s.Helper()
	c := exec.Command("/usr/bin/env", append([]string{name}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: s.dir}
	c.Dir = "/"
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	b, err := c.CombinedOutput()
	return string(b), err
}

func (s system) run(name string, args ...string) string {
	s.Helper()
	out, err := s.try(name, args...)
	if err != nil {
		s.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// dpkg acts on the deb of a build, which lies outside of the system.
func (s system) install(deb string, options ...string) string {
	s.Helper()
	s.write("/var/cache/x.deb", read(s.T, deb), 0o644)
	return s.run("dpkg", append(options, "--install", "/var/cache/x.deb")...)
}

// rpm acts on the system by this machine's rpm, which enters and leaves the system's root many times, with the machine's
// own root read-only: what should go astray is an error there. The scriptlets run inside.
func (s system) rpm(args ...string) string {
	s.Helper()
	return output(s.T, "unshare", append([]string{"--mount", "sh", "-c", `mount -o remount,bind,ro / && exec rpm "$@"`, "rpm",
		"--root", s.dir, "--define", "_dbpath /var/lib/rpm", "--nodeps"}, args...)...)
}

func (s system) write(path, text string, mode fs.FileMode) {
	s.Helper()
	if err := debian.Write(s.dir+path, text, mode); err != nil {
		s.Fatal(err)
	}
}

func (s system) exists(path string) bool {
	_, err := os.Lstat(s.dir + path)
	return err == nil
}

// tree is everything that is in the system, but for the package managers' own books.
func (s system) tree() map[string]string {
	s.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, s.dir)
		if err != nil {
			return err
		}
		if slices.Contains([]string{"/proc", "/var/lib/dpkg", "/var/lib/rpm", "/var/log", "/var/cache"}, name) {
			return filepath.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[name] = info.Mode().String()
		if info.Mode().IsRegular() {
			all[name] += fmt.Sprint(" ", info.Size())
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// same complains about what is left over, or gone, or changed.
func (s system) same(before map[string]string) {
	s.Helper()
	after := s.tree()
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] != after[name] {
			s.Errorf("left: %s %s, was %q", name, after[name], before[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] == "" {
			s.Errorf("lost: %s", name)
		}
	}
}

// recorder stands in for a program and writes down how it was called.
const recorder = "#!/bin/sh\necho \"${0##*/} $*\" >>/calls\n"

// booted makes the system look as if systemd ran it, with systemctl and udevadm that only write down
// what they are asked for: what the real ones do then is for the tests that boot.
func (s system) booted() {
	s.Helper()
	s.write("/run/systemd/system/.kept", "", 0o644)
	s.write("/usr/bin/systemctl", recorder, 0o755)
	s.write("/usr/bin/udevadm", recorder, 0o755)
}

// calls are those since the last time.
func (s system) calls() []string {
	s.Helper()
	b, err := os.ReadFile(s.dir + "/calls")
	if err != nil {
		return nil
	}
	if err := os.Remove(s.dir + "/calls"); err != nil {
		s.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func (s system) called(step string, want ...string) {
	s.Helper()
	if got := s.calls(); !slices.Equal(got, want) {
		s.Errorf("%s calls\n\t%s\nwant\n\t%s", step, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
