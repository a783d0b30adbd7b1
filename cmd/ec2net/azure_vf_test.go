package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// bare wants a virtual function to be as its driver made it: down, without an address, a route, another
// name or a group.
func bare(t *testing.T, c *lab.Cloud, vf string) {
	t.Helper()
	link := ip(t, c, "-d link show dev "+vf)
	got := ip(t, c, "-o addr show dev "+vf) + ip(t, c, "route show table all dev "+vf) + ip(t, c, "-6 route show table all dev "+vf)
	if got != "" || strings.Contains(link, ",UP") || strings.Contains(link, "altname") || !strings.Contains(link, "group default") {
		t.Errorf("%s is configured:\n%s%s", vf, link, got)
	}
}

// A function that is there before its interface's keeper, and one that comes later: by name, by scan, or as
// another interface's peer, it is never taken for the interface.
func TestFunctionIsNoInterface(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{})
	before := world(t, c)
	primary, err := c.AttachVF("eth1")
	must(t, err)
	vf, err := c.AttachVF("eth2")
	must(t, err)

	// Nothing says which of the two is the interface: nothing is done.
	says(t, ec2net(t, c, exitFailed, "up", "--wait", "1500ms", vf), "have the same MAC address", "nothing was changed")
	says(t, ec2net(t, c, exitFailed, "up", "--wait", "1500ms", "eth2"), "have the same MAC address", "nothing was changed")
	k := start(t, c, "eth2")
	k.notify.await(t, "STATUS=waiting: eth2 and "+vf+" have the same MAC address")
	must(t, c.EnslaveVF("eth2"))
	k.notify.await(t, "READY=1")
	answers(t, c, lab.EIP2)
	for _, command := range []string{"up", "plan"} {
		says(t, ec2net(t, c, exitUsage, command, vf), vf+" is enslaved to netvsc", "set that one up")
	}
	says(t, ec2net(t, c, exitOK, "run", vf), "is enslaved")

	// Free again, but by now it is known which of them is set up.
	must(t, c.FreeVF("eth2"))
	for _, command := range []string{"up", "doctor"} {
		says(t, ec2net(t, c, exitUsage, command, vf), vf+" is the virtual function of eth2")
	}
	says(t, ec2net(t, c, exitOK, "scan", vf), vf+" is the virtual function of eth2")
	ec2net(t, c, exitOK, "run", vf)
	says(t, ec2net(t, c, exitOK, "scan"), "eth3: ready")
	says(t, ec2net(t, c, exitOK, "down", vf))
	answers(t, c, lab.EIP2)
	bare(t, c, vf)
	bare(t, c, primary)

	k.stop(t)
	must(t, c.DetachVF("eth1"))
	must(t, c.DetachVF("eth2"))
	for _, iface := range []string{"eth1", "eth2", "eth3"} {
		ec2net(t, c, exitOK, "down", iface)
	}
	unchanged(t, c, before, "all of it")
}

// A function before its interface, without a driver that tells it from one: it is set up as an interface would be,
// and left again, to the last object, when its interface comes and enslaves it.
func TestFunctionBeforeItsInterface(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{})
	iface, err := c.Interface("eth2")
	must(t, err)
	must(t, c.Detach("eth2"))
	for _, cmd := range []string{"link add enP9 address " + iface.MAC.String() + " type veth peer name pf9", "link set pf9 up", "link add netvsc9 type bridge"} {
		ip(t, c, cmd)
	}
	k := start(t, c, "enP9")
	k.notify.await(t, "STATUS=waiting for ")
	must(t, c.Attach(iface))
	k2 := start(t, c, "eth2")
	k2.notify.await(t, "STATUS=waiting: eth2 and enP9 have the same MAC address")
	ip(t, c, "link set enP9 master netvsc9")
	k2.notify.await(t, "READY=1")
	k.end(t)
	says(t, k.log.String(), "enP9 is enslaved to netvsc9", "ec2net has removed everything of its own from it")
	answers(t, c, lab.EIP2)
	if got := ip(t, c, "-o addr show dev enP9"); strings.Contains(got, "172.22") {
		t.Errorf("an address on the function: %s", got)
	}
	says(t, ec2net(t, c, exitOK, "status"), "eth2: 172.22.5.4")
	k2.stop(t)
}

// Fifty random steps of functions that come, are enslaved, are freed and go, while keepers run, interfaces
// are scanned for, and a transfer goes on through two interfaces: not a byte is lost, and no function is
// ever configured.
func TestFunctionStorm(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{RPFilter: 1})
	ifaces := []string{"eth1", "eth2", "eth3"}
	var keepers []*kept
	for _, iface := range ifaces {
		keepers = append(keepers, keep(t, c, iface))
	}
	endPrimary := session(t, c, "172.22.5.68", lab.EIP1)
	end := session(t, c, "172.22.5.4", lab.EIP2)
	settled(t, c, ifaces) // the primary's own rules come after those of the others
	state := objects(t, c, ifaces)
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	functions := map[string]bool{}
	for step := range 50 {
		iface := ifaces[rnd.IntN(len(ifaces))]
		vf, err := c.VFOf(iface)
		must(t, err)
		switch n := rnd.IntN(8); {
		case !vf.Attached:
			name, err := c.AttachVF(iface)
			must(t, err)
			functions[name] = true
		case n < 3:
			must(t, c.EnslaveVF(iface))
		case n < 5:
			must(t, c.FreeVF(iface))
		case n < 6:
			must(t, c.DetachVF(iface))
		case n < 7:
			ec2net(t, c, exitOK, "run", vf.Name)
		default:
			ec2net(t, c, exitUsage, "up", vf.Name)
		}
		if vf, err = c.VFOf(iface); err == nil && vf.Attached {
			bare(t, c, vf.Name)
		}
		if step%10 == 9 {
			ec2net(t, c, exitOK, "scan")
		}
	}
	if got := objects(t, c, ifaces); got != state {
		t.Errorf("seed %d: it was\n%s\nand is\n%s", seed, state, got)
	}
	end()
	endPrimary()
	for i, k := range keepers {
		if n := k.lineCount(); n > 8 || strings.Contains(k.log.String(), "enP") {
			t.Errorf("seed %d: the log of %s:\n%s", seed, ifaces[i], k.log)
		}
		k.stop(t)
	}
	if len(functions) < 3 {
		t.Errorf("seed %d: only %d functions", seed, len(functions))
	}
	for _, eip := range []netip.Addr{lab.EIP1, lab.EIP2} {
		answers(t, c, eip)
	}
}

// objects is what interfaces have: addresses, routes, groups, and all rules.
func objects(t *testing.T, c *lab.Cloud, ifaces []string) string {
	t.Helper()
	out := ip(t, c, "rule") + ip(t, c, "-6 rule")
	for _, iface := range ifaces {
		_, group, _ := strings.Cut(ip(t, c, "link show dev "+iface), " group ")
		out += fmt.Sprintf("%s: group %.7s %s%s", iface, group, ip(t, c, "-o addr show dev "+iface), ip(t, c, "route show table all dev "+iface))
	}
	return out
}
