package main

import (
	"encoding/json"
	"testing"
	"time"

	"ec2net/agent"
	"ec2net/test/lab"
)

// What is put back while a change is undone proves nothing of that change: the next pause is twice as long all
// the same.
func TestUndoneAgain(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	keep(t, c, "eth0")
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	speak := idle(t, c, "10.0.2.200", "10.0.0.29")
	spoil(t, c, lab.Fault{Interface: "eth1", Path: "local-ipv4s", Value: value("10.0.2.37\n10.0.2.200")})
	k.reload(t, c)
	k.logsTimes(t, "rolled back, because", 1)
	if first := undoneFor(t, c, "eth1"); first > agent.FirstRetry {
		t.Errorf("the first pause is %s", first)
	}
	before := k.log.String()
	ip(t, c, "rule del pref 20001")
	k.logsChange(t, before, "a deleted rule")
	k.reload(t, c)
	k.logsTimes(t, "rolled back, because", 2)
	eventually(t, hang, "the second pause is longer", func() bool { return undoneFor(t, c, "eth1") > agent.FirstRetry })
	speak()
}

// undoneFor is how long the change of an interface is not tried again.
func undoneFor(t *testing.T, c *lab.Cloud, iface string) time.Duration {
	t.Helper()
	var list []interfaceStatus
	must(t, json.Unmarshal([]byte(ec2net(t, c, exitOK, "status", "--json", iface)), &list))
	if len(list) != 1 || list[0].RolledBack == nil {
		return 0
	}
	return time.Until(list[0].RolledBack.Until)
}
