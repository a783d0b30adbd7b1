package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// An interface was set up, unplugged and plugged in again while nobody kept it. What the operator has done to it
// since is not taken for ours.
func TestDownOfAInterfacePluggedInAgain(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	iface, err := c.Interface("eth1")
	must(t, err)
	ec2net(t, c, exitOK, "up", "eth1")
	must(t, c.Detach("eth1"))
	must(t, c.Attach(iface))
	on(t, c, "ip", "link", "set", "eth1", "up", "mtu", "1400")
	ec2net(t, c, exitOK, "down", "eth1")
	if out, _ := on(t, c, "ip", "-o", "link", "show", "eth1"); !strings.Contains(out, "mtu 1400") || !strings.Contains(out, ",UP") {
		t.Errorf("after down: %s", out)
	}
	if out, _ := on(t, c, "ip", "rule"); strings.Contains(out, "10001") {
		t.Errorf("after down:\n%s", out)
	}
}
