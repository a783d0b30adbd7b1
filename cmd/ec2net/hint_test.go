package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// hinted is what each hint has in it, also when it is not to be there.
const hinted = "get no answer from eth0 until you run"

// Of what `up` says about the primary, which nobody has set up, each word is so on the wire: which hosts get no answer
// from it, and that all others do.
func TestHintNamesTheSubnet(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	neighbour, err := c.AddPeer("neighbour", addr("10.0.2.50"))
	must(t, err)
	beside, err := c.AddPeer("beside", addr("10.0.0.50"))
	must(t, err)
	primary := addr("10.0.0.29")
	const hint = "hosts in 10.0.2.0/24, the subnet of eth1, " + hinted + " \"ec2net up eth0\"; hosts elsewhere do"
	says(t, ec2net(t, c, exitOK, "up", "eth1"), hint)
	reaches(t, beside, primary, lab.Ping{}) // first: it has to answer, and then the other gets nothing
	if _, err := neighbour.Ping(t.Context(), primary, lab.Ping{}); err == nil {
		t.Error("the hint is not true")
	}
	answers(t, c, lab.EIP1)
	const told = "hosts in 10.0.2.0/24 get no answer from it; all others do"
	says(t, strings.Join(strings.Fields(report(t, c)), " "), told, "answers from 10.0.0.29 to hosts in 10.0.2.0/24 do not leave by it",
		"a source rule is missing: answers to hosts in 10.0.2.0/24 leave by another interface")
	if got := ec2net(t, c, exitOK, "up", "eth0"); strings.Contains(got, hinted) {
		t.Error(got)
	}
	reaches(t, neighbour, primary, lab.Ping{})
	reaches(t, beside, primary, lab.Ping{})
}

// Where both are in one subnet, or main has no route of the other's, there is nothing to hint at.
func TestNoHint(t *testing.T) {
	t.Parallel()
	for name, conf := range map[string]string{"one subnet": "", "not in main": "main_table = false\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, from := lab.Config{}, "10.0.2.50"
			if conf == "" {
				cfg, from = shared(), "10.0.0.50"
			}
			c := cloud(t, cfg)
			neighbour, err := c.AddPeer("neighbour", addr(from))
			must(t, err)
			if got := ec2net(t, c, exitOK, "up", "eth1", "--config", write(t, conf)); strings.Contains(got, hinted) {
				t.Error(got)
			}
			reaches(t, neighbour, addr("10.0.0.29"), lab.Ping{})
		})
	}
}

// What explain says of a host in one of the subnets says what it does not hold for, with the way of the rest.
func TestExplainHoldsForASubnet(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	says(t, ec2net(t, c, exitDifferences, "explain", "10.0.2.50", "10.0.0.29"), "10.0.0.29 leaves by eth1, but is eth0's address",
		"this is so for hosts in 10.0.2.0/24; what 10.0.0.29 sends to other hosts")
	if e := explain(t, c, exitOK, "198.51.100.146", "10.0.0.29"); len(e.Notes) != 0 {
		t.Errorf("of a host far away: %q", e.Notes)
	}
	ec2net(t, c, exitOK, "up", "eth0")
	if e := explain(t, c, exitOK, "10.0.2.50", "10.0.0.29"); len(e.Notes) != 0 {
		t.Errorf("where all leave by one interface: %q", e.Notes)
	}
	ip(t, c, "rule del pref 20001")
	const note = "this is so for hosts in 10.0.2.0/24; what 10.0.2.37 sends to other hosts leaves via 10.0.0.1 dev eth0"
	if e := explain(t, c, exitOK, "10.0.2.50", "10.0.2.37"); len(e.Notes) != 1 || e.Notes[0] != note {
		t.Errorf("a neighbour is answered, and others are not: %q", e.Notes)
	}
	says(t, strings.Join(strings.Fields(report(t, c)), " "), "answers from 10.0.2.37 to hosts outside of 10.0.2.0/24 do not leave by it",
		"a source rule is missing: answers to hosts outside of 10.0.2.0/24 leave by another interface")
}
