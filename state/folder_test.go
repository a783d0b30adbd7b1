package state

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/testkit"
)

// The folder is 0700 and its files are 0600, whatever the umask and whatever the folder was.
func TestStateIsPrivate(t *testing.T) {
	s := open(t)
	for _, before := range []os.FileMode{0, 0o777, 0o755} {
		if before != 0 {
			must(t, os.Chmod(s.dir, before))
		}
		must(t, s.Save(Record{Name: "eth1"}))
		l, err := s.Acquire("eth1")
		must(t, err)
		for path, want := range map[string]os.FileMode{s.dir: 0o700, s.path("eth1", ".json"): 0o600, s.path("eth1", ".lock"): 0o600} {
			info, err := os.Stat(path)
			must(t, err)
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s is %o, want %o", path, got, want)
			}
		}
		if got := s.Holder("eth1").PID; got != os.Getpid() {
			t.Errorf("held by %d", got)
		}
		l.Release()
	}
	if files, _ := os.ReadDir(s.dir); len(files) != 1 {
		t.Errorf("left are %v", files)
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
			s := made(t)
			target := filepath.Join(t.TempDir(), "target")
			must(t, os.WriteFile(target, []byte(`{"name":"eth1"}`), 0o600))
			for _, suffix := range []string{".json", ".lock"} {
				must(t, plant(s.path("eth1", suffix), target))
			}
			if name == "too large" {
				must(t, os.Remove(s.path("eth1", ".lock")))
			}
			if r, ok := s.Load("eth1"); ok && name != "too large" {
				t.Errorf("loaded %+v", r)
			}
			if h := s.Holder("eth1"); h != (Holder{}) {
				t.Errorf("held by %+v", h)
			}
			if name == "folder" {
				notSaved(t, s)
				return
			}
			must(t, s.Save(Record{Name: "eth1", State: "new"}))
			if r, ok := s.Load("eth1"); !ok || r.State != "new" {
				t.Errorf("not replaced: %+v", r)
			}
			if b, _ := os.ReadFile(target); string(b) != `{"name":"eth1"}` {
				t.Errorf("written through: %s", b)
			}
		})
	}
}

// notSaved wants a failure that reads the same each time, and no file that it leaves behind.
func notSaved(t *testing.T, s Store) {
	t.Helper()
	before, _ := os.ReadDir(s.dir)
	first, second := s.Save(Record{Name: "eth1"}), s.Save(Record{Name: "eth1"})
	if first == nil || second == nil || first.Error() != second.Error() {
		t.Errorf("not the same failure twice: %v, %v", first, second)
	}
	if after, _ := os.ReadDir(s.dir); len(after) != len(before) {
		t.Errorf("left behind: %v", after)
	}
}

func TestStateFileOfSomebodyElse(t *testing.T) {
	dir, file := testkit.ForeignFolder(t)
	if f, err := (Store{dir}).open(file, ""); err == nil {
		t.Errorf("%s was opened", f.Name())
	}
}

// A folder of somebody else's is refused at once, and should it come later, before something is written into it; so is
// what is no folder.
func TestOpenRefuses(t *testing.T) {
	theirs, _ := testkit.ForeignFolder(t)
	link := filepath.Join(t.TempDir(), "ec2net")
	must(t, os.Symlink(t.TempDir(), link))
	for why, dir := range map[string]string{"it belongs to user": theirs, "not a folder": link} {
		before, _ := os.ReadDir(dir)
		s, err := Open(dir)
		_, locked := s.Acquire("eth1")
		for _, err := range []error{err, s.Save(Record{Name: "eth1"}), locked, s.SavePending("eth1", Pending{}), s.publish(filepath.Join(t.TempDir(), "metrics"))} {
			if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%s: %v", dir, err)
			}
		}
		if after, _ := os.ReadDir(dir); len(after) != len(before) {
			t.Errorf("written: %v", after)
		}
	}
}
