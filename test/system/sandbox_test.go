//go:build system

package system

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// The unit's sandbox is what was measured when it was written, on both versions of systemd.
func TestExposure(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.plug(second())
		m.active("ens6")
		out := strings.Fields(m.run("sh", "-c", "systemd-analyze security --no-pager ec2net-ifup@ens6.service | tail -1"))
		i := slices.Index(out, "ec2net-ifup@ens6.service:")
		if i < 0 || i+1 >= len(out) {
			t.Fatalf("no score in %q", out)
		}
		if score, err := strconv.ParseFloat(out[i+1], 64); err != nil || score > 2.0 {
			t.Errorf("exposure %s: want 2.0 or less, error %v", out[i+1], err)
		}
	})
}

// A lease is renewed from port 68 by unicast, from within the sandbox.
func TestRenewalInSandbox(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		if _, err := m.cloud.DHCP().Inject(lab.DHCPFault{Lease: time.Minute, T1: 2 * time.Second, T2: 50 * time.Second}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		m.plug(second())
		ctx, cancel := context.WithTimeout(context.Background(), hang)
		defer cancel()
		err := m.cloud.DHCP().Wait(ctx, began, func(all []lab.DHCPMessage) bool {
			return slices.ContainsFunc(all, func(d lab.DHCPMessage) bool { return d.State == "RENEWING" && d.Unicast && d.Reply == "ACK" })
		})
		if err != nil {
			t.Errorf("no renewal: %v\n%v", err, m.cloud.DHCP().Messages(began))
		}
	})
}
