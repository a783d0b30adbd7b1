package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mount is one mount of a node.
type mount struct {
	kind, dir, data string
}

// isolateMounts gives the calling thread's mount namespace an empty /run and a /sys that shows the
// thread's network namespace.
func isolateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return mountAll(mount{"tmpfs", "/run", "mode=755,size=64m"}, mount{"sysfs", "/sys", ""})
}

func mountAll(ms ...mount) error {
	for _, m := range ms {
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.dir, err)
		}
	}
	return nil
}

// hostMounts makes the calling thread's mount namespace that of a host of its own. Beyond
// isolateMounts, /etc can be written without touching the machine's (dhclient-script rewrites
// resolv.conf), and leases of DHCP clients are not left on the machine.
func hostMounts() error {
	if err := isolateMounts(); err != nil {
		return err
	}
	if err := overlayEtc(); err != nil {
		return err
	}
	for _, dir := range []string{"/var/lib/dhcp", "/var/lib/dhcpcd"} {
		err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,size=16m")
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("mount tmpfs on %s: %w", dir, err)
		}
	}
	return nil
}

// overlayEtc puts a writable layer over /etc. Its upper directory lies in a tmpfs that is then
// hidden below the /run that the host sees.
func overlayEtc() error {
	const upper, work = "/run/upper", "/run/work"
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(filepath.Clean(dir), 0o755); err != nil {
			return fmt.Errorf("prepare a private /etc: %w", err)
		}
	}
	return mountAll(
		mount{"overlay", "/etc", "lowerdir=/etc,upperdir=" + upper + ",workdir=" + work},
		mount{"tmpfs", "/run", "mode=755,size=64m"},
	)
}
