package main

import (
	"testing"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// A unit that is started again while the metadata is switched off, forbidden or silent finds its interface set up as the
// record says, and is ready: a start job that waited for the metadata would keep the system "starting". So is one of
// which a key never becomes readable. `up` still ends with the status that says so, and the metadata is still asked.
func TestReadyWithoutConfirmation(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(*testing.T, *lab.Cloud)
		fresh bool // from the first start on
		exit  int
	}{
		"switched off": {spoil: func(t *testing.T, c *lab.Cloud) { spoil(t, c, lab.Fault{Status: 403}) }, exit: exitUnavailable},
		"forbidden":    {spoil: func(t *testing.T, c *lab.Cloud) { ip(t, c, "route add prohibit 169.254.169.254") }, exit: exitUnavailable},
		"silent":       {spoil: func(t *testing.T, c *lab.Cloud) { spoil(t, c, lab.Fault{Close: true}) }, exit: exitUnavailable},
		"a key that is never readable": {spoil: func(t *testing.T, c *lab.Cloud) {
			spoil(t, c, lab.Fault{Interface: "eth1", Path: "subnet-ipv4-cidr-block", Status: 500})
		}, fresh: true, exit: exitPartial},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{})
			if tt.fresh {
				tt.spoil(t, c)
			} else {
				k := startAs(t, c, quick(), "eth1", nil)
				k.notify.await(t, "READY=1")
				k.stop(t)
				tt.spoil(t, c)
			}
			k := startAs(t, c, quick(), "eth1", nil)
			k.notify.await(t, "READY=1")
			answers(t, c, lab.EIP2)
			says(t, ec2net(t, c, exitOK, "status", "--json", "eth1"), `"phase": "unconfirmed"`)
			k.stop(t)
			says(t, ec2net(t, c, tt.exit, "up", "--wait", "2s", "eth1"), "gave up after")
			answers(t, c, lab.EIP2)
		})
	}
}

// The primary of a host whose metadata is switched off has nothing to be set up from, and stays as its owner made it. Its
// unit is ready all the same, and goes on asking.
func TestPrimaryReadyWithoutMetadata(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	before := world(t, c)
	spoil(t, c, lab.Fault{Status: 403})
	k := startAs(t, c, quick(), "eth0", nil)
	k.notify.await(t, "READY=1")
	k.notify.await(t, "STATUS=waiting for the metadata (")
	labtest.Unchanged(t, c, before, "the unit of the primary")
}
