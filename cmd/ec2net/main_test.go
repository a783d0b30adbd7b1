package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ec2net/test/lab"
)

// TestMain moves the tests into namespaces of their own, and makes this binary answer to the
// program's names, so that the tests run the real command line in processes of its own.
//
// Most of a test's time is waiting, so that more of them run at the same time than there are processors.
func TestMain(m *testing.M) {
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz") }) {
		os.Exit(m.Run()) // a fuzz target is pure, and its workers are started by the processor's count
	}
	_ = flag.Set("test.parallel", "12") // a -parallel of the command line still wins
	testscript.Main(lab.Sandbox{Tests: m}, map[string]func(){"ec2net": main, "ec2ifup": main, "ec2ifdown": main, "ec2ifscan": main})
}

// cloud is seed 002's, or the one that cfg describes.
func cloud(t *testing.T, cfg lab.Config) *lab.Cloud {
	t.Helper()
	c, err := lab.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	// The kernel gives the card that is up an address of its own, in its own time.
	eventually(t, hang, "the first card's own IPv6 address", func() bool {
		return strings.Contains(ip(t, c, "-6 route show table local"), "local fe80::")
	})
	return c
}

// on runs a command on the instance and returns what it printed and its exit status.
func on(t *testing.T, c *lab.Cloud, name string, args ...string) (string, int) {
	t.Helper()
	cmd := c.Instance().Command(context.Background(), name, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// ec2net runs the program on the instance and wants an exit status.
func ec2net(t *testing.T, c *lab.Cloud, status int, args ...string) string {
	t.Helper()
	out, got := on(t, c, "ec2net", append([]string{"--cloud", string(c.Provider())}, args...)...)
	if got != status {
		t.Fatalf("ec2net %q: exit status %d, want %d\n%s", args, got, status, out)
	}
	return out
}

// ip runs ip(8) on the instance.
func ip(t *testing.T, c *lab.Cloud, args string) string {
	t.Helper()
	out, status := on(t, c, "ip", strings.Fields(args)...)
	if status != 0 {
		t.Fatalf("ip %s: exit status %d\n%s", args, status, out)
	}
	return out
}

// answers wants an echo reply from an elastic IP, as a client on the internet sees it.
func answers(t *testing.T, c *lab.Cloud, dst netip.Addr) {
	t.Helper()
	if _, err := c.Client().Ping(t.Context(), dst, lab.Ping{Tries: 3}); err != nil {
		t.Errorf("%s does not answer: %v", dst, err)
	}
}

func silent(t *testing.T, c *lab.Cloud, dst netip.Addr) {
	t.Helper()
	if _, err := c.Client().Ping(t.Context(), dst, lab.Ping{Timeout: 300 * time.Millisecond}); err == nil {
		t.Errorf("%s answers, and should not", dst)
	}
}

// world is everything that a stranger could compare on the instance: addresses, routes, rules, links. It is taken
// once the kernel answers for the IPv6 addresses that it lists, which takes it a moment; of a link without a signal it
// may never.
func world(t *testing.T, c *lab.Cloud) []string {
	t.Helper()
	for limit := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if out := pictured(t, c); answered(out) || time.Now().After(limit) {
			return out
		}
	}
}

// answered: each IPv6 address of a picture has its local route.
func answered(picture []string) bool {
	return !slices.ContainsFunc(picture, func(line string) bool {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "inet6" {
			return false
		}
		a, _, _ := strings.Cut(f[3], "/")
		return !slices.ContainsFunc(picture, func(route string) bool { return strings.HasPrefix(route, "local "+a+" dev "+f[1]+" ") })
	})
}

func pictured(t *testing.T, c *lab.Cloud) []string {
	t.Helper()
	var out []string
	for _, args := range []string{"-o addr", "route show table all", "-6 route show table all", "rule", "-6 rule", "-o link"} {
		for line := range strings.Lines(ip(t, c, args)) {
			line = strings.ReplaceAll(line, " tentative", "") // passes by itself
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	slices.Sort(out)
	return out
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// kept is an `ec2net run` on the instance.
type kept struct {
	*lab.Cmd
	log    *lab.Log
	notify *notifySocket
	ended  chan struct{}
	err    error
}

// keep starts `ec2net run` and waits until it says READY.
func keep(t *testing.T, c *lab.Cloud, card string, env ...string) *kept {
	t.Helper()
	k := start(t, c, card, env...)
	k.notify.await(t, "READY=1")
	return k
}

func start(t *testing.T, c *lab.Cloud, card string, env ...string) *kept {
	t.Helper()
	return startWith(t, c, card, nil, env...)
}

// startWith is start with global flags.
func startWith(t *testing.T, c *lab.Cloud, card string, flags []string, env ...string) *kept {
	t.Helper()
	k := &kept{
		Cmd: c.Instance().Command(t.Context(), "ec2net", append(flags, "--cloud", string(c.Provider()), "run", card)...),
		log: &lab.Log{}, notify: newNotifySocket(t), ended: make(chan struct{}),
	}
	k.Stdout, k.Stderr = k.log, k.log
	k.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+k.notify.path), env...)
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { k.err = k.Wait(); close(k.ended) }()
	t.Cleanup(func() {
		_ = k.Process.Kill()
		<-k.ended
		if t.Failed() {
			t.Logf("ec2net run %s:\n%s\nto systemd:\n%s", card, k.log, k.notify.log)
		}
	})
	return k
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

// hang is how long a test waits for what it would otherwise wait for in vain. It ends a test that hangs, and measures
// nothing: how fast the machine is, and what else it does, is no matter of a test.
const hang = time.Minute

// eventually waits for what no event announces to this process: the kernel's state on another host.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}

const syscallHUP = syscall.SIGHUP

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a configuration file.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ec2net.toml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func sorted(list []string) string {
	slices.SortFunc(list, func(a, b string) int { return addr(a).Compare(addr(b)) })
	return strings.Join(list, " ")
}

// silently watches every change of the instance's links, addresses, routes and rules. The function
// that it returns ends the watch and wants to have seen none.
func silently(t *testing.T, c *lab.Cloud) func(what string) {
	t.Helper()
	cmd := c.Instance().Command(t.Context(), "ip", "monitor", "link", "address", "route", "rule")
	seen := &lab.Log{}
	cmd.Stdout = seen
	must(t, cmd.Start())
	// The monitor is listening once it reports a change that is made for it.
	eventually(t, hang, "ip monitor", func() bool {
		ip(t, c, "route add blackhole 192.0.2.255 table 4242")
		ip(t, c, "route del blackhole 192.0.2.255 table 4242")
		return strings.Contains(seen.String(), "Deleted blackhole")
	})
	before := seen.String()
	return func(what string) {
		t.Helper()
		ip(t, c, "route add blackhole 192.0.2.254 table 4242")
		ip(t, c, "route del blackhole 192.0.2.254 table 4242")
		eventually(t, hang, "ip monitor", func() bool { return strings.Contains(seen.String(), "192.0.2.254") })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		news, _, _ := strings.Cut(strings.TrimPrefix(seen.String(), before), "blackhole 192.0.2.254")
		news = strings.NewReplacer("Deleted blackhole 192.0.2.255 table 4242", "", "blackhole 192.0.2.255 table 4242", "").Replace(news)
		if strings.TrimSpace(news) != "" {
			t.Errorf("%s wrote to the kernel:\n%s", what, news)
		}
	}
}
