package main

import (
	"testing"

	"ec2net/test/lab"
)

// A route to the platform that somebody wrote by hand, through another interface, does not make that one the
// primary: neither while ec2net runs, nor for an agent process that starts then, nor where nothing was set up.
func TestAzureRouteByHand(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{RPFilter: 1})
	c.IMDS().Limit(0)
	byHand := func() {
		t.Helper()
		shell(t, c.Instance(), "ip link set eth2 up", "ip route replace 168.63.129.16 via 172.22.5.1 dev eth2 onlink")
	}
	sound := func(when string) {
		t.Helper()
		says(t, ec2net(t, c, exitOK, "status", "eth1"), "primary")
		for _, to := range []string{lab.EIP1.String(), lab.EIP2.String()} {
			answersWithin(t, c, hang, addr(to))
		}
	}
	byHand()
	first, second := keep(t, c, "eth1"), keep(t, c, "eth2")
	sound("from the start")
	byHand()
	first.stop(t)
	second.stop(t)
	first, second = keep(t, c, "eth1"), keep(t, c, "eth2")
	sound("after a restart")
	first.stop(t)
	second.stop(t)
}
