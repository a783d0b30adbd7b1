package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// The three interfaces of seed 001, once: each answers, none has a name by a device number, the second plan
// is empty although Azure answers only five requests a second, and `down` leaves nothing.
func TestAzureUpPlanDown(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{RPFilter: 1})
	before := world(t, c)
	for _, iface := range []string{"eth2", "eth3", "eth1"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	for _, iface := range []string{"eth1", "eth2", "eth3"} {
		if plan := ec2net(t, c, exitOK, "plan", iface); plan != "" {
			t.Errorf("%s: plan after up:\n%s", iface, plan)
		}
	}
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	if links := ip(t, c, "link"); strings.Contains(links, "altname") {
		t.Errorf("alternative names on Azure:\n%s", links)
	}
	says(t, ip(t, c, "rule"), "from 172.22.5.68 lookup 10000", "from 172.22.5.4 lookup 14202", "from 172.22.5.132 lookup 13904")
	says(t, ec2net(t, c, exitOK, "status"), "eth1: primary interface", "eth2: 172.22.5.4, table 14202, lease with no expiry", "drift       none")
	for _, iface := range []string{"eth1", "eth2", "eth3"} {
		ec2net(t, c, exitOK, "down", iface)
	}
	unchanged(t, c, before, "up and down")
}

// Addresses of both families come, go and move between interfaces that are kept, and a session on one that
// stays does not notice.
func TestAzureFollows(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{Interfaces: []lab.Interface{
		{Name: "eth1", Addrs4: []netip.Addr{addr("172.22.5.68")}, EIPs: map[netip.Addr]netip.Addr{addr("172.22.5.68"): lab.EIP1}},
		{Name: "eth2", Addrs4: []netip.Addr{addr("172.22.5.4")}, Addrs6: []netip.Addr{addr("2001:db8:a2e:2::4")}, EIPs: map[netip.Addr]netip.Addr{addr("172.22.5.4"): lab.EIP2}},
		{Name: "eth3", Addrs4: []netip.Addr{addr("172.22.5.5")}},
	}})
	c.IMDS().Limit(0)
	configure(t, c, soon)
	for _, iface := range []string{"eth1", "eth2", "eth3"} {
		keep(t, c, iface)
	}
	end := session(t, c, "172.22.5.4", lab.EIP2)
	has := func(iface string, want ...string) {
		t.Helper()
		eventually(t, hang, iface+" has "+strings.Join(want, " "), func() bool {
			table := map[string]string{"eth2": "14202", "eth3": "13904"}[iface]
			rules := ip(t, c, "rule")
			for _, a := range want {
				if !strings.Contains(rules, "from "+a+" lookup "+table) {
					return false
				}
			}
			return addresses(t, c, iface) == strings.Join(want, " ") && strings.Count(rules, "lookup "+table) == len(want)
		})
	}
	has("eth2", "172.22.5.4")
	must(t, c.Assign("eth2", addr("172.22.5.9"), addr("2001:db8:a2e:2::9")))
	must(t, c.AssociateEIP(addr("172.22.5.9"), addr("203.0.113.9")))
	has("eth2", "172.22.5.4", "172.22.5.9")
	eventually(t, hang, "a rule for the IPv6 address", func() bool { return strings.Contains(ip(t, c, "-6 rule"), "from 2001:db8:a2e:2::9 lookup 14202") })
	answers(t, c, addr("203.0.113.9"))
	answers(t, c, addr("2001:db8:a2e:2::9"))
	must(t, c.Move(addr("172.22.5.9"), "eth2", "eth3"))
	has("eth3", "172.22.5.5", "172.22.5.9")
	has("eth2", "172.22.5.4")
	answers(t, c, addr("203.0.113.9"))
	must(t, c.Release("eth2", addr("2001:db8:a2e:2::9")))
	eventually(t, hang, "the IPv6 address goes", func() bool { return !strings.Contains(ip(t, c, "-6 rule"), "2001:db8:a2e:2::9 ") })
	end()
}

// An interface of which the metadata says nothing runs on its lease alone, whose subnet tells the gateway that
// Azure's leases do not; then it moves to its own table, and a session does not notice.
func TestAzureLate(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{})
	c.IMDS().Limit(0)
	heal := spoil(t, c, lab.Fault{Interface: "eth2", Absent: true})
	k := keep(t, c, "eth2")
	k.notify.await(t, "STATUS=degraded: 172.22.5.4/26 from its lease alone")
	answers(t, c, lab.EIP2)
	end := session(t, c, "172.22.5.4", lab.EIP2)
	heal()
	k.notify.await(t, "STATUS=172.22.5.4, table 14202")
	if rules := ip(t, c, "rule"); strings.Contains(rules, "lookup 19") {
		t.Errorf("rules of the lease alone are left:\n%s", rules)
	}
	end()
	k.stop(t)
}

// One interface with one address: nothing is written. Its other addresses are added, and nothing else.
func TestAzureAlone(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{Interfaces: lab.Seed001().Interfaces[:1]})
	before := world(t, c)
	quiet := silently(t, c)
	says(t, ec2net(t, c, exitOK, "up", "eth1"), "primary interface, 0 secondary addresses")
	says(t, ec2net(t, c, exitOK, "scan"), "every interface is set up")
	quiet("up and scan")
	must(t, c.Assign("eth1", addr("172.22.5.70"), addr("2001:db8:a2e:1::70")))
	ec2net(t, c, exitOK, "up", "eth1")
	if got := addresses(t, c, "eth1"); got != "172.22.5.68 172.22.5.70" {
		t.Errorf("eth1 has %s", got)
	}
	says(t, ip(t, c, "-6 addr show dev eth1"), "2001:db8:a2e:1::70/128")
	if rules := ip(t, c, "rule"); strings.Contains(rules, "100") {
		t.Errorf("rules for an interface alone:\n%s", rules)
	}
	ec2net(t, c, exitOK, "down", "eth1")
	unchanged(t, c, before, "up and down")
}
