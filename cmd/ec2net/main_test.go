package main

import (
	"context"
	"flag"
	"fmt"
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
	"ec2net/test/lab/labtest"
	"ec2net/test/testkit"
)

// TestMain moves the tests into namespaces of their own, and makes this binary answer to the
// program's names, so that the tests run the real command line in processes of its own.
//
// Most of a test's time is waiting, so that more of them run at the same time than there are processors.
func TestMain(m *testing.M) {
	if testkit.Fuzzing() {
		os.Exit(m.Run())
	}
	_ = flag.Set("test.parallel", "12") // a -parallel of the command line still wins
	testscript.Main(lab.Sandbox{Tests: built{m}}, map[string]func(){"ec2net": main, "ec2ifup": main, "ec2ifdown": main, "ec2ifscan": main, "lockholder": lockHolderMain})
}

// What the tests of other packages need too, by the names that it has here.
var (
	must       = testkit.Must
	cloud      = labtest.New
	wide       = labtest.Wide
	ip         = labtest.IP
	eventually = labtest.Eventually
	pause      = labtest.Pause
	world      = labtest.World
	lasting    = labtest.Lasting
	unchanged  = labtest.Unchanged
	operator   = labtest.Operator
	alive      = labtest.Alive
)

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

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

const hang = labtest.Hang

const syscallHUP = syscall.SIGHUP

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
