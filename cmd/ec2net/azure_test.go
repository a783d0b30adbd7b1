package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// azureCloud is seed 001's machine: eth1 is the primary, eth2 and eth3 are beside it.
func azureCloud(t *testing.T, cfg lab.Config) *lab.Cloud {
	t.Helper()
	cfg.Cloud = lab.Azure
	return cloud(t, cfg)
}

// The three cards of seed 001, once: each answers, none has a name by a device number, the second plan
// is empty although Azure answers only five requests a second, and `down` leaves nothing.
func TestAzureUpPlanDown(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{RPFilter: 1})
	before := world(t, c)
	for _, card := range []string{"eth2", "eth3", "eth1"} {
		ec2net(t, c, exitOK, "up", card)
	}
	for _, card := range []string{"eth1", "eth2", "eth3"} {
		if plan := ec2net(t, c, exitOK, "plan", card); plan != "" {
			t.Errorf("%s: plan after up:\n%s", card, plan)
		}
	}
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	if links := ip(t, c, "link"); strings.Contains(links, "altname") {
		t.Errorf("alternative names on Azure:\n%s", links)
	}
	says(t, ip(t, c, "rule"), "from 172.22.5.68 lookup 10000", "from 172.22.5.4 lookup 14202", "from 172.22.5.132 lookup 13904")
	says(t, ec2net(t, c, exitOK, "status"), "eth1: primary card", "eth2: 172.22.5.4, table 14202, lease without end", "drift      none")
	for _, card := range []string{"eth1", "eth2", "eth3"} {
		ec2net(t, c, exitOK, "down", card)
	}
	unchanged(t, c, before, "up and down")
}
