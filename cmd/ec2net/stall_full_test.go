package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// The folder of the records is full, through the whole life of an interface: its start, a change, a kill, its unplugging, down. A
// change whose record cannot be written ahead is made all the same; what the kernel holds tells the next process as
// much, and what is left of an interface that is gone carries our mark. Once there is room, the record is written by the
// process that is there, and nobody has to tell it.
func TestFullDiskForLife(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	shell(t, c.Instance(), "mkdir -p /run/ec2net", "mount -t tmpfs -o size=32k,mode=700 tmpfs /run/ec2net")
	fill := func() { shell(t, c.Instance(), "head -c 1m /dev/zero >/run/ec2net/full || true") }
	room := func() { shell(t, c.Instance(), "rm /run/ec2net/full") }
	before := world(t, c)
	flags := []string{"--config", write(t, soon)}
	begin := func() *kept {
		k := startWith(t, c, "eth1", flags)
		k.notify.await(t, "READY=1")
		return k
	}
	fill()

	rules := func() string { return ip(t, c, "rule") + ip(t, c, "-6 rule") + nftables(t, c) }
	none := rules()
	must(t, c.Attach(lab.Eth1())) // killed, then unplugged
	k := begin()
	answers(t, c, lab.EIP2)
	k.logs(t, "no space left on device")
	must(t, k.Process.Kill())
	<-k.ended
	must(t, c.Detach("eth1"))
	ends(t, c, exitOK, "down", "eth1")
	if left := rules(); left != none { // how links were found, only a record tells
		t.Errorf("killed and unplugged, down leaves:\n%s", left)
	}
	ip(t, c, "link set eth0 group default")

	must(t, c.Attach(lab.Eth1())) // unplugged from a living process, and taken down after one that was stopped
	k = begin()
	must(t, c.Detach("eth1"))
	k.end(t)
	unchanged(t, c, before, "unplugged")
	must(t, c.Attach(lab.Eth1()))
	begin().stop(t)
	answers(t, c, lab.EIP2)
	ends(t, c, exitOK, "down", "eth1")
	if left := rules() + ip(t, c, "route show table all proto 236") + addresses(t, c, "eth1"); left != none {
		t.Errorf("down leaves:\n%s", left)
	}

	room()
	k = begin()
	settled(t, c, []string{"eth1"})
	fill()
	must(t, c.Assign("eth1", addr("10.0.2.50")))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, "a change whose record cannot be written", func() bool { return strings.Contains(addresses(t, c, "eth1"), "10.0.2.50") })
	must(t, k.Process.Kill())
	<-k.ended
	quiet := silently(t, c)
	k = begin()
	quiet("the next process")
	room()
	eventually(t, hang, "the record, once there is room", func() bool {
		out, _ := on(t, c, "cat", "/run/ec2net/eth1.json")
		return strings.Contains(out, "10.0.2.50")
	})
	k.stop(t)
}
