package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDo(t *testing.T) {
	c := newCloud(t, Config{})
	n := c.Instance()
	sentinel := errors.New("mine")
	if err := n.Do(func() error { return sentinel }); !errors.Is(err, sentinel) {
		t.Errorf("error: %v", err)
	}
	// At the same time, each on a thread of its own, all in the node, none the main thread.
	var wg sync.WaitGroup
	var mu sync.Mutex
	threads := map[int]bool{}
	inside := make(chan struct{}, 8)
	release := make(chan struct{})
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			err := n.Do(func() error {
				mu.Lock()
				threads[unix.Gettid()] = true
				mu.Unlock()
				inside <- struct{}{}
				<-release
				_, err := os.Stat("/sys/class/net/eth1")
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}()
	}
	for range 8 {
		<-inside
	}
	close(release)
	wg.Wait()
	if len(threads) != 8 || threads[os.Getpid()] {
		t.Errorf("threads %v of process %d", threads, os.Getpid())
	}
}

// A panic and t.Fatal in Do are the caller's, and the node goes on.
func TestDoEnds(t *testing.T) {
	c := newCloud(t, Config{})
	func() {
		defer func() {
			if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "boom") {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = c.Instance().Do(func() error { panic("boom") })
	}()
	reached, done := false, make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Instance().Do(func() error { runtime.Goexit(); return nil })
		reached = true
	}()
	<-done
	if reached {
		t.Error("Goexit did not reach the caller")
	}
	alive(t, c.Client(), EIP1)
}

// No goroutine of the test ever runs in a node.
func TestThreadsStayApart(t *testing.T) {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	must(t, err)
	c := newCloud(t, Config{})
	var wg sync.WaitGroup
	for range 100 {
		wg.Add(2)
		go func() { defer wg.Done(); _ = c.Instance().Do(func() error { return nil }) }()
		go func() {
			defer wg.Done()
			if now, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || now != here {
				t.Errorf("in %s, not %s: %v", now, here, err)
			}
		}()
	}
	wg.Wait()
}

func TestCommand(t *testing.T) {
	c := newCloud(t, Config{})
	n := c.Instance()
	here, err := os.Getwd()
	must(t, err)
	run := func(script string) string {
		t.Helper()
		out, err := n.Command(within(t), "sh", "-c", script).Output()
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		return strings.TrimSpace(string(out))
	}
	for _, test := range [][2]string{
		{"pwd", here},
		{"ls /run", ""},
		{"ls /sys/class/net", "eth0\neth1\nlo"},
		{"id -u", "0"},
		{"echo x >/run/y; ls /run", "y"},
		{"echo x >/etc/lab-was-here; cat /etc/lab-was-here", "x"},
	} {
		if got := run(test[0]); got != test[1] {
			t.Errorf("%s: %q, want %q", test[0], got, test[1])
		}
	}
	for _, file := range []string{"/run/y", "/etc/lab-was-here"} {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s got out of the node", file)
		}
		if err := c.Client().Command(within(t), "test", "-e", file).Run(); err == nil {
			t.Errorf("%s got into another node", file)
		}
	}
	var exit *exec.ExitError
	if _, err := n.Command(within(t), "sh", "-c", "echo no >&2; exit 3").Output(); !errors.As(err, &exit) || exit.ExitCode() != 3 || string(exit.Stderr) != "no\n" {
		t.Errorf("exit: %v", err)
	}
	if _, err := n.Command(within(t), "no-such-program").CombinedOutput(); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing program: %v", err)
	}
	cmd := n.Command(within(t), "cat")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = io.WriteString(in, "through")
	must(t, err)
	must(t, in.Close())
	b, err := io.ReadAll(out)
	must(t, err)
	if err := cmd.Wait(); err != nil || string(b) != "through" {
		t.Errorf("pipe: %q %v", b, err)
	}
}

// Close ends what was left running, daemons too.
func TestCloseEndsProcesses(t *testing.T) {
	c, err := New(Config{})
	must(t, err)
	file := filepath.Join(t.TempDir(), "pid")
	must(t, c.Instance().Command(context.Background(), "sh", "-c", "setsid sleep 1000 & echo $! >"+file).Run())
	left := c.Client().Command(context.Background(), "sleep", "1000")
	must(t, left.Start())
	pids, err := c.Instance().Processes()
	must(t, err)
	if len(pids) != 1 {
		t.Errorf("processes on the instance: %v", pids)
	}
	must(t, c.Close())
	if err := left.Wait(); err == nil {
		t.Error("a process on the client lived on")
	}
	b, err := os.ReadFile(file)
	must(t, err)
	state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
	if err == nil && !strings.Contains(string(state), ") Z ") {
		t.Errorf("the daemon lived on: %s", state)
	}
	if err := c.Instance().Do(func() error { return nil }); !errors.Is(err, errClosed) {
		t.Errorf("Do on a closed cloud: %v", err)
	}
	must(t, c.Close())
}

func TestSysctl(t *testing.T) {
	c := newCloud(t, Config{RPFilter: 2})
	for _, name := range []string{"all", "default", "eth0", "eth1"} {
		if got, err := c.Instance().ReadSysctl("net/ipv4/conf/" + name + "/rp_filter"); err != nil || got != "2" {
			t.Errorf("rp_filter of %s: %q %v", name, got, err)
		}
	}
	must(t, c.Instance().Sysctl("net/ipv4/conf/eth1/rp_filter", "0"))
	if got, err := c.Client().ReadSysctl("net/ipv4/conf/all/rp_filter"); err != nil || got == "2" {
		t.Errorf("the client's: %q %v", got, err)
	}
	if err := c.Instance().Sysctl("net/ipv4/no_such", "1"); err == nil {
		t.Error("no such sysctl, no error")
	}
	if _, err := c.Instance().NetStat("TcpExt", "NoSuch"); err == nil {
		t.Error("no such counter, no error")
	}
}

// The ways in which an echo request can fail.
func TestPing(t *testing.T) {
	c := newCloud(t, Config{})
	n := c.Instance()
	if rtt, err := n.Ping(within(t), ClientIP, Ping{Source: ip10_0_0_29, Device: "eth0", Size: 1400, Mark: 7}); err != nil || rtt <= 0 {
		t.Errorf("%v %v", rtt, err)
	}
	for want, o := range map[string]Ping{
		"cannot assign requested address": {Source: netip.MustParseAddr("10.9.9.9")},
		"no such device":                  {Device: "eth9"},
		"message too long":                {Size: 70000},
	} {
		if _, err := n.Ping(within(t), ClientIP, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := n.Ping(within(t), netip.MustParseAddr("2001:db8:9::9"), Ping{}); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("no route: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	start := time.Now()
	if _, err := c.Client().Ping(ctx, EIP2, Ping{Timeout: time.Minute}); !errors.Is(err, context.Canceled) || time.Since(start) >= time.Minute {
		t.Errorf("cancelled: %v after %v", err, time.Since(start))
	}
}

func TestNodes(t *testing.T) {
	c := newCloud(t, Config{})
	_, err := c.AddPeer("db", netip.MustParseAddr("10.0.2.80"))
	must(t, err)
	var names []string
	for _, n := range c.Nodes() {
		names = append(names, n.Name)
	}
	if want := []string{"instance", "client", "fabric", "db"}; !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
	if _, err := c.Node("nobody"); err == nil || !strings.Contains(err.Error(), "instance, client, fabric, db") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"", "a/b", "client"} {
		if _, err := c.AddPeer(name, netip.MustParseAddr("10.0.2.81")); err == nil {
			t.Errorf("peer %q", name)
		}
	}
}
