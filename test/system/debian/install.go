package debian

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
)

// Package is the newest deb for this machine's architecture that `make deb` or `make packages` built.
func Package() (string, error) {
	dir, err := cache()
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "dist", "*_"+runtime.GOARCH+".deb"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(errors.New("no deb in dist: run make deb"), err)
	}
	return slices.MaxFunc(files, func(a, b string) int { return cmp.Compare(modified(a), modified(b)) }), nil
}

func modified(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

// Install installs the built package into a root that is not running.
func Install(root string) error {
	deb, err := Package()
	if err != nil {
		return err
	}
	const inside = "/var/cache/ec2net.deb"
	if err := Copy(deb, root+inside); err != nil {
		return err
	}
	defer os.Remove(root + inside)
	cmd := exec.Command("dpkg", "--install", inside)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install %s: %w: %s", deb, err, out)
	}
	return nil
}

// Copy copies a file and its mode.
func Copy(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return Write(to, string(b), info.Mode().Perm())
}

// Write makes a file and the folders above it.
func Write(path, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
