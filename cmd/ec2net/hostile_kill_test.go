package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// seed is the test's random numbers, printed so that a failure can be had again: EC2NET_SEED=… go test.
func seed(t *testing.T) *rand.Rand {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("EC2NET_SEED"); s != "" {
		var err error
		n, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("EC2NET_SEED=%d", n)
	return rand.New(rand.NewPCG(n, n))
}

// Killed at twenty random moments of set-up and change, and run again: the end is that of a run which nobody
// disturbed, object by object.
func TestKilled(t *testing.T) {
	t.Parallel()
	c := full(t)
	rnd := seed(t)
	clean := world(t, c)
	secondary, on := addr("10.0.2.60"), false
	for range 20 {
		k := start(t, c, "eth1")
		// Half of them in the middle of what a process does first, half in a change.
		time.Sleep(time.Duration(rnd.IntN(250)) * time.Millisecond)
		if rnd.IntN(2) == 0 {
			if on {
				must(t, c.Release("eth1", secondary))
			} else {
				must(t, c.Assign("eth1", secondary))
			}
			on = !on
			_ = k.Process.Signal(syscallHUP)
			time.Sleep(time.Duration(rnd.IntN(1300)) * time.Millisecond)
		}
		_ = k.Process.Signal(syscall.SIGKILL)
		<-k.ended
	}
	if !on {
		must(t, c.Assign("eth1", secondary))
	}
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	disturbed := world(t, c)
	says(t, statusOf1(t, c, "eth1"), "drift       none")
	answers(t, c, lab.EIP2)
	k.stop(t)
	ec2net(t, c, exitOK, "down", "eth1")
	unchanged(t, c, clean, "twenty kills and a down")
	if files, _ := runOn(c.Instance(), "ls -A /run/ec2net"); strings.Contains(files, "json") {
		t.Errorf("left in /run/ec2net: %s", files)
	}

	k = keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	unchanged(t, c, disturbed, "a run that nobody disturbed")
}

// Killed in the middle of the set-up, and the interface unplugged before anybody runs again: what is left of it can
// still be taken away.
func TestKilledAndUnplugged(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	rnd := seed(t)
	clean := world(t, c)
	for range 8 {
		must(t, c.Attach(lab.Eth1()))
		k := start(t, c, "eth1")
		time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
		_ = k.Process.Signal(syscall.SIGKILL)
		<-k.ended
		must(t, c.Detach("eth1"))
		if out, status := on(t, c, "ec2net", "--cloud", "ec2", "down", "eth1"); status != exitOK && status != exitUsage { // there was nothing yet
			t.Errorf("down: exit status %d: %s", status, out)
		}
		unchanged(t, c, clean, "a kill, an unplugged interface and a down")
	}
}

// Killed at the first rule that it writes, with a record that was made while nothing was known of the interface, and
// unplugged: whose the rules are was on disk before the kernel had them.
func TestKilledAtTheFirstRule(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	clean := world(t, c)
	for range 4 {
		must(t, c.Attach(lab.Eth1()))
		heal := spoil(t, c, lab.Fault{Status: 503})
		k := start(t, c, "eth1")
		eventually(t, hang, "a record that knows no number", func() bool {
			return strings.Contains(statusOf1(t, c, "eth1"), "eth1: waiting for the metadata")
		})
		killAt(t, c, unix.RTNLGRP_IPV4_RULE, func() *kept { heal(); return k })
		must(t, c.Detach("eth1"))
		says(t, ec2net(t, c, exitOK, "down", "eth1"), "- rule from ")
		unchanged(t, c, clean, "a kill, an unplugged interface and a down")
	}
}

// Killed the moment that it has set the interface's link up, before the metadata has said a word: that the link was down
// was on disk before.
func TestKilledAtTheLink(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	clean := world(t, c)
	must(t, c.IMDS().Silence())
	for range 4 {
		killAt(t, c, unix.RTNLGRP_LINK, func() *kept { return start(t, c, "eth1") })
		ec2net(t, c, exitOK, "down", "eth1")
		unchanged(t, c, clean, "a kill and a down")
	}
}

// killAt kills a process as soon as the kernel tells of a change of one kind on the instance.
func killAt(t *testing.T, c *lab.Cloud, group uint, begin func() *kept) {
	t.Helper()
	s, err := nl.SubscribeAt(c.Instance().NetNS(), netns.None(), unix.NETLINK_ROUTE, group)
	must(t, err)
	defer s.Close()
	must(t, s.SetReceiveTimeout(&unix.Timeval{Sec: int64(hang / time.Second)}))
	k := begin()
	_, _, err = s.Receive()
	_ = k.Process.Signal(syscall.SIGKILL)
	<-k.ended
	must(t, err)
}
