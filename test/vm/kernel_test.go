//go:build vm

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ec2net/test/system/debian"
)

// kernel is an unpacked kernel package.
type kernel struct{ dir, version string }

// binaryOf finds the kernel among unpacked packages: in /boot, or, from forky on, beside its modules.
func binaryOf(unpacked string) (file, version string, err error) {
	boot, _ := filepath.Glob(unpacked + "/boot/vmlinuz-*")
	beside, _ := filepath.Glob(unpacked + "/usr/lib/modules/*/vmlinuz")
	switch {
	case len(boot) == 1 && len(beside) == 0:
		return boot[0], strings.TrimPrefix(filepath.Base(boot[0]), "vmlinuz-"), nil
	case len(boot) == 0 && len(beside) == 1:
		return beside[0], filepath.Base(filepath.Dir(beside[0])), nil
	}
	return "", "", fmt.Errorf("one kernel is expected in %s: %v %v", unpacked, boot, beside)
}

// index makes the list of what depends on what. Newer packages have their modules below /usr.
func (k kernel) index() error {
	if _, err := os.Stat(k.dir + "/lib"); errors.Is(err, fs.ErrNotExist) {
		if err := os.Symlink("usr/lib", k.dir+"/lib"); err != nil {
			return err
		}
	}
	return debian.Run("depmod", "-b", k.dir, k.version)
}

// needs lists the files of modules and of all that they depend on, in the order of loading.
func (k kernel) needs(names string) (files []string, err error) {
	for _, name := range strings.Fields(names) {
		out, err := exec.Command("modprobe", "-d", k.dir, "-S", k.version, "--show-depends", name).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("module %s: %w: %s", name, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "insmod" {
				files = append(files, f[1])
			}
		}
	}
	return files, nil
}

// install copies the modules that the VM may load, and no others: all of them would be 90 MB.
func (k kernel) install(root string) error {
	files, err := k.needs(strings.Join(modules[:], " "))
	if err != nil {
		return err
	}
	base := "/lib/modules/" + k.version
	for _, list := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		files = append(files, filepath.Join(k.dir, base, list))
	}
	for _, f := range files {
		rel, err := filepath.Rel(k.dir, f)
		if err != nil {
			return err
		}
		lib := filepath.Join(root, strings.TrimPrefix(rel, "usr/"))
		if _, err := os.Readlink(root + "/lib"); err == nil { // as everywhere but in bullseye
			lib = filepath.Join(root, "usr", strings.TrimPrefix(rel, "usr/"))
		}
		if err := debian.Copy(f, lib); err != nil {
			return err
		}
	}
	return debian.Run("depmod", "-b", root, k.version)
}

// initrd packs busybox, the modules for the disks, and the script.
func (k kernel) initrd(to string) error {
	files, err := k.needs(modules[0])
	if err != nil {
		return err
	}
	a := &archive{}
	for _, dir := range []string{"bin", "mod", "proc", "sys", "dev", "root", "ro", "rw"} {
		a.add(dir, 0o040755, nil)
	}
	busybox, err := firstFile(k.dir+"/bin/busybox", k.dir+"/usr/bin/busybox")
	if err != nil {
		return err
	}
	a.add("bin/busybox", 0o100755, busybox)
	for _, applet := range []string{"sh", "mount", "insmod", "switch_root", "mkdir", "sleep", "tar"} {
		a.add("bin/"+applet, 0o120777, []byte("busybox"))
	}
	var order []string
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".xz")
		if strings.Contains(strings.Join(order, " "), name) {
			continue
		}
		b, err := plain(f)
		if err != nil {
			return err
		}
		order = append(order, name)
		a.add("mod/"+name, 0o100644, b)
	}
	a.add("mods", 0o100644, []byte(strings.Join(order, "\n")+"\n"))
	a.add("init", 0o100755, []byte(initScript))
	return os.WriteFile(to, a.bytes(), 0o644)
}

func firstFile(names ...string) (b []byte, err error) {
	for _, n := range names {
		if b, err = os.ReadFile(n); err == nil {
			return b, nil
		}
	}
	return nil, err
}

// plain reads a module, which may be compressed.
func plain(file string) ([]byte, error) {
	if strings.HasSuffix(file, ".xz") {
		return exec.Command("xz", "-dc", file).Output()
	}
	return os.ReadFile(file)
}

// archive is a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	buf   bytes.Buffer
	count int
}

func (a *archive) add(name string, mode uint32, data []byte) {
	a.count++
	fmt.Fprintf(&a.buf, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.buf.WriteString(name + "\x00")
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

func (a *archive) bytes() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.buf.Bytes()
}
