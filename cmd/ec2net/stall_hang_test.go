package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// hungFolder mounts a file system on the instance that never answers, but in the mounting itself. With taken, it takes
// each question: then the kernel ends nobody who waits for the answer, not by a kill either. Otherwise the questions
// stay in the queue, as with a server that has died, and a signal that kills ends the wait. release has each question
// fail, which the end of the test does in any case: the kernel aborts a connection whose last file is closed (fuse(4)).
func hungFolder(t *testing.T, c *lab.Cloud, taken bool) (dir string, release func()) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "hung")
	must(t, os.Mkdir(dir, 0o755))
	fd, err := unix.Open(fuseDevice(t), unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(t, err)
	err = c.Instance().Do(func() error {
		return unix.Mount("hung", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd))
	})
	f := os.NewFile(uintptr(fd), "/dev/fuse") // before it is mounted, it can not be polled
	release = func() { f.Close() }
	t.Cleanup(release)
	must(t, err)
	began := make(chan error, 1)
	go serveNothing(f, taken, began)
	must(t, <-began)
	return dir, release
}

// fuseDevice is FUSE's device. Where /dev is a container's, and has none, one is made: the number is fixed
// (Documentation/admin-guide/devices.txt).
func fuseDevice(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err == nil {
		return "/dev/fuse"
	}
	made := filepath.Join(t.TempDir(), "fuse")
	must(t, unix.Mknod(made, unix.S_IFCHR|0o600, int(unix.Mkdev(10, 229))))
	return made
}

// serveNothing answers FUSE_INIT, the kernel's first question, by version 7.31 of the protocol (linux/fuse.h).
func serveNothing(f *os.File, taken bool, began chan<- error) {
	buf := make([]byte, 1<<20)
	_, err := f.Read(buf)
	if err == nil {
		answer := make([]byte, 16+64)
		binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
		copy(answer[8:16], buf[8:16]) // which question it is to
		binary.NativeEndian.PutUint32(answer[16:], 7)
		binary.NativeEndian.PutUint32(answer[20:], 31)
		binary.NativeEndian.PutUint32(answer[16+20:], 4096) // max_write
		_, err = f.Write(answer)
	}
	began <- err
	for taken && err == nil {
		_, err = f.Read(buf)
	}
}

// The metrics are to be written to a file system that does not answer. No process minds but for the one that writes
// them, which holds up nobody either: it ends, or, where the kernel does not let it, has given its interface free.
func TestMetricsHang(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]bool{"killable": false, "uninterruptible": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			dir, release := hungFolder(t, c, taken)
			conf := write(t, fmt.Sprintf("%smetrics_file = %q\n", soon, filepath.Join(dir, "ec2net.prom")))
			flags := []string{"--config", conf}
			writer := startWith(t, c, "eth0", flags)
			writer.notify.await(t, "READY=1")
			eventually(t, hang, "it writes", func() bool {
				return inKernel(writer.Process.Pid, "fuse") || inKernel(writer.Process.Pid, "request_wait")
			})

			k := startWith(t, c, "eth1", flags)
			k.notify.await(t, "READY=1")
			answers(t, c, lab.EIP2)
			moves(t, c, k, "eth1", "10.0.2.50")
			says(t, k.log.String(), "metrics: not up to date")
			for _, command := range []string{"up", "down", "up"} {
				ends(t, c, exitOK, append(flags[:2:2], command, "eth1")...)
			}
			must(t, c.Assign("eth0", addr("10.0.0.50")))
			must(t, writer.Process.Signal(syscallHUP))
			eventually(t, hang, "eth0 has 10.0.0.50", func() bool { return strings.Contains(addresses(t, c, "eth0"), "10.0.0.50") })

			must(t, writer.Process.Signal(unix.SIGTERM))
			eventually(t, hang, "eth0 is free", func() bool { return strings.Contains(statusOf1(t, c, "eth0"), "managed by  nobody") })
			keep(t, c, "eth0").stop(t)
			if taken {
				release()
			}
			writer.end(t)
		})
	}
}

// The configuration lies on a file system that does not answer: a command says so after a while; run waits for it, and
// ends by a signal. They come one after the other, since who looks up a name behind somebody else's look-up of the same
// name is ended by no signal.
func TestConfigurationHangs(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	dir, _ := hungFolder(t, c, false)
	file := filepath.Join(dir, "ec2net.toml")
	k := startWith(t, c, "eth0", []string{"--config", file})
	k.logs(t, file+": the file system does not answer")
	must(t, k.Process.Signal(unix.SIGTERM))
	k.refused(t)
	for _, o := range []struct {
		status  int
		command string
	}{
		{exitFailed, "up eth1"}, {exitFailed, "plan eth1"}, {exitFailed, "status"}, {exitDifferences, "doctor"}, {exitFailed, "scan"}, {exitOK, "down eth1"},
	} {
		out := ends(t, c, o.status, append([]string{"--config", file}, strings.Fields(o.command)...)...)
		says(t, strings.Join(strings.Fields(out), " "), "the file system does not answer", file)
	}
}
