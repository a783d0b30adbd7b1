package stock_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netns"

	"ec2net/test/lab"
	"ec2net/test/stock"
	"ec2net/test/testkit"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// Whatever the machine has set for its new namespaces, what was made stock is as the kernel begins.
func TestSysctls(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and its namespace with it
	ns, err := netns.New()
	must(t, err)
	defer ns.Close()
	file := func(scope, name string) string { return filepath.Join("/proc/sys/net/ipv4/conf", scope, name) }
	for name := range stock.Settings {
		for _, scope := range []string{"all", "default"} {
			must(t, os.WriteFile(file(scope, name), []byte("1"), 0))
		}
	}
	must(t, os.WriteFile(file("default", "rp_filter"), []byte("2"), 0)) // as linux-sysctl-defaults has it
	must(t, stock.Sysctls())
	for name, want := range stock.Settings {
		for _, scope := range []string{"all", "default"} {
			if got, err := os.ReadFile(file(scope, name)); err != nil || strings.TrimSpace(string(got)) != want {
				t.Errorf("%s of %s: %q %v, want %s", name, scope, got, err, want)
			}
		}
	}
}

var must = testkit.Must
