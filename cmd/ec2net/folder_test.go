package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// The folder is 0700 and its files are 0600, whatever the umask and whatever the folder was.
func TestStateIsPrivate(t *testing.T) {
	s := store{filepath.Join(t.TempDir(), "ec2net")}
	for _, before := range []os.FileMode{0, 0o777, 0o755} {
		if before != 0 {
			must(t, os.Chmod(s.dir, before))
		}
		must(t, s.save(record{Name: "eth1"}))
		l, _, err := s.lock("eth1")
		must(t, err)
		for path, want := range map[string]os.FileMode{s.dir: 0o700, s.path("eth1", ".json"): 0o600, s.path("eth1", ".lock"): 0o600} {
			info, err := os.Stat(path)
			must(t, err)
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s is %o, want %o", path, got, want)
			}
		}
		if got := s.holder("eth1"); got != os.Getpid() {
			t.Errorf("held by %d", got)
		}
		l.close()
	}
	if files, _ := os.ReadDir(s.dir); len(files) != 1 {
		t.Errorf("left are %v", files)
	}
}

// Who only looks whether a card is kept keeps nobody from taking it, also when a killed process has left its
// file: status --watch looks whenever something changes, as a card's new process does.
func TestLookingKeepsNobodyOut(t *testing.T) {
	s := store{t.TempDir()}
	must(t, os.WriteFile(s.path("eth1", ".lock"), []byte("4194305\n"), 0o600)) // no process has that number
	looks, err := s.open("eth1", ".lock")
	must(t, err)
	must(t, unix.Flock(int(looks.Fd()), unix.LOCK_SH|unix.LOCK_NB))
	time.AfterFunc(20*time.Millisecond, func() { looks.Close() })
	l, held, err := s.lock("eth1")
	if err != nil || l == nil {
		t.Fatalf("kept by %d, %v", held, err)
	}
	defer l.close()
	if again, held, err := s.lock("eth1"); again != nil || held != os.Getpid() || err != nil {
		t.Errorf("taken twice: %d, %v", held, err)
	}
}

// What somebody else put in place of a record is none, is never waited for, and is replaced, not
// followed.
func TestStateFollowsNothing(t *testing.T) {
	for name, plant := range map[string]func(path, target string) error{
		"symbolic link": func(path, target string) error { return os.Symlink(target, path) },
		"pipe":          func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"folder":        func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"too large": func(path, _ string) error {
			return os.WriteFile(path, append([]byte(`{"name":"eth1"}`), bytes.Repeat([]byte(" "), largestRecord)...), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := store{t.TempDir()}
			target := filepath.Join(t.TempDir(), "target")
			must(t, os.WriteFile(target, []byte(`{"name":"eth1"}`), 0o600))
			for _, suffix := range []string{".json", ".lock"} {
				must(t, plant(s.path("eth1", suffix), target))
			}
			if name == "too large" {
				must(t, os.Remove(s.path("eth1", ".lock")))
			}
			if r, ok := s.load("eth1"); ok && name != "too large" {
				t.Errorf("loaded %+v", r)
			}
			if n := s.holder("eth1"); n != 0 {
				t.Errorf("held by %d", n)
			}
			if name == "folder" {
				notSaved(t, s)
				return
			}
			must(t, s.save(record{Name: "eth1", State: "new"}))
			if r, ok := s.load("eth1"); !ok || r.State != "new" {
				t.Errorf("not replaced: %+v", r)
			}
			if b, _ := os.ReadFile(target); string(b) != `{"name":"eth1"}` {
				t.Errorf("written through: %s", b)
			}
		})
	}
}

// notSaved wants a failure that reads the same each time, and no file that it leaves behind.
func notSaved(t *testing.T, s store) {
	t.Helper()
	before, _ := os.ReadDir(s.dir)
	first, second := s.save(record{Name: "eth1"}), s.save(record{Name: "eth1"})
	if first == nil || second == nil || first.Error() != second.Error() {
		t.Errorf("not the same failure twice: %v, %v", first, second)
	}
	if after, _ := os.ReadDir(s.dir); len(after) != len(before) {
		t.Errorf("left behind: %v", after)
	}
}

// somebodyElses is a folder with a file in it, both of another user: one that we may give away, or, where
// there is no user but us, the system's, which is nobody's here.
func somebodyElses(t *testing.T) (dir, file string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ec2net")
	must(t, os.Mkdir(dir, 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "eth1.json"), []byte(`{"name":"eth1"}`), 0o644))
	if os.Chown(filepath.Join(dir, "eth1.json"), 1, 1) == nil && os.Chown(dir, 1, 1) == nil {
		return dir, "eth1.json"
	}
	return "/etc", "passwd"
}

func TestStateFileOfSomebodyElse(t *testing.T) {
	dir, file := somebodyElses(t)
	if f, err := (store{dir}).open(file, ""); err == nil {
		t.Errorf("%s was opened", f.Name())
	}
}

// A folder that somebody else put there is refused before anything is done.
func TestStateFolderOfSomebodyElse(t *testing.T) {
	theirs, _ := somebodyElses(t)
	link := filepath.Join(t.TempDir(), "ec2net")
	must(t, os.Symlink(t.TempDir(), link))
	for name, dir := range map[string]string{"it belongs to user": theirs, "not a folder": link} {
		t.Run(name, func(t *testing.T) {
			before, _ := os.ReadDir(dir)
			t.Setenv("RUNTIME_DIRECTORY", dir)
			for _, args := range []string{"status", "up eth1", "run eth1", "down eth1", "scan"} {
				var out bytes.Buffer
				got := execute(t.Context(), append([]string{"ec2net", "--cloud", "ec2"}, strings.Fields(args)...), streams{nil, &out, &out})
				if got != exitFailed || !strings.Contains(out.String(), name) || !strings.Contains(out.String(), "refused") {
					t.Errorf("ec2net %s: status %d, %s", args, got, &out)
				}
			}
			if after, _ := os.ReadDir(dir); len(after) != len(before) {
				t.Errorf("written: %v", after)
			}
		})
	}
}

// A full disk is no reason to leave a card dead. Who keeps it is to be seen as soon as there is room, and again
// after somebody has deleted the folder.
func TestKeptWithoutADisk(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	shell(t, c.Instance(), "mkdir -p /run/ec2net", "mount -t tmpfs -o size=4k,mode=700 tmpfs /run/ec2net",
		"head -c 4096 /dev/zero >/run/ec2net/full")
	k := keep(t, c, "eth1")
	answers(t, c, lab.EIP2)
	k.logs(t, "no space left on device")
	kept := fmt.Sprintf("kept by    process %d", k.Process.Pid)
	full := func(why string) {
		t.Helper()
		out := ec2net(t, c, exitOK, "status", "eth1")
		says(t, out, kept, "there is no room left in /run/ec2net", "record     its process could not write it", why)
		if strings.Contains(out, "drift      none") {
			t.Errorf("status knows no drift:\n%s", out)
		}
		says(t, ec2net(t, c, exitOK, "up", "eth0"), "no space left on device")
		findings, _ := diagnosis(t, c)
		if got := roots(findings); got != "warn room" || !explains(findings, "record") {
			t.Errorf("doctor found %q\n%s", got, report(t, c))
		}
	}
	full("not even its number could be written")
	told := func(when string) {
		t.Helper()
		must(t, k.Process.Signal(syscallHUP))
		eventually(t, hang, "who keeps the card "+when, func() bool {
			out, _ := on(t, c, "ec2net", "--cloud", "ec2", "status", "eth1")
			return strings.Contains(out, kept)
		})
	}
	shell(t, c.Instance(), "mount -o remount,size=1m /run/ec2net", "rm /run/ec2net/full")
	told("once there is room")
	if out := ec2net(t, c, exitOK, "status", "eth1"); strings.Contains(out, "record  ") || !strings.Contains(out, "drift      none") {
		t.Errorf("with room again:\n%s", out)
	}
	shell(t, c.Instance(), "head -c 2m /dev/zero >/run/ec2net/full || true")
	must(t, c.Assign("eth1", addr("10.0.2.50")))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, "the new address", func() bool { return strings.Contains(addresses(t, c, "eth1"), "10.0.2.50") })
	eventually(t, hang, "the record that cannot be written", func() bool { return strings.Contains(ec2net(t, c, exitOK, "status", "eth1"), "record  ") })
	full("no space left on device")
	shell(t, c.Instance(), "rm /run/ec2net/full")
	told("once there is room again")
	shell(t, c.Instance(), "umount -l /run/ec2net", "rm -r /run/ec2net")
	told("in a new folder")
	says(t, ec2net(t, c, exitFailed, "run", "eth1"), "keeps eth1 already")
	k.stop(t)
	if files, _ := runOn(c.Instance(), "ls -A /run/ec2net"); strings.Contains(files, "lock") {
		t.Errorf("left behind: %s", files)
	}
}
