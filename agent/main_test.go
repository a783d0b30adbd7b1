package agent

import (
	"context"
	"flag"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ec2net/test/lab"
)

// TestMain moves the tests into namespaces of their own.
func TestMain(m *testing.M) {
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz") }) {
		os.Exit(m.Run())
	}
	_ = flag.Set("test.parallel", "4")
	testscript.Main(lab.Sandbox{Tests: m}, nil)
}

// hang ends what hangs; it measures nothing.
const hang = 5 * time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// cloud is a lab with a subnet that no interface is in, which another host can be put into.
func cloud(t *testing.T) *lab.Cloud {
	t.Helper()
	prefix := netip.MustParsePrefix
	c, err := lab.New(lab.Config{Subnets: []lab.Subnet{
		{ID: "subnet-a", CIDR: prefix("10.0.0.0/24")}, {ID: "subnet-c", CIDR: prefix("10.0.2.0/24")}, {ID: "subnet-d", CIDR: prefix("10.0.3.0/24")},
	}})
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return c
}

// world is what the instance has of IPv4, and its links. What the kernel does for IPv6 it does in its own time.
func world(t *testing.T, c *lab.Cloud) (out []string) {
	t.Helper()
	for _, args := range []string{"-4 -o addr", "-4 route show table all", "-4 rule", "-o link"} {
		b, err := c.Instance().Command(t.Context(), "ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, b)
		}
		out = append(out, strings.ReplaceAll(string(b), "noqueue", "noop")) // which a link has once it was up
	}
	return out
}

// operator keeps a session from a host in the secondary interface's subnet to the primary interface. The set-up of the
// secondary would cut it off.
func operator(t *testing.T, c *lab.Cloud) *lab.Stream {
	t.Helper()
	host, err := c.AddPeer("operator", addr("10.0.2.200"))
	must(t, err)
	sshd, err := c.Instance().Echo(netip.MustParseAddrPort("10.0.0.29:2222"))
	must(t, err)
	s, err := host.Stream(t.Context(), sshd.Addr)
	must(t, err)
	alive(t, s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("the operator's session: %v (%+v)", err, s.Stats())
		}
	})
	return s
}

// alive wants a session to go on.
func alive(t *testing.T, s *lab.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	must(t, s.Alive(ctx))
}
