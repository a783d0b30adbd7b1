//go:build system

package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"ec2net/test/system/debian"
)

// masked are the units that would act on the machine that the containers run on: they share its kernel,
// and /sys and /proc/sys are writable there, without which there is no udevd.
var masked = [...]string{
	"systemd-sysctl.service", "systemd-modules-load.service", "systemd-random-seed.service", "systemd-binfmt.service",
	"systemd-udev-trigger.service", "systemd-logind.service", "systemd-timesyncd.service", "systemd-hwdb-update.service",
	"kmod-static-nodes.service", "systemd-tmpfiles-setup-dev.service", "systemd-tmpfiles-setup-dev-early.service",
	"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
	"sys-fs-fuse-connections.mount", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
	"e2scrub_reap.service", "fstrim.timer", "systemd-tmpfiles-clean.timer", "console-getty.service", "getty@.service",
}

// fixture is what a container has beyond the release: the coldplug of network interfaces alone, and interfaces that
// count as the cloud's although they are veths. This machine has no DMI, so the cloud is named.
var fixture = map[string]string{
	"/etc/systemd/system/test-coldplug.service": `[Unit]
DefaultDependencies=no
Wants=systemd-udevd.service
After=systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-match=net
`,
	"/etc/udev/rules.d/90-test.rules":                   `SUBSYSTEM=="net", ENV{ID_NET_DRIVER}=="veth", ENV{EC2NET_MANAGE}="1"` + "\n",
	"/etc/systemd/system/ec2net-ifup@.service.d/t.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/ec2net --cloud ec2 run %I\n",
	"/etc/systemd/system/ec2net-scan.service.d/t.conf":  "[Service]\nExecStart=\nExecStart=/usr/sbin/ec2net --cloud ec2 scan\n",
	"/etc/systemd/system/ec2net-scan@.service.d/t.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/ec2net --cloud ec2 scan\n",
	"/etc/machine-id":         "3d1219c7c4c5404aaa1f6d2a48ad0001\n",
	"/etc/hostname":           "instance\n",
	"/etc/fstab":              "",
	"/etc/network/interfaces": "auto lo\niface lo inet loopback\n",
}

// layer is a folder on the tmpfs over the layers below it, the lowest last.
type layer []string

// mount puts a fresh writable layer on top and mounts the whole at dir/root.
func (l layer) mount(dir string) (layer, string, error) {
	upper, work, root := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "root")
	for _, d := range []string{upper, work, root} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, "", err
		}
	}
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(l, ":"), upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, data); err != nil {
		return nil, "", fmt.Errorf("mount %s: %w", root, err)
	}
	return append(layer{upper}, l...), root, nil
}

// prepared are the layers that all machines of a kind begin with, made once.
var prepared sync.Map

type once struct {
	sync.Once
	layer layer
	err   error
}

// base is a release with the fixture, with or without the package installed.
func base(suite string, installed bool) (layer, error) {
	name := suite
	if installed {
		name += "-ec2net"
	}
	v, _ := prepared.LoadOrStore(name, &once{})
	o := v.(*once)
	o.Do(func() { o.layer, o.err = makeBase(suite, name, installed) })
	return o.layer, o.err
}

func makeBase(suite, name string, installed bool) (layer, error) {
	below := layer{os.Getenv(rootEnv + suite)}
	if installed {
		var err error
		if below, err = base(suite, false); err != nil {
			return nil, err
		}
	}
	l, root, err := below.mount(filepath.Join(disk, name))
	if err != nil {
		return nil, err
	}
	defer unix.Unmount(root, unix.MNT_DETACH)
	if installed {
		return l, debian.Install(root)
	}
	if err := fixtures(root); err != nil {
		return nil, err
	}
	return l, hush(root, name)
}

func fixtures(root string) error {
	for path, text := range fixture {
		if err := os.RemoveAll(root + path); err != nil {
			return err
		}
		if err := debian.Write(root+path, text, 0o644); err != nil {
			return err
		}
	}
	units := root + "/etc/systemd/system/"
	for _, unit := range masked {
		_ = os.Remove(units + unit)
		if err := os.Symlink("/dev/null", units+unit); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(units+"sysinit.target.wants", 0o755); err != nil {
		return err
	}
	return os.Symlink("../test-coldplug.service", units+"sysinit.target.wants/test-coldplug.service")
}
