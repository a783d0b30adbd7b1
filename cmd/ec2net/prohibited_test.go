package main

import (
	"strings"
	"testing"
	"time"

	"ec2net/agent"
	"ec2net/test/lab"
)

// Where this host forbids requests to the metadata, as systemd-imdsd's locked mode does, nothing is waited for: the lease
// alone has to do, the unit is ready, and doctor names the route, also where the rule of [egress] comes before it. Once
// the route is gone, a reload is enough.
func TestProhibitedMetadata(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{"plain": "", "with [egress]": "[egress]\ninterface = \"eth1\"\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{})
			conf := write(t, settings)
			ip(t, c, "route add prohibit 169.254.169.254")
			began := time.Now()
			k := startWith(t, c, "eth1", []string{"--config", conf})
			k.notify.await(t, "READY=1")
			if took := time.Since(began); took >= agent.Silence {
				t.Logf("ready after %s: this machine is slow, or the lock was taken for silence", took)
			}
			says(t, k.log.String(), "forbids requests to the metadata")
			answers(t, c, lab.EIP2)
			out := ec2net(t, c, exitDifferences, "--config", conf, "doctor")
			says(t, out, "this host forbids requests to the metadata (169.254.169.254)", "prohibit 169.254.169.254", "remove that route")
			says(t, ec2net(t, c, exitPartial, "--config", conf, "up", "eth1"), "partly set up: degraded")
			ip(t, c, "route del prohibit 169.254.169.254")
			must(t, k.Process.Signal(syscallHUP))
			eventually(t, hang, "the metadata counts again", func() bool { return strings.Contains(k.log.String(), "no longer degraded") })
		})
	}
}
