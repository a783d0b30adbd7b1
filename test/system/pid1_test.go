//go:build system

package system

// pid1 prepares what systemd-nspawn does not: a /sys that shows the container's network, since nspawn mounts
// it in ours, and a sign of udevd, since PID 1 listens to udev's events only where /run/udev/control is there
// or /dev is a devtmpfs, which it is not.
const pid1 = `set -e
mount --make-rprivate /
mount -t sysfs sysfs /mnt
mount --bind /sys/fs/cgroup /mnt/fs/cgroup
mount --rbind /mnt /sys
umount -R -l /mnt
mkdir -p /run/udev
: >/run/udev/control
exec `

func (m *machine) pid1() string {
	if m.hardware {
		return pid1 + "env --unset=container /lib/systemd/systemd"
	}
	return pid1 + "/lib/systemd/systemd"
}
