package agent

import (
	"flag"
	"net/netip"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ec2net/test/lab"
	"ec2net/test/testkit"
)

// TestMain moves the tests into namespaces of their own.
func TestMain(m *testing.M) {
	if testkit.Fuzzing() {
		os.Exit(m.Run())
	}
	_ = flag.Set("test.parallel", "4")
	testscript.Main(lab.Sandbox{Tests: m}, nil)
}

var must = testkit.Must

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
