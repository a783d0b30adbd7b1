package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// soon has an address that the metadata leaves out go after a second, for tests that wait for that.
const soon = "release = \"1s\"\n"

// A glitch of the metadata that lasts through several readings, as of servers that do not agree yet, changes nothing
// in the kernel, also where it is the primary address that is left out. The state says what is in doubt; the doctor,
// who knows that a process is in doubt, finds nothing wrong; and the plan is what comes in the end.
func TestGlitch(t *testing.T) {
	t.Parallel()
	c := full(t)
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	ec2net(t, c, exitOK, "up", "eth0")
	held := world(t, c)
	quiet := silently(t, c)
	for _, glitch := range []struct{ key, value, lost string }{
		{"local-ipv4s", "10.0.2.40\n10.0.2.4", "10.0.2.37"}, {"local-ipv4s", "10.0.2.37", "10.0.2.4"}, {"ipv6s", "2001:db8:ec2:2::40", "2001:db8:ec2:2::37"},
	} {
		heal := spoil(t, c, lab.Fault{Interface: "eth1", Path: glitch.key, Value: &glitch.value})
		begun := time.Now()
		k.reload(t, c, glitch.key)
		eventually(t, hang, "the doubt is told", func() bool {
			return strings.Contains(statusOf1(t, c, "eth1"), "the metadata to list "+glitch.lost+" again, else removal at ")
		})
		for time.Since(begun) < 2500*time.Millisecond { // how long it lasts is the point
			k.reload(t, c, glitch.key)
			time.Sleep(100 * time.Millisecond)
		}
		if findings, _ := diagnosis(t, c); roots(findings) != "" {
			t.Errorf("%s is in doubt, and the doctor finds %s", glitch.lost, roots(findings))
		}
		if out := ec2net(t, c, exitDifferences, "plan", "eth1"); !strings.Contains(out, "- addr "+glitch.lost+"/") {
			t.Errorf("the plan does not say what comes:\n%s", out)
		}
		heal()
		k.reload(t, c, glitch.key)
		eventually(t, hang, "the doubt is over", func() bool { return !strings.Contains(statusOf1(t, c, "eth1"), "again, else removal at") })
	}
	quiet("a glitch")
	unchanged(t, c, held, "a glitch")
}

// What the metadata lists for another interface of the host by now goes at once, and what it lists nowhere when the
// time is over.
func TestMovedAtOnce(t *testing.T) {
	t.Parallel()
	cfg := secondaries()
	cfg.Interfaces = append(cfg.Interfaces, lab.Interface{Name: "eth2", Subnet: cfg.Interfaces[1].Subnet, Addrs4: []netip.Addr{addr("10.0.2.60")}})
	c := cloud(t, cfg)
	configure(t, c, "release = \"1h\"\n")
	one, two := keep(t, c, "eth1"), keep(t, c, "eth2")
	must(t, c.Move(addr("10.0.2.42"), "eth1", "eth2"))
	one.reload(t, c)
	two.reload(t, c)
	eventually(t, hang, "it is moved", func() bool {
		return addresses(t, c, "eth1") == "10.0.2.37 10.0.2.40 10.0.2.41" && addresses(t, c, "eth2") == "10.0.2.42 10.0.2.60"
	})
	one.stop(t)
	must(t, c.Move(addr("10.0.2.41"), "eth1", "eth2"))
	out := upAsPlanned(t, c, exitOK, "up", "eth1") // by hand, too
	if d := cmp.Diff("10.0.2.37 10.0.2.40", addresses(t, c, "eth1")); d != "" {
		t.Errorf("%s\n%s", d, out)
	}
	configure(t, c, "release = \"3s\"\n")
	must(t, c.Release("eth1", addr("10.0.2.40")))
	begun := time.Now()
	upAsPlanned(t, c, exitOK, "up", "eth1")
	if took := time.Since(begun); addresses(t, c, "eth1") != "10.0.2.37" || took < 3*time.Second {
		t.Errorf("after %s eth1 has %s", took, addresses(t, c, "eth1"))
	}
}
