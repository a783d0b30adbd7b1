package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// keeper is an `ec2net run` on the instance.
type keeper struct {
	*lab.Cmd
	bed    *bed
	begun  time.Time
	ready  chan time.Time // closed without a value when the process ends
	ended  chan error
	socket *net.UnixConn
	out    bytes.Buffer // complete once the process has ended
}

// patience is more than anything here takes.
const patience = 20 * time.Second

// keep starts `ec2net run`. Stop it.
func (b *bed) keep(ctx context.Context, iface string) (*keeper, error) {
	path := filepath.Join(b.dir, "notify")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("make room for the notify socket: %w", err)
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("be systemd: %w", err)
	}
	k := &keeper{
		Cmd: b.Instance().Command(ctx, b.bin, "--cloud", "ec2", "run", iface),
		bed: b, ready: make(chan time.Time, 1), ended: make(chan error, 1), socket: socket,
	}
	k.Env = b.env("NOTIFY_SOCKET=" + path)
	k.Stdout, k.Stderr = &k.out, &k.out
	k.begun = time.Now()
	if err := k.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start ec2net run %s: %w", iface, err), socket.Close())
	}
	go k.listen()
	go func() { k.ended <- k.Wait(); socket.Close() }()
	return k, nil
}

// listen waits for READY=1, and then only empties the socket.
func (k *keeper) listen() {
	defer close(k.ready)
	buf := make([]byte, 8192)
	for said := false; ; {
		n, err := k.socket.Read(buf)
		if err != nil {
			return
		}
		if at := time.Now(); !said && strings.Contains(string(buf[:n]), "READY=1") {
			said = true
			k.ready <- at
		}
	}
}

// awaitReady returns the time from the process's start to READY=1.
func (k *keeper) awaitReady(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case at, ok := <-k.ready:
		if ok {
			return at.Sub(k.begun), nil
		}
		return 0, fmt.Errorf("ec2net run ended before it was ready: %w\n%s", k.finish(ctx), k.out.String())
	case <-ctx.Done():
		return 0, errors.Join(fmt.Errorf("ec2net run does not get ready: %w", ctx.Err()), k.stop(context.Background()))
	}
}

// stop ends the process; what it set up stays.
func (k *keeper) stop(ctx context.Context) error {
	if err := k.Process.Signal(unix.SIGTERM); err != nil {
		return fmt.Errorf("stop ec2net run: %w", err)
	}
	return k.finish(ctx)
}

// finish waits for the end of a process that was asked to end, or whose interface is gone.
func (k *keeper) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case err := <-k.ended:
		if err != nil {
			return fmt.Errorf("ec2net run: %w\n%s", err, k.out.String())
		}
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("ec2net run does not end: %w", ctx.Err()), k.Process.Kill())
	}
}

// refresh makes the process read the metadata now, and returns when its record says that it has.
func (k *keeper) refresh(iface string) (time.Duration, error) {
	news, err := watchFolder(k.bed.dir)
	if err != nil {
		return 0, err
	}
	defer unix.Close(news)
	before, err := k.bed.readAt(iface)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := k.Process.Signal(unix.SIGHUP); err != nil {
		return 0, fmt.Errorf("ask for a refresh: %w", err)
	}
	for time.Since(begun) < patience {
		if err := waitFolder(news, patience); err != nil {
			return 0, err
		}
		took := time.Since(begun)
		if at, err := k.bed.readAt(iface); err != nil || at.After(before) {
			return took, err
		}
	}
	return 0, fmt.Errorf("the record of %s is not renewed after SIGHUP", iface)
}

// readAt is when the metadata last answered, by ec2net's record of the interface.
func (b *bed) readAt(iface string) (time.Time, error) {
	var record struct {
		ReadAt time.Time `json:"read_at"`
	}
	text, err := os.ReadFile(filepath.Join(b.dir, iface+".json"))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the record of %s: %w", iface, err)
	}
	return record.ReadAt, nil
}

// watchFolder begins to watch for files that are moved into place.
func watchFolder(dir string) (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("inotify: %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("watch %s: %w", dir, err)
	}
	return fd, nil
}

func waitFolder(fd int, limit time.Duration) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for a record: %w", err)
		case n == 0:
			return errors.New("wait for a record: nothing is written")
		}
		_, _ = unix.Read(fd, make([]byte, 4096)) // what it was does not matter
		return nil
	}
}
