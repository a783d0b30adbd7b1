package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// An interface that gets another name while it is kept stays kept, and can be found under the new one.
func TestRenamed(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	k := keep(t, c, "eth1")
	ip(t, c, "link set eth1 down")
	ip(t, c, "link set eth1 name ens6")
	eventually(t, hang, "the link is up again", func() bool { return strings.Contains(ip(t, c, "link show dev ens6"), ",UP") })
	answers(t, c, lab.EIP2)
	eventually(t, hang, "the record follows", func() bool {
		out := ec2net(t, c, exitOK, "status")
		return strings.Contains(out, "ens6: 10.0.2.37") && !strings.Contains(out, "eth1:")
	})
	ec2net(t, c, exitOK, "down", "ens6")
	k.end(t)
	if files, _ := on(t, c, "ls", "-A", "/run/ec2net"); files != "" {
		t.Errorf("left in /run/ec2net: %s", files)
	}
}

// The same name, another interface: what the first one left does not get in the way, and goes.
func TestAnotherInterfaceUnderTheName(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	before := world(t, c)
	must(t, c.Attach(lab.Interface{Name: "eth1", DeviceNumber: 4, Addrs4: []netip.Addr{addr("10.0.2.90")}}))
	ec2net(t, c, exitOK, "up", "eth1")
	must(t, c.Detach("eth1")) // nobody runs: the rules stay
	must(t, c.Attach(lab.Eth1()))
	ec2net(t, c, exitOK, "up", "eth1")
	answers(t, c, lab.EIP2)
	if rules := ip(t, c, "rule"); strings.Contains(rules, "10.0.2.90") {
		t.Errorf("rules of the first interface are left:\n%s", rules)
	}
	must(t, c.Detach("eth1"))
	ec2net(t, c, exitOK, "down", "--if-gone", "eth1")
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
}
