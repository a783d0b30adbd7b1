// Package testkit has what the tests of several packages need and no package tests. Of this project it knows the
// package stock alone, so that the tests inside of every other one can import it. What needs a lab is in labtest.
package testkit

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netns"

	"ec2net/test/stock"
)

// Must ends the test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Closes closes something at the end of the test, without an error.
func Closes(t testing.TB, what string, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close %s: %v", what, err)
		}
	})
}

// Read returns what is in a file.
func Read(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	Must(t, err)
	return string(b)
}

// Addrs parses addresses, and panics where one is none.
func Addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// Prefixes parses prefixes, and panics where one is none.
func Prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// Descriptors counts what this process has open. Go's runtime opens two descriptors of its own, an epoll instance
// and an eventfd, with the first file that can be waited for: under `go test` that was long ago, at a terminal it may
// not have been yet, so that a pipe is opened before it counts.
func Descriptors(t testing.TB) int {
	t.Helper()
	r, w, err := os.Pipe()
	Must(t, err)
	Must(t, r.Close())
	Must(t, w.Close())
	list, err := os.ReadDir("/proc/self/fd")
	Must(t, err)
	return len(list)
}

// Namespace puts the test, and every program that it starts from its own goroutine, into a network namespace of its
// own. The thread stays locked, so that it ends with the test and the namespace with it.
func Namespace(t testing.TB) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("new network namespace (root or a user namespace is needed): %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	Must(t, stock.Sysctls())
	return ns
}

// ForeignFolder makes a folder with a file in it, both of another user, and returns the folder and the file's name.
// Where there is no user but us it is the system's, which is nobody's here.
func ForeignFolder(t testing.TB) (dir, file string) {
	t.Helper()
	dir, file = filepath.Join(t.TempDir(), "ec2net"), "eth1.json"
	Must(t, os.Mkdir(dir, 0o777))
	Must(t, os.WriteFile(filepath.Join(dir, file), []byte(`{"name":"eth1"}`), 0o644))
	if os.Chown(filepath.Join(dir, file), 1, 1) == nil && os.Chown(dir, 1, 1) == nil {
		return dir, file
	}
	return "/etc", "passwd"
}

// AsNobody returns what turns a command into one of an ordinary user, or nothing where the tests run in a user
// namespace already, since the user there is an ordinary one.
func AsNobody(t testing.TB) []string {
	t.Helper()
	if f := strings.Fields(Read(t, "/proc/self/uid_map")); len(f) != 3 || f[2] != "4294967295" {
		return nil
	}
	return []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"}
}

// Fuzzing tells whether this process was started to fuzz. A fuzz target is pure, and needs no namespaces; its workers are
// as many as there are processors.
func Fuzzing() bool {
	return slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz") })
}

// Programs is an error if a program that tests need is not installed.
func Programs(names ...string) error {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%w: run test/setup test", err)
		}
	}
	return nil
}
