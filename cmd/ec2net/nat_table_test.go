package main

import (
	"strings"
	"testing"
)

// A primary that is alone again has no table, and status shows none.
func TestStatusOfThePrimaryAlone(t *testing.T) {
	t.Parallel()
	c := cloud(t, wide())
	configure(t, c, "[nat]\nfrom = [\"10.0.3.0/24\"]\nin = \"eth0\"\nout = \"eth1\"\n")
	ec2net(t, c, exitOK, "up", "eth1")
	ec2net(t, c, exitOK, "up", "eth0")
	says(t, statusOf1(t, c, "eth0"), "table       10000")
	ec2net(t, c, exitOK, "down", "eth1")
	ec2net(t, c, exitOK, "up", "eth0")
	table, status := ip(t, c, "route show table all"), statusOf1(t, c, "eth0")
	if has := strings.Contains(table, "table 10000"); has != strings.Contains(status, "table       10000") {
		t.Errorf("the table is there: %v\n%s\n%s\n%s", has, status, ip(t, c, "rule"), table)
	}
}
