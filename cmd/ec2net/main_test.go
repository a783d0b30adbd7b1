package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
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
	testscript.Main(lab.Sandbox{Tests: built{m}}, map[string]func(){"ec2net": main, "ec2ifup": main, "ec2ifdown": main, "ec2ifscan": main, "lockholder": lockHolderMain})
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
	must(t, c.Instance().Do(func() error { // where ec2net is installed, ip(8) has a name for the protocol of its routes
		if err := os.Remove("/etc/iproute2/rt_protos.d/ec2net.conf"); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}))
	// The kernel gives the interface that is up an address of its own, in its own time.
	eventually(t, hang, "the first interface's own IPv6 address", func() bool {
		return strings.Contains(ip(t, c, "-6 route show table local"), "local fe80::")
	})
	return c
}

// on runs a command on the instance and returns what it printed and its exit status.
func on(t *testing.T, c *lab.Cloud, name string, args ...string) (string, int) {
	t.Helper()
	cmd := c.Instance().Command(context.Background(), executable(name, args), args...)
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
	reaches(t, c.Client(), dst, lab.Ping{})
}

// reaches wants an echo reply for a host, and how soon is no matter: a neighbour's entry may just be made, and the
// machine may be busy.
func reaches(t *testing.T, from *lab.Node, dst netip.Addr, o lab.Ping) {
	t.Helper()
	o.Tries = int(hang / time.Second)
	if _, err := from.Ping(t.Context(), dst, o); err != nil {
		t.Errorf("%s does not answer: %v", dst, err)
	}
}

// single is one echo request: its own answer is wanted, whenever it comes.
var single = lab.Ping{Timeout: hang}

func silent(t *testing.T, c *lab.Cloud, dst netip.Addr) {
	t.Helper()
	if _, err := c.Client().Ping(t.Context(), dst, lab.Ping{Timeout: 300 * time.Millisecond}); err == nil {
		t.Errorf("%s answers, and should not", dst)
	}
}

// world is everything that a stranger could compare on the instance: addresses, routes, rules, links. It is taken
// once the kernel answers for the IPv6 addresses that it lists, which takes it a second or two.
func world(t *testing.T, c *lab.Cloud) []string {
	t.Helper()
	for limit, wait := time.Now().Add(hang), time.Duration(0); ; {
		if out := pictured(t, c); answered(out) || time.Now().After(limit) {
			return out
		}
		wait = pause(wait)
	}
}

// answered: each IPv6 address of a picture has its local route, but on a link without a signal, where it may never
// get one, and where another host has it.
func answered(picture []string) bool {
	signal := map[string]bool{}
	for _, line := range picture {
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[2], "<") {
			name, _, _ := strings.Cut(strings.TrimSuffix(f[1], ":"), "@")
			signal[name] = strings.Contains(f[2], "LOWER_UP")
		}
	}
	return !slices.ContainsFunc(picture, func(line string) bool {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "inet6" || !signal[f[1]] || slices.Contains(f, "dadfailed") {
			return false
		}
		a, _, _ := strings.Cut(f[3], "/")
		return !slices.ContainsFunc(picture, func(route string) bool { return strings.HasPrefix(route, "local "+a+" dev "+f[1]+" ") })
	})
}

func pictured(t *testing.T, c *lab.Cloud) []string {
	t.Helper()
	var out []string
	for args, commands := range map[string]string{
		"-o -batch -": "addr\nlink\n", "-batch -": "route show table all\nrule\n", "-6 -batch -": "route show table all\nrule\n",
	} {
		cmd := c.Instance().Command(t.Context(), "ip", strings.Fields(args)...)
		cmd.Stdin = strings.NewReader(commands)
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, text)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.ReplaceAll(line, " tentative", "") // passes by itself
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	slices.Sort(out)
	return out
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// hang is how long a test waits for what it would otherwise wait for in vain. It ends a test that hangs, and measures
// nothing: how fast the machine is, and what else it does, is no matter of a test.
const hang = time.Minute

// eventually waits for what no event announces to this process: the kernel's state on another host.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begun, wait := time.Now(), time.Duration(0)
	for !ok() {
		if time.Since(begun) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		wait = pause(wait)
	}
	return time.Since(begun)
}

// pause waits a little longer than the last time: to ask starts a process, and keeps a busy machine from what is
// waited for.
func pause(last time.Duration) time.Duration {
	wait := min(max(5*time.Millisecond, last*3/2), 250*time.Millisecond)
	time.Sleep(wait)
	return wait
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
// that it returns wants to have seen none, since it was called before.
func silently(t *testing.T, c *lab.Cloud) func(what string) {
	t.Helper()
	cmd := c.Instance().Command(t.Context(), "ip", "monitor", "link", "address", "route", "rule")
	seen := &lab.Log{}
	cmd.Stdout = seen
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	// The monitor is listening once it reports a change that is made for it.
	eventually(t, hang, "ip monitor", func() bool {
		ip(t, c, "route add blackhole 192.0.2.255 table 4242")
		ip(t, c, "route del blackhole 192.0.2.255 table 4242")
		return strings.Contains(seen.String(), "Deleted blackhole")
	})
	before, mark := len(seen.String()), 254
	return func(what string) {
		t.Helper()
		end := fmt.Sprintf("blackhole 192.0.2.%d", mark)
		mark--
		ip(t, c, "route add "+end+" table 4242")
		ip(t, c, "route del "+end+" table 4242")
		eventually(t, hang, "ip monitor", func() bool { return strings.Contains(seen.String(), "Deleted "+end) })
		all := seen.String()
		news := slices.DeleteFunc(strings.Split(all[before:], "\n"), func(line string) bool { return line == "" || strings.Contains(line, "table 4242") })
		if before = len(all); len(news) > 0 {
			t.Errorf("%s wrote to the kernel:\n%s", what, strings.Join(news, "\n"))
		}
	}
}
