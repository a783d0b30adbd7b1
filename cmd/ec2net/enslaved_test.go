package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// An interface that is put into a bridge while it is kept belongs to the bridge: the process ends well, and
// what it wrote is gone, to the last object.
func TestEnslavedWhileKept(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ip(t, c, "link set eth1 up")
	linkLocals(t, c, "eth1")
	ip(t, c, "link add br0 type bridge")
	before := objects(t, c, []string{"eth0", "eth1"})
	k := keep(t, c, "eth1")
	answers(t, c, lab.EIP2)
	ip(t, c, "link set eth1 master br0")
	k.end(t)
	says(t, k.log.String(), "eth1 is enslaved to br0", "ec2net has removed everything of its own from it")
	eventually(t, hang, "everything of ours is gone", func() bool { return objects(t, c, []string{"eth0", "eth1"}) == before })
	if links := ip(t, c, "link show dev eth1"); strings.Contains(links, "altname") {
		t.Errorf("names of ours are left:\n%s", links)
	}
	if out := ec2net(t, c, exitOK, "status"); strings.Contains(out, "eth1:") {
		t.Errorf("it is remembered:\n%s", out)
	}
	answers(t, c, lab.EIP1)
}
