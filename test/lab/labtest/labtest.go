// Package labtest is the lab in tests: a cloud that ends with its test, sessions that must go on, and the instance's
// whole state, to be compared. What needs no lab is in testkit.
package labtest

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
	"ec2net/test/testkit"
)

// Hang is how long a test waits for what it would otherwise wait for in vain. It ends a test that hangs, and measures
// nothing: how fast the machine is, and what else it does, is no matter of a test.
const Hang = time.Minute

// New makes the cloud that cfg describes, which ends with the test. It is returned once the first interface is as the
// kernel leaves it by itself.
func New(t testing.TB, cfg lab.Config) *lab.Cloud {
	t.Helper()
	c, err := lab.New(cfg)
	testkit.Must(t, err)
	testkit.Closes(t, "the lab", c)
	testkit.Must(t, c.Instance().Do(func() error { // where ec2net is installed, ip(8) has a name for the protocol of its routes
		if err := os.Remove("/etc/iproute2/rt_protos.d/ec2net.conf"); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}))
	// The kernel gives the interface that is up an address of its own, in its own time.
	Eventually(t, Hang, "the first interface's own IPv6 address", func() bool {
		return strings.Contains(IP(t, c, "-6 route show table local"), "local fe80::")
	})
	return c
}

// Wide is a VPC with a subnet that no interface is in, which another host can be put into.
func Wide() lab.Config {
	subnet := func(id, cidr string) lab.Subnet { return lab.Subnet{ID: id, CIDR: netip.MustParsePrefix(cidr)} }
	return lab.Config{Subnets: []lab.Subnet{subnet("subnet-a", "10.0.0.0/24"), subnet("subnet-c", "10.0.2.0/24"), subnet("subnet-d", "10.0.3.0/24")}}
}

// IP runs ip(8) on the instance.
func IP(t testing.TB, c *lab.Cloud, args string) string {
	t.Helper()
	out, err := c.Instance().Command(context.Background(), "ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// Eventually waits for what no event announces to this process: the kernel's state on another host. It returns how
// long that took.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begun, wait := time.Now(), time.Duration(0)
	for !ok() {
		if time.Since(begun) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		wait = Pause(wait)
	}
	return time.Since(begun)
}

// Pause waits a little longer than the last time, and returns how long: to ask starts a process, and keeps a busy
// machine from what is waited for.
func Pause(last time.Duration) time.Duration {
	wait := min(max(5*time.Millisecond, last*3/2), 250*time.Millisecond)
	time.Sleep(wait)
	return wait
}
