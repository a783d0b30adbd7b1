//go:build system

package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroups = "/sys/fs/cgroup"
	disk    = "/run/machines" // tmpfs, in the sandbox's own mount namespace
)

// ours is this process's cgroup. All containers are below it.
func ours() string { return filepath.Join(cgroups, fmt.Sprintf("ec2net-test-%d", os.Getpid())) }

// isolate is called in the lab's sandbox, where mounts are private. A pure cgroup2 is mounted because the
// machine's own may be a mixture of versions, or none.
func isolate() error {
	if err := unix.Mount("cgroup2", cgroups, "cgroup2", 0, ""); err != nil {
		return fmt.Errorf("mount cgroup2: %w", err)
	}
	if err := os.Mkdir(disk, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "mode=755,size=4g"); err != nil {
		return fmt.Errorf("mount a tmpfs for the machines: %w", err)
	}
	sweep()
	return os.Mkdir(ours(), 0o755)
}

// sweep removes the cgroups of processes that are no more: they were killed before they could.
func sweep() {
	old, _ := filepath.Glob(filepath.Join(cgroups, "ec2net-test-*"))
	for _, dir := range old {
		if _, err := os.Stat("/proc/" + dir[strings.LastIndex(dir, "-")+1:]); errors.Is(err, fs.ErrNotExist) {
			if err := end(dir); err != nil {
				fmt.Fprintln(os.Stderr, "system tests: left behind:", err)
			}
		}
	}
}

// sweepOutside is sweep for a process outside of the sandbox: on a thread that has mounts of its own, and ends.
func sweepOutside() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if err := unix.Mount("cgroup2", cgroups, "cgroup2", 0, ""); err != nil {
				return fmt.Errorf("mount cgroup2: %w", err)
			}
			sweep()
			return nil
		}()
	}()
	return <-done
}

// leave ends what still runs in our cgroup, and removes it.
func leave() {
	if err := end(ours()); err != nil {
		fmt.Fprintln(os.Stderr, "system tests:", err)
	}
}

// end ends what runs in a cgroup, and removes it.
func end(dir string) error {
	for end := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		err := removeTree(dir)
		if err == nil || time.Now().After(end) {
			return err
		}
		// A kernel before 5.14 has no such file; there the PID namespaces alone have to do.
		_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	}
}

// removeTree removes a cgroup and those below it, which have no files that could be removed.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeTree(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, unix.Rmdir(dir))
}

// lines are the lines of a text that are not empty.
func lines(text string) (out []string) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}
