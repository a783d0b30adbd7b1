package config

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"ec2net/test/testkit"
)

// write puts a file with this mode into a new folder that everybody may enter.
func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	path := filepath.Join(dir, "ec2net.toml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	must(t, os.Chmod(path, mode)) // past the umask
	return path
}

var must = testkit.Must

// refused wants Load to fail with this text, PATH standing for the path.
func refused(t *testing.T, path, want string) {
	t.Helper()
	c, err := Load(path)
	want = strings.ReplaceAll(want, "PATH", path)
	if err == nil || err.Error() != want {
		t.Errorf("Load = %v\nwant   %s", err, want)
	}
	if c.File != "" || c.Defaults != (Interface{}) {
		t.Errorf("a configuration beside an error: %+v", c)
	}
}

// as runs a function as another user, on a thread that ends with it: a raw setresuid changes the
// calling thread only.
func as(t *testing.T, uid uintptr, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid)
		if errno == 0 {
			f()
		}
		done <- os.NewSyscallError("setresuid", errnoError(errno))
	}()
	must(t, <-done)
}

func errnoError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func TestLoad(t *testing.T) {
	for _, mode := range []os.FileMode{0o644, 0o600, 0o400, 0o444, 0o755} {
		path := write(t, "manage = false\n", mode)
		c, err := Load(path)
		must(t, err)
		if c.Defaults.Manage != None || c.File != path {
			t.Errorf("mode %o: %+v", mode, c)
		}
	}
}

func TestLoadWithoutFile(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none.toml"), "/no/such/folder/ec2net.toml"} {
		c, err := Load(path)
		must(t, err)
		if c.File != "" || c.Defaults != Default().Defaults {
			t.Errorf("%s: %+v", path, c)
		}
	}
	refused(t, "", "read the configuration: the file's name is empty")
	refused(t, write(t, "", 0o600)+"/x", "read the configuration: stat PATH: not a directory")
	refused(t, "/etc/a\x00b", "read the configuration: stat PATH: invalid argument")
}

func TestLoadReportsContent(t *testing.T) {
	refused(t, write(t, "manage = 1\nfoo = 1\n", 0o644),
		"PATH:1:10: manage cannot be 1: a number; allowed: true, \"link-up\" or false\n"+
			"PATH:2:1: unknown key \"foo\"; known here: manage, dhcp, main_table, prefixes, replies, refresh, release, wait, metrics_file and priority")
}

func TestLoadMode(t *testing.T) {
	for mode, octal := range map[os.FileMode]string{0o664: "0664", 0o646: "0646", 0o666: "0666", 0o777: "0777", 0o602: "0602"} {
		refused(t, write(t, "", mode), "PATH: users other than its owner may write it (mode "+octal+
			"), so ec2net does not trust it; run: chmod go-w PATH")
	}
}

func TestLoadOwner(t *testing.T) {
	path := write(t, "", 0o644)
	must(t, os.Chown(path, 1234, 0))
	refused(t, path, "PATH: owned by user 1234, not by root, so ec2net does not trust it; run: chown root PATH")
	must(t, os.Chmod(path, 0o666))
	refused(t, path, "PATH: owned by user 1234, not by root, so ec2net does not trust it; run: chown root PATH\n"+
		"PATH: users other than its owner may write it (mode 0666), so ec2net does not trust it; run: chmod go-w PATH")
}

// TestLoadAsUser: who is not root may read root's file and his own, but not what a third one wrote.
func TestLoadAsUser(t *testing.T) {
	const nobody = 65534
	mine, roots, third, secret := write(t, "", 0o644), write(t, "", 0o644), write(t, "", 0o644), write(t, "", 0o600)
	must(t, os.Chown(mine, nobody, nobody))
	must(t, os.Chown(third, 1234, 1234))
	as(t, nobody, func() {
		for _, path := range []string{mine, roots} {
			if _, err := Load(path); err != nil {
				t.Errorf("Load: %v", err)
			}
		}
		refused(t, third, "PATH: owned by user 1234, not by root, so ec2net does not trust it; run: chown root PATH")
		refused(t, secret, "read the configuration: open PATH: permission denied")
	})
}

func TestLoadQuotesCommands(t *testing.T) {
	path := write(t, "", 0o666)
	odd := filepath.Join(filepath.Dir(path), "it's $(odd).toml")
	must(t, os.Rename(path, odd))
	shell := "'" + strings.ReplaceAll(odd, "'", `'\''`) + "'"
	refused(t, odd, "PATH: users other than its owner may write it (mode 0666), so ec2net does not trust it; run: chmod go-w "+shell)
	if got := quoted("-x.toml"); got != "'./-x.toml'" {
		t.Errorf("quoted = %s", got)
	}
}

func TestLoadSize(t *testing.T) {
	if _, err := Load(write(t, "#"+strings.Repeat("x", maxSize-1), 0o644)); err != nil {
		t.Errorf("a file of the greatest size: %v", err)
	}
	refused(t, write(t, "#"+strings.Repeat("x", maxSize), 0o644), "PATH: larger than 1048576 bytes: too large for a configuration")
}

// TestLoadIrregular must not block on the pipe, nor read the device.
func TestLoadIrregular(t *testing.T) {
	dir := t.TempDir()
	refused(t, dir, "PATH: a directory, not a regular file")
	refused(t, "/dev/zero", "PATH: a device, not a regular file")

	fifo := filepath.Join(dir, "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	refused(t, fifo, "PATH: a pipe, not a regular file")

	sock := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", sock)
	must(t, err)
	defer l.Close()
	refused(t, sock, "PATH: a socket, not a regular file")
}

func TestLoadSymlink(t *testing.T) {
	link := func(target string) string {
		path := filepath.Join(t.TempDir(), "link.toml")
		must(t, os.Symlink(target, path))
		return path
	}
	good := link(write(t, "dhcp = \"off\"", 0o644))
	c, err := Load(good)
	must(t, err)
	if c.Defaults.DHCP != Off || c.File != good {
		t.Errorf("through a link: %+v", c)
	}
	refused(t, link(write(t, "", 0o666)), "PATH: users other than its owner may write it (mode 0666), so ec2net does not trust it; run: chmod go-w PATH")
	refused(t, link("/no/such/file"), "read the configuration: stat PATH: no such file or directory")
	loop := filepath.Join(t.TempDir(), "loop")
	must(t, os.Symlink(loop, loop))
	refused(t, loop, "read the configuration: stat PATH: too many levels of symbolic links")
}

// TestLoadNoDescriptors: what is refused is closed too.
func TestLoadNoDescriptors(t *testing.T) {
	good, huge, broken := write(t, "", 0o644), write(t, strings.Repeat("#", maxSize+1), 0o644), write(t, "x", 0o644)
	before := testkit.Descriptors(t)
	for range 50 {
		_, err1 := Load(good)
		_, err2 := Load(huge)
		_, err3 := Load(broken)
		if err1 != nil || err2 == nil || err3 == nil {
			t.Fatal(errors.Join(err1, err2, err3))
		}
	}
	if after := testkit.Descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
