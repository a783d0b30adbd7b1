package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// One interface and one address: policy routing would be pure risk, so nothing is written. A secondary
// address is added and goes again; rules and routes there are none.
func TestPrimaryInterface(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	configure(t, c, soon)
	before := world(t, c)
	quiet := silently(t, c)
	ec2net(t, c, exitOK, "up", "eth0")
	if out := ec2net(t, c, exitOK, "plan", "eth0"); out != "" {
		t.Errorf("plan: %s", out)
	}
	quiet("one interface with one address")

	must(t, c.Assign("eth0", addr("10.0.0.5"))) // numerically below the primary
	must(t, c.AssociateEIP(addr("10.0.0.5"), addr("203.0.113.5")))
	silent(t, c, addr("203.0.113.5"))
	ec2net(t, c, exitOK, "up", "eth0")
	answers(t, c, addr("203.0.113.5"))
	answers(t, c, lab.EIP1)
	if out := ip(t, c, "route get 198.51.100.146"); !strings.Contains(out, "src 10.0.0.29") {
		t.Errorf("the primary address is no longer the preferred source: %s", out)
	}
	if rules := ip(t, c, "rule"); strings.Count(rules, "\n") != 3 {
		t.Errorf("the primary interface got rules:\n%s", rules)
	}
	// A process that starts does not take one wrong reading for the truth, without a record either.
	on(t, c, "rm", "-rf", "/run/ec2net")
	_, err := c.IMDS().Inject(lab.Fault{Interface: "eth0", Path: "local-ipv4s", Body: "10.0.0.29", Times: 1})
	must(t, err)
	ec2net(t, c, exitOK, "up", "eth0")
	answers(t, c, addr("203.0.113.5"))
	must(t, c.Release("eth0", addr("10.0.0.5")))
	ec2net(t, c, exitOK, "up", "eth0")
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
}

// A second interface beside a kept primary, and away again: the primary's unit does not get in its way.
func TestPrimaryKeptBesideASecond(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	before := world(t, c)
	primary := keep(t, c, "eth0")
	must(t, c.Attach(lab.Eth1()))
	second := keep(t, c, "eth1")
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	must(t, c.Detach("eth1"))
	second.end(t)
	primary.stop(t)
	ec2net(t, c, exitOK, "down", "eth0")
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
	answers(t, c, lab.EIP1)
}

// A reading that lacks the first address, or has the list in another order, takes no secondary address off the
// primary interface, not even for a moment.
func TestPrimaryListOutOfOrder(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"10.0.0.5", "10.0.0.5\n10.0.0.29"} {
		t.Run(strings.ReplaceAll(list, "\n", " "), func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
			configure(t, c, "release = \"3s\"\n")
			before := world(t, c)
			must(t, c.Assign("eth0", addr("10.0.0.5")))
			must(t, c.AssociateEIP(addr("10.0.0.5"), addr("203.0.113.5")))
			k := keep(t, c, "eth0")
			end := session(t, c, "10.0.0.5", addr("203.0.113.5"))
			quiet := silently(t, c)
			spoil(t, c, lab.Fault{Interface: "eth0", Path: "local-ipv4s", Value: &list, Times: 1})
			for range 3 { // the one that is asked means that those before were worked in
				k.reload(t, c, "local-ipv4s")
			}
			quiet("a list that begins with " + list)
			end()
			must(t, c.Release("eth0", addr("10.0.0.5")))
			must(t, k.Process.Signal(syscallHUP))
			eventually(t, hang, "it goes when it is released", func() bool { return cmp.Equal(before, world(t, c)) })
		})
	}
}
