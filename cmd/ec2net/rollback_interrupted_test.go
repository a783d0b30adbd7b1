package main

import (
	"strings"
	"syscall"
	"testing"

	"ec2net/test/lab"
)

// Who interrupts a change gets no half of it: what cuts the host off is put back.
func TestInterruptedAndUndone(t *testing.T) {
	t.Parallel()
	c := cloud(t, wide())
	ip(t, c, "rule add to 169.254.169.254 lookup 10000 pref 100") // without the table, by eth1, and there is a wall
	wall(t, c, "eth1", "10.0.2.1")
	must(t, c.Assign("eth0", addr("10.0.0.5")))
	keep(t, c, "eth0")
	k := keep(t, c, "eth1")
	session := operator(t, c, "10.0.2.200", "10.0.0.29")
	settled(t, c, []string{"eth0", "eth1"})
	k.stop(t)
	ip(t, c, "route add default via 10.0.2.1 dev eth1 metric 1")
	held := world(t, c)
	cmd := c.Instance().Command(t.Context(), "ec2net", "--cloud", "ec2", "down", "eth0")
	said := &lab.Log{}
	cmd.Stdout, cmd.Stderr = said, said
	must(t, cmd.Start())
	eventually(t, hang, "the primary's rules are gone", func() bool { return !strings.Contains(ip(t, c, "rule"), "20000:") })
	must(t, cmd.Process.Signal(syscall.SIGINT))
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("down: %v", err)
	}
	says(t, said.String(), "rolled back: without this interface")
	unchanged(t, c, held, "an interrupted down")
	alive(t, session)
}
