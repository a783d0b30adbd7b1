package state

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Who only looks whether an interface is managed keeps nobody from managing it, also when a killed process has left its
// file: status --watch looks whenever something changes, as an interface's new process does.
func TestLookingKeepsNobodyOut(t *testing.T) {
	s := made(t)
	must(t, os.WriteFile(s.path("eth1", ".lock"), []byte("4194305\n"), 0o600)) // no process has that number
	looks, err := s.open("eth1", ".lock")
	must(t, err)
	must(t, unix.Flock(int(looks.Fd()), unix.LOCK_SH|unix.LOCK_NB))
	time.AfterFunc(20*time.Millisecond, func() { looks.Close() })
	l, err := s.Acquire("eth1")
	if err != nil || l == nil {
		t.Fatal(err)
	}
	defer l.Release()
	again, err := s.Acquire("eth1")
	if held := (*HeldError)(nil); again != nil || !errors.As(err, &held) || *held != (HeldError{"eth1", os.Getpid()}) {
		t.Errorf("taken twice: %v", err)
	}
	must(t, s.Unlock("eth1"))
	if !l.Valid() {
		t.Error("the file of a process that has the lock was removed")
	}
}

// What a manager signs is what others read, with the time of the first signature, and a lock whose file somebody has
// deleted is known for it.
func TestSign(t *testing.T) {
	s := made(t)
	if s.Managed("eth1") || s.Died("eth1") || (*Lock)(nil).Valid() {
		t.Error("managed before anybody does")
	}
	l, err := s.Acquire("eth1")
	must(t, err)
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	must(t, os.Chtimes(s.path("eth1", ".lock"), began, began))
	for _, why := range []string{"no space left on device", "no", ""} {
		must(t, l.Sign(why))
		if got := s.Holder("eth1"); got != (Holder{os.Getpid(), why}) {
			t.Errorf("signed %q: %+v", why, got)
		}
		if info, err := os.Stat(s.path("eth1", ".lock")); err != nil || !info.ModTime().Equal(began) {
			t.Errorf("the time of the first signature is %v, %v", info.ModTime(), err)
		}
	}
	must(t, os.WriteFile(s.path("eth1", ".conf"), nil, 0o600))
	if !s.Outdated("eth1", s.path("eth1", ".conf")) || s.Outdated("eth1", s.path("eth1", ".none")) {
		t.Error("a file that is newer than the process is outdated, one that is not there is not")
	}
	must(t, os.Remove(s.path("eth1", ".lock")))
	if l.Valid() {
		t.Error("its file was deleted")
	}
	other, err := s.Acquire("eth1")
	must(t, err)
	if l.Release(); !other.Valid() {
		t.Error("another process's file was removed")
	}
	other.Release()
	if _, err := os.Stat(s.path("eth1", ".lock")); err == nil || s.Managed("eth1") {
		t.Error("the lock was left behind")
	}
}

// A process that is killed leaves its lock's file, and it is known that it died; one that is dismissed is waited for.
func TestManager(t *testing.T) {
	s := made(t)
	manage := func() *exec.Cmd {
		cmd := exec.Command("sh", "-c", `exec 9>>"$0"; flock 9; echo $$ >&9; echo held; exec sleep 1000`, s.path("eth1", ".lock"))
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		if n, err := out.Read(make([]byte, 8)); n == 0 {
			t.Fatalf("the lock is not held: %v", err)
		}
		return cmd
	}
	cmd := manage()
	m, err := s.Manager("eth1")
	if err != nil || m == nil || m.PID != cmd.Process.Pid {
		t.Fatalf("managed by %+v, %v, want %d", m, err, cmd.Process.Pid)
	}
	defer m.Close()
	if _, err := s.Acquire("eth1"); err == nil {
		t.Error("acquired beside it")
	}
	must(t, cmd.Process.Kill())
	must(t, m.Wait(t.Context()))
	must(t, m.Signal(unix.SIGTERM))
	_ = cmd.Wait()
	if s.Managed("eth1") || !s.Died("eth1") {
		t.Error("it is not known that it died")
	}
	must(t, s.Unlock("eth1"))
	if s.Died("eth1") {
		t.Error("its lock's file was left")
	}
	cmd = manage()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if d, err := s.Dismiss(t.Context(), "eth1", time.Minute); d != (Dismissal{PID: cmd.Process.Pid}) || err != nil {
		t.Errorf("dismissed: %+v, %v", d, err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("it ended with %v", err)
	}
	if d, err := s.Dismiss(t.Context(), "eth1", time.Minute); d != (Dismissal{}) || err != nil {
		t.Errorf("dismissed twice: %+v, %v", d, err)
	}
}

// A process that does not end when it is asked to is killed, and one that is stopped is continued for that; and what a
// killed process has written says nothing of who holds the lock.
func TestDismissal(t *testing.T) {
	s := made(t)
	for name, tt := range map[string]struct {
		script string
		killed bool
	}{
		"deaf":    {`trap "" TERM; exec 9>>"$0"; flock 9; echo $$ >&9; echo held; while :; do sleep 1000 9>&-; done`, true},
		"stopped": {`exec 9>>"$0"; flock 9; echo $$ >&9; echo held; kill -STOP $$; sleep 1000`, false},
	} {
		cmd := exec.Command("sh", "-c", tt.script, s.path(name, ".lock"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
		if n, err := out.Read(make([]byte, 8)); n == 0 {
			t.Fatalf("the lock is not held: %v", err)
		}
		for name == "stopped" && Stopped(cmd.Process.Pid) == "" {
			time.Sleep(time.Millisecond)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		patience := map[bool]time.Duration{true: time.Millisecond, false: time.Minute}[tt.killed]
		d, err := s.Dismiss(t.Context(), name, patience)
		if err != nil || d != (Dismissal{cmd.Process.Pid, tt.killed}) {
			t.Fatalf("%s: %+v, %v", name, d, err)
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), map[bool]string{true: "killed", false: "terminated"}[tt.killed]) {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
	must(t, os.WriteFile(s.path("eth1", ".lock"), []byte("4194305\n"), 0o600)) // no process has that number
	f, err := s.open("eth1", ".lock")
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	if pid := s.Holder("eth1").PID; pid != os.Getpid() {
		t.Errorf("process %d holds the lock", pid)
	}
}

// TestFlockOf: of the lines of /proc/locks (proc_locks(5)) the one counts that has this file's exclusive lock.
func TestFlockOf(t *testing.T) {
	const locks = "1: POSIX  ADVISORY  WRITE 700 00:19:42 0 EOF\n" +
		"2: FLOCK  ADVISORY  READ 701 00:19:42 0 EOF\n" +
		"2: -> FLOCK  ADVISORY  WRITE 702 00:19:42 0 EOF\n" +
		"3: FLOCK  ADVISORY  WRITE 0 00:19:43 0 EOF\n" +
		"4: FLOCK  ADVISORY  WRITE 703 00:19:44 0 EOF\n"
	for file, want := range map[string]int{"00:19:44": 703, "00:19:42": -1, "00:19:43": -1, "00:19:45": -1} {
		if got := flockOf(locks, file); got != want {
			t.Errorf("%s: %d, want %d", file, got, want)
		}
	}
}
