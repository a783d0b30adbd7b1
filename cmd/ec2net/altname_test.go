package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// Every command takes an interface by its alternative names, of which the cloud's console shows the one, and acts on
// that interface: a second keeper is refused, and down leaves neither a keeper nor a record.
func TestByAltName(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth0")
	k := start(t, c, "eth1")
	k.notify.await(t, "READY=1")
	iface, err := c.Interface("eth1")
	must(t, err)
	for _, name := range []string{iface.ID, "device-number-1"} {
		if out := ec2net(t, c, exitOK, "status", name); !strings.Contains(out, "eth1") || !strings.Contains(out, "10.0.2.37") {
			t.Errorf("status %s:\n%s", name, out)
		}
		ec2net(t, c, exitOK, "plan", name)
		ec2net(t, c, exitOK, "doctor", name)
		if out := ec2net(t, c, exitOK, "up", name); !strings.Contains(out, "manages this interface: asked it") {
			t.Errorf("up %s:\n%s", name, out)
		}
		if out := ec2net(t, c, exitFailed, "run", name); !strings.Contains(out, "already manages eth1") {
			t.Errorf("run %s:\n%s", name, out)
		}
		if out := ec2net(t, c, exitOK, "explain", "198.51.100.146", "10.0.2.37", "--in", name); !strings.Contains(out, "eth1") {
			t.Errorf("explain --in %s:\n%s", name, out)
		}
	}
	ec2net(t, c, exitOK, "down", iface.ID)
	k.end(t)
	if out := ec2net(t, c, exitOK, "status"); strings.Contains(out, "eth1") {
		t.Errorf("after down:\n%s", out)
	}
	if out := ec2net(t, c, exitUsage, "up", iface.ID); !strings.Contains(out, "nor is it an alternative name of an interface here; this host has eth0, eth1") { // down took the name away
		t.Error(out)
	}
}
