package dhcp

import (
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// untold is /proc for a process without CAP_SYS_PTRACE: other processes' namespaces are not told.
type untold struct{ fs.FS }

func (u untold) ReadLink(name string) (string, error) {
	if !strings.HasPrefix(name, "proc/thread-self/") {
		return "", fs.ErrPermission
	}
	return fs.ReadLink(u.FS, name)
}

func (u untold) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(u.FS, name) }

// In a hardened unit a DHCP client of a container must not be taken for one of this host.
func TestSameNetWithoutPtrace(t *testing.T) {
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	same := exec.Command("sleep", "60")
	for _, cmd := range []*exec.Cmd{other, same} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	h := host{root: untold{os.DirFS("/")}}
	if !h.sameNet(strconv.Itoa(same.Process.Pid)) {
		t.Error("a process of this namespace counts as another's")
	}
	if h.sameNet(strconv.Itoa(other.Process.Pid)) {
		t.Error("a process of another namespace counts as ours")
	}
}
