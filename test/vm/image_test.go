//go:build vm

package vm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ec2net/test/system/debian"
)

// modules are what the VM loads: the first line in the initial RAM disk, the rest from the image.
var modules = [...]string{
	"virtio_pci virtio_blk ext4 overlay",
	"virtio_net virtio_rng dummy bonding 8021q veth bridge nf_tables nft_ct nft_chain_nat nft_masq",
}

// guest is what the image has beyond the release: a shell for the tests, and the first interface's manager.
var guest = map[string]string{
	"/etc/systemd/system/test-shell.service": `[Unit]
DefaultDependencies=no
After=systemd-udevd.service
[Service]
Environment=PS1= PS2= TERM=dumb HOME=/root
ExecStart=/bin/sh -c 'stty -echo -onlcr; echo @@ready@@; exec /bin/bash --norc --noprofile --noediting'
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS1
TTYReset=no
Restart=always
RestartSec=0
IgnoreSIGPIPE=no
`,
	"/etc/systemd/network/20-first.network": "[Match]\nName=ens5\n[Network]\nDHCP=ipv4\n",
	"/etc/machine-id":                       "3d1219c7c4c5404aaa1f6d2a48ad0002\n",
	"/etc/hostname":                         "instance\n",
	"/etc/fstab":                            "",
}

var links = map[string]string{
	"/etc/systemd/system/sysinit.target.wants/test-shell.service":          "../test-shell.service",
	"/etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "/lib/systemd/system/systemd-networkd.service",
}

var masked = [...]string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"getty@tty1.service", "serial-getty@ttyS0.service", "systemd-networkd-wait-online.service", "systemd-hwdb-update.service",
}

// init is the first program: the image below a tmpfs, and what is tested unpacked onto it.
const initScript = `#!/bin/sh
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sysfs /sys
while read m; do insmod /mod/$m; done </mods
n=0; while [ ! -e /dev/vdb ] && [ $n -lt 100 ]; do sleep .1; n=$((n+1)); done
mount -t ext4 -o ro /dev/vda /ro || exec sh
mount -t tmpfs -o size=75% rw /rw; mkdir /rw/u /rw/w
mount -t overlay -o lowerdir=/ro,upperdir=/rw/u,workdir=/rw/w overlay /root || exec sh
tar -C /root -xf /dev/vdb || exec sh
mount --move /dev /root/dev; mount --move /proc /root/proc; mount --move /sys /root/sys
exec switch_root /root /sbin/init
`

// image returns the folder with a release's kernel, initial RAM disk and root.
func image(suite string) (string, error) {
	root, err := debian.Root(suite)
	if err != nil {
		return "", err
	}
	recipe := fmt.Sprint(filepath.Base(root), modules, guest, links, masked, initScript)
	return debian.Once("vm-"+suite, recipe, func(dir string) error { return makeImage(suite, root, dir) })
}

// kernelOf is where a release's kernel is from: for what comes next, the next kernel.
func kernelOf(suite string) string {
	if suite == debian.Sid {
		return debian.Experimental
	}
	return suite
}

func makeImage(suite, root, dir string) error {
	work, err := os.MkdirTemp("", "ec2net-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unpacked := filepath.Join(work, "debs")
	for name, from := range map[string]string{"linux-image-cloud-amd64": kernelOf(suite), "busybox-static": suite} {
		if err := debian.Fetch(from, unpacked, name); err != nil {
			return err
		}
	}
	binary, version, err := binaryOf(unpacked)
	if err != nil {
		return err
	}
	if err := debian.Copy(binary, dir+"/vmlinuz"); err != nil {
		return err
	}
	k := kernel{unpacked, version}
	if err := k.index(); err != nil {
		return err
	}
	if err := k.initrd(dir + "/initrd"); err != nil {
		return err
	}
	return rootImage(root, filepath.Join(work, "root"), k, dir+"/root.ext4")
}

// rootImage copies the release, adds the modules and what the tests need, and packs it.
func rootImage(root, copied string, k kernel, to string) error {
	if err := debian.Run("cp", "-a", root, copied); err != nil {
		return err
	}
	for path, text := range guest {
		if err := debian.Write(copied+path, text, 0o644); err != nil {
			return err
		}
	}
	for path, target := range links {
		if err := os.MkdirAll(filepath.Dir(copied+path), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, copied+path); err != nil {
			return err
		}
	}
	for _, unit := range masked {
		if err := os.Symlink("/dev/null", copied+"/etc/systemd/system/"+unit); err != nil {
			return err
		}
	}
	if err := k.install(copied); err != nil {
		return err
	}
	if err := os.WriteFile(to, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(to, 700<<20); err != nil {
		return err
	}
	return debian.Run("mkfs.ext4", "-q", "-F", "-O", "^has_journal,^metadata_csum", "-m", "0", "-d", copied, to)
}

// payload installs the package over the release and packs what that adds. The VM unpacks it before it
// starts its own init, so that the image never depends on what is tested.
func payload(suite string) error {
	root, err := debian.Root(suite)
	if err != nil {
		return err
	}
	dir := filepath.Join(scratch(), suite)
	upper, work, merged := dir+"/upper", dir+"/work", dir+"/merged"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// In memory: the system's temporary folder may itself be an overlay, which can not lie on top of one.
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, d := range []string{upper, work, merged} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", root, upper, work)); err != nil {
		return fmt.Errorf("mount an overlay on %s: %w", root, err)
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	if err := debian.Install(merged); err != nil {
		return err
	}
	out, err := exec.Command("tar", "-C", upper, "-cf", payloadFile(suite), ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("pack what is tested: %w: %s", err, out)
	}
	return nil
}

func payloadFile(suite string) string { return filepath.Join(scratch(), suite+".tar") }
