package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// unread is a pipe without room that nobody reads.
func unread(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	for err == nil {
		must(t, w.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		_, err = w.Write(make([]byte, 4096))
	}
	must(t, w.SetWriteDeadline(time.Time{}))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return r, w
}

// unheard makes a socket of systemd's that has no room for a message, and that nobody reads.
func unheard(t *testing.T) string {
	t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	c, err := net.DialUnix("unixgram", nil, addr)
	must(t, err)
	defer c.Close()
	for err == nil {
		must(t, c.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		_, err = c.Write([]byte("STATUS="))
	}
	return addr.Name
}

// A log that nobody reads, as of a journal that is stuck, and a systemd that reads no message, keep no process from
// managing its interface, nor from ending. What was logged is there for who reads again.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	r, w := unread(t)
	k := command(t, c, "ec2net", "eth1", []string{"--config", write(t, soon)}, "NOTIFY_SOCKET="+unheard(t))
	k.Stdout, k.Stderr = w, w
	k.begin(t)
	settled(t, c, []string{"eth1"})
	answers(t, c, lab.EIP2)
	held := world(t, c)
	ip(t, c, "rule del pref 20001")
	restored(t, c, held, "a deleted rule")
	moves(t, c, k, "eth1", "10.0.2.50")

	holder := holdLock(t, c, "eth1.lock")
	again := command(t, c, "ec2net", "eth1", nil)
	again.Stderr = w
	again.begin(t)
	again.refused(t)
	holder.free(t)

	stuck := command(t, c, "ec2net", "eth1", nil)
	stuck.Args[len(stuck.Args)-2] = "status"
	stuck.Stdout = w
	stuck.begin(t)
	eventually(t, hang, "the status waits for its reader", func() bool { return inKernel(stuck.Process.Pid, "pipe_write") })
	must(t, stuck.Process.Signal(unix.SIGTERM))
	stuck.refused(t)

	k = command(t, c, "ec2net", "eth1", nil)
	k.Stderr = w
	k.begin(t)
	k.notify.await(t, "READY=1")
	ip(t, c, "rule del pref 20001")
	restored(t, c, held, "a deleted rule")
	text := &lab.Log{}
	w.Close()
	go func() { _, _ = io.Copy(text, r) }()
	eventually(t, hang, "the log, once it is read", func() bool {
		return strings.Contains(text.String(), "eth1: + rule from 10.0.2.37 lookup 10001 pref 20001")
	})
	k.stop(t)
}

// refused wants the process to end with status 1.
func (k *kept) refused(t *testing.T) {
	t.Helper()
	select {
	case <-k.ended:
		if k.ProcessState.ExitCode() != exitFailed {
			t.Errorf("%q: %v", k.Args, k.err)
		}
	case <-time.After(hang):
		t.Fatalf("%q does not end", k.Args)
	}
}

// inKernel reports whether a thread of the process waits in a function of the kernel (proc_pid_wchan(5)).
func inKernel(pid int, function string) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	return slices.ContainsFunc(files, func(file string) bool {
		b, _ := os.ReadFile(file)
		return strings.Contains(string(b), function)
	})
}
