package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ec2net/test/lab"
)

// kept is an `ec2net run` on the instance.
type kept struct {
	*lab.Cmd
	log    *lab.Log
	notify *notifySocket
	ended  chan struct{}
	err    error
}

// keep starts `ec2net run` and waits until it says READY.
func keep(t *testing.T, c *lab.Cloud, iface string, env ...string) *kept {
	t.Helper()
	k := start(t, c, iface, env...)
	k.notify.await(t, "READY=1")
	return k
}

func start(t *testing.T, c *lab.Cloud, iface string, env ...string) *kept {
	t.Helper()
	return startWith(t, c, iface, nil, env...)
}

// startWith is start with global flags.
func startWith(t *testing.T, c *lab.Cloud, iface string, flags []string, env ...string) *kept {
	t.Helper()
	return startAs(t, c, "ec2net", iface, flags, env...)
}

// startAs is startWith for a build of the program: see plain.
func startAs(t *testing.T, c *lab.Cloud, program, iface string, flags []string, env ...string) *kept {
	t.Helper()
	k := command(t, c, program, iface, flags, env...)
	k.begin(t)
	return k
}

// command is startAs for a process that is not started yet: see begin.
func command(t *testing.T, c *lab.Cloud, program, iface string, flags []string, env ...string) *kept {
	t.Helper()
	k := &kept{
		Cmd: c.Instance().Command(t.Context(), program, append(flags, "--cloud", string(c.Provider()), "run", iface)...),
		log: &lab.Log{}, notify: newNotifySocket(t), ended: make(chan struct{}),
	}
	k.Stdout, k.Stderr = k.log, k.log
	k.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+k.notify.path), env...)
	return k
}

// begin starts it.
func (k *kept) begin(t *testing.T) {
	t.Helper()
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { k.err = k.Wait(); close(k.ended) }()
	t.Cleanup(func() {
		_ = k.Process.Kill()
		<-k.ended
		if t.Failed() {
			t.Logf("%q:\n%s\nto systemd:\n%s", k.Args, k.log, k.notify.log)
		}
	})
}

// stop ends the process with a signal and wants exit status 0.
func (k *kept) stop(t *testing.T) {
	t.Helper()
	if err := k.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	k.end(t)
}

func (k *kept) end(t *testing.T) {
	t.Helper()
	select {
	case <-k.ended:
		if k.err != nil {
			t.Errorf("ec2net run: %v", k.err)
		}
	case <-time.After(hang):
		t.Fatal("ec2net run does not end")
	}
}

// notifySocket is systemd's end of sd_notify.
type notifySocket struct {
	path string
	log  *lab.Log
	news chan struct{}
}

func newNotifySocket(t *testing.T) *notifySocket {
	t.Helper()
	// An abstract socket would belong to a network namespace.
	n := &notifySocket{path: filepath.Join(t.TempDir(), "notify"), log: &lab.Log{}, news: make(chan struct{}, 1)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 8192)
		for {
			size, err := conn.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(n.log, "%s\n", bytes.TrimSpace(buf[:size]))
			select {
			case n.news <- struct{}{}:
			default:
			}
		}
	}()
	return n
}

// await waits until systemd was told text.
func (n *notifySocket) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(hang)
	for !strings.Contains(n.log.String(), text) {
		select {
		case <-n.news:
		case <-limit:
			t.Fatalf("systemd was never told %q, but:\n%s", text, n.log)
		}
	}
}
