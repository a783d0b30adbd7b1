package main

import (
	"testing"

	"ec2net/test/lab"
)

func TestUpSmoke(t *testing.T) {
	c := cloud(t, lab.Config{})
	t.Log(ec2net(t, c, exitOK, "up", "eth1", "--wait", "20s"))
	out, _ := on(t, c, "ip", "rule")
	t.Log(out)
	t.Log(ec2net(t, c, exitOK, "plan", "eth1"))
	t.Log(ec2net(t, c, exitOK, "status"))
	t.Log(ec2net(t, c, exitOK, "down", "eth1"))
	out, _ = on(t, c, "ip", "rule")
	t.Log(out)
}
