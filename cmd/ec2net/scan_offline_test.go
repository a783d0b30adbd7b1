package main

import (
	"slices"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// Typed by hand on a host that nobody configures, scan sets it up as the units do, though the metadata can not be asked
// before an interface has a lease. What the cloud turns out not to know is left as it was.
func TestScanOfAHostThatNobodyConfigures(t *testing.T) {
	t.Parallel()
	c := unconfigured(t, lab.Config{})
	scansAll(t, c, "the host has no default route")
	if def := ip(t, c, "-N route show default"); !strings.HasPrefix(def, "default via 10.0.0.1 dev eth0 proto 236 src 10.0.0.29 metric 512") {
		t.Errorf("the host's own traffic does not leave by the primary:\n%s", def)
	}
}

// It starts nothing that is left alone, and where it has nothing to start it says, as ever, that the metadata is silent.
func TestScanOfflineLeavesAlone(t *testing.T) {
	t.Parallel()
	c := unconfigured(t, lab.Config{})
	file := write(t, "manage = false\n")
	before := world(t, c)
	says(t, ec2net(t, c, exitUnavailable, "--config", file, "scan"), "eth0 is left alone, because "+file+" says", "nothing was changed")
	if got := world(t, c); !slices.Equal(timeless(got), timeless(before)) {
		t.Errorf("something changed:\n%q", got)
	}
	file = write(t, "[[interface]]\nname = \"eth1\"\nmanage = false\n")
	says(t, ec2net(t, c, exitOK, "--config", file, "scan"), "eth1 is left alone, because "+file+" says", "eth0: ready")
	answers(t, c, lab.EIP1)
	if got := addresses(t, c, "eth1"); got != "" {
		t.Errorf("eth1 has %s", got)
	}
}

// What the cloud does not know is left as it was, and nothing waits for it.
func TestScanOfflineWithAStranger(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	strip(t, c, "eth0")
	ip(t, c, "link add stranger address 02:00:00:00:99:99 type veth peer name stranger1")
	out := ec2net(t, c, exitOK, "scan")
	says(t, out, "the cloud does not know stranger (02:00:00:00:99:99)", "the cloud does not know stranger1", "eth0: ready")
	answers(t, c, lab.EIP1)
	if got := ip(t, c, "addr show dev stranger"); strings.Contains(got, "inet ") {
		t.Errorf("the stranger has an address:\n%s", got)
	}
}
