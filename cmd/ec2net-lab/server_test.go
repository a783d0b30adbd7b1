package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// endServer sends the lab's server a signal, and waits until it has ended.
func endServer(t *testing.T, u *user, with syscall.Signal) {
	t.Helper()
	var r labReport
	if err := json.Unmarshal([]byte(u.lab("status", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, with, nil, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

// A server that was killed leaves a socket that does not stop the next "up".
func TestKilledServer(t *testing.T) {
	u := asMe(t)
	u.lab("up")
	endServer(t, u, syscall.SIGKILL)
	u.fails(1, "no lab is up", "status")
	u.fails(1, "no lab is up", "down")
	u.lab("up")
	u.lab("down")
}

// SIGTERM is a "down".
func TestTerminatedServer(t *testing.T) {
	u := asMe(t)
	u.lab("up")
	endServer(t, u, syscall.SIGTERM)
	if _, err := os.Stat(filepath.Join(u.runtime, "ec2net-lab/default.sock")); err == nil {
		t.Error("the socket is left")
	}
}

// The server hangs up on a caller that says nothing, and answers nonsense with an error; it goes on.
func TestServerBadCallers(t *testing.T) {
	u := asMe(t)
	u.lab("up")
	p := place{filepath.Join(u.runtime, "ec2net-lab"), "default"}
	for _, text := range []string{`{"verb":"nonsense"}`, `{"verb":"attach","args":[1]}`, `{"verb":"ping","args":{"From":"instance","To":"x"}}`, "\x00\xff", `{"verb"`} {
		conn, err := p.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text + "\n")); err != nil {
			t.Fatal(err)
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := json.NewDecoder(conn).Decode(&a); err == nil && a.Error == "" {
			t.Errorf("%q was accepted: %+v", text, a)
		}
		conn.Close()
	}
	u.contains("up since", "status")
	u.lab("down")
}
