package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// lockHolderMain is a program that holds a lock as ec2net does, says so, and says when it is told to end. It ends only
// when its standard input does.
func lockHolderMain() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM)
	signal.Ignore(unix.SIGHUP)
	f, err := os.OpenFile(os.Args[1], os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("held")
	go func() {
		for range told {
			fmt.Println("told")
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	f.Close() // and no sooner, as a variable that is not used any more would be
}

// lockHolder is a process that does not let go of a lock of /run/ec2net.
type lockHolder struct {
	*lab.Cmd
	in  io.Closer
	out *bufio.Reader
}

// holdLock starts one, and waits until it has the lock.
func holdLock(t *testing.T, c *lab.Cloud, name string) *lockHolder {
	t.Helper()
	h := &lockHolder{Cmd: c.Instance().Command(t.Context(), "lockholder", "/run/ec2net/"+name)}
	in, err := h.StdinPipe()
	must(t, err)
	out, err := h.StdoutPipe()
	must(t, err)
	h.in, h.out = in, bufio.NewReader(out)
	must(t, h.Start())
	t.Cleanup(func() { _ = h.Process.Kill(); _ = h.Wait() })
	h.says(t, "held")
	return h
}

// says waits for a line.
func (h *lockHolder) says(t *testing.T, want string) {
	t.Helper()
	if line, err := h.out.ReadString('\n'); strings.TrimSpace(line) != want {
		t.Fatalf("the process that holds the lock says %q, %v, not %q", line, err, want)
	}
}

// free lets go of the lock.
func (h *lockHolder) free(t *testing.T) {
	t.Helper()
	must(t, h.in.Close())
}

// A process that holds an interface's lock for ever, and does not end when it is told to, keeps no other interface
// from anything. Who asks for that interface is told who holds it; down kills it.
func TestLockHeld(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	before := world(t, c)
	keep(t, c, "eth1").stop(t)
	holder := holdLock(t, c, "eth1.lock")
	k := startWith(t, c, "eth0", []string{"--config", write(t, soon)})
	k.notify.await(t, "READY=1")
	moves(t, c, k, "eth0", "10.0.0.50")
	who := fmt.Sprintf("process %d", holder.Process.Pid)
	says(t, ends(t, c, exitFailed, "run", "eth1"), who+" already manages eth1")
	says(t, ends(t, c, exitFailed, "up", "eth1", "--wait", "2s"), who+", which manages it, does not answer")
	says(t, ends(t, c, exitOK, "status", "eth1"), who)
	for _, command := range []string{"doctor", "scan"} {
		ends(t, c, exitOK, command)
	}
	ends(t, c, exitOK, "plan", "eth1")
	out := ends(t, c, exitOK, "down", "eth1")
	says(t, out, fmt.Sprintf("%s, which managed eth1, did not end within %s: killed it", who, stopTime))
	ends(t, c, exitOK, "down", "eth0")
	unchanged(t, c, before, "down")
}
