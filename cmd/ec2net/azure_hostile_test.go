package main

import (
	"strings"
	"testing"
	"time"

	"ec2net/metadata"
	"ec2net/test/lab"
)

// azureFaults is the list of a hostile cloud for Azure's one document.
var azureFaults = []struct {
	name   string
	fault  lab.Fault
	status int    // of an `up` that gives up under it
	says   string // by that `up`
}{
	{"the MAC is not there yet", lab.Fault{Interface: "eth2", Absent: true}, exitUnavailable, "MAC unknown to the cloud"},
	{"a hole in its place", lab.Fault{Interface: "eth2", JSON: value("null")}, exitUnavailable, "MAC unknown to the cloud"},
	{"no interfaces", lab.Fault{Path: "instance/network/interface", JSON: value("[]")}, exitUnavailable, "no interface is listed yet"},
	{"no primary interface", lab.Fault{Interface: "eth1", Absent: true}, exitUnavailable, "168.63.129.16"},
	{"no network", lab.Fault{Path: "instance/network", Absent: true}, exitUnavailable, "status 404"},
	{"an interface that is a text", lab.Fault{Interface: "eth2", Value: value("eth2")}, exitUnavailable, "is not what such a list has"},
	{"the list is a text", lab.Fault{Path: "instance/network/interface", Value: value("none")}, exitUnavailable, "interface is not a list"},
	{"a MAC that is none", lab.Fault{Interface: "eth2", Path: "macAddress", Value: value("000D3A0001ZZ")}, exitUnavailable, "is not a MAC address"},
	{"Too many requests", lab.Fault{Status: 429}, exitUnavailable, "status 429"},
	{"429 with Retry-After", lab.Fault{Status: 429, RetryAfter: "1"}, exitUnavailable, "status 429"},
	{"400 without end", lab.Fault{Status: 400}, exitUnavailable, "no version of the document is accepted"},
	{"404", lab.Fault{Status: 404}, exitUnavailable, "status 404"},
	{"410", lab.Fault{Status: 410}, exitUnavailable, "status 410"},
	{"500", lab.Fault{Status: 500}, exitUnavailable, "status 500"},
	{"503 with Retry-After", lab.Fault{Status: 503, RetryAfter: "1"}, exitUnavailable, "status 503"},
	{"HTML with 200", lab.Fault{Body: lab.HTML}, exitUnavailable, "a page, not a value"},
	{"binary", lab.Fault{Body: lab.Binary}, exitUnavailable, "not text"},
	{"empty", lab.Fault{Body: lab.Empty}, exitUnavailable, "the answer is empty"},
	{"an error with 200", lab.Fault{Body: `{"error":"Internal"}`}, exitUnavailable, "not the document"},
	{"10 MB", lab.Fault{Body: lab.Huge}, exitUnavailable, "longer than 1024 KiB"},
	{"endless", lab.Fault{Body: lab.Endless}, exitUnavailable, "longer than 1024 KiB"},
	{"cut short", lab.Fault{Body: lab.Short}, exitUnavailable, "cut short"},
	{"slow drip", lab.Fault{Drip: 300 * time.Millisecond}, exitUnavailable, "within 2s"},
	{"reset", lab.Fault{Reset: true}, exitUnavailable, "metadata unavailable"},
	{"closed", lab.Fault{Close: true}, exitUnavailable, "metadata unavailable"},
	{"redirect", lab.Fault{Redirect: "http://172.22.5.4/"}, exitUnavailable, "status 302"},
	{"no ipv4", lab.Fault{Interface: "eth2", Path: "ipv4", Absent: true}, exitPartial, "a valid answer from the metadata ("},
	{"no addresses", lab.Fault{Interface: "eth2", Path: "ipv4/ipAddress", JSON: value("[]")}, exitPartial, "a valid answer from the metadata ("},
	{"addresses of a wrong type", lab.Fault{Interface: "eth2", Path: "ipv4/ipAddress", JSON: value(`[1,"2",{"privateIpAddress":3}]`)}, exitPartial, "a valid answer from the metadata ("},
	{"an address outside of the subnet", lab.Fault{Interface: "eth2", Path: "ipv4/ipAddress/*/privateIpAddress", Value: value("192.0.2.9")}, exitPartial, "a valid answer from the metadata ("},
}

// hostileAzure is seed 001's machine with the operator's session over its primary interface.
func hostileAzure(t *testing.T) *lab.Cloud {
	t.Helper()
	c := azureCloud(t, lab.Config{})
	c.IMDS().Limit(0) // which fault it is has to be certain
	session(t, c, "172.22.5.68", lab.EIP1)
	return c
}

// Each fault from the start: `up` gives up with the documented status and the kernel as it was, `run`
// waits and says for what, and when the fault is over the interface is set up by itself.
func TestAzureFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range azureFaults {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostileAzure(t)
			before := world(t, c)
			heal := spoil(t, c, tt.fault)
			givesUp(t, c, tt.status, "eth2", tt.says)
			if tt.status == exitUnavailable {
				unchanged(t, c, before, "up")
			}
			k := startAs(t, c, quick(), "eth2", nil)
			k.notify.await(t, "STATUS=waiting for ")
			heal()
			k.notify.await(t, "READY=1")
			answers(t, c, lab.EIP2)
			k.stop(t)
		})
	}
}

// Each fault on an interface that is kept, through two readings and more: nothing is taken away, nobody's
// session is lost, and the plan is empty when it is over.
func TestAzureFaultsWhileKept(t *testing.T) {
	t.Parallel()
	c := hostileAzure(t)
	must(t, c.Assign("eth2", addr("172.22.5.9"), addr("2001:db8:a2e:2::9")))
	var keepers []*kept
	for _, iface := range []string{"eth1", "eth2"} {
		keepers = append(keepers, keep(t, c, iface))
	}
	session(t, c, "172.22.5.4", lab.EIP2)
	settled(t, c, []string{"eth1", "eth2"}) // the primary's own rules come after those of eth2
	eventually(t, hang, "duplicate address detection", func() bool { return !strings.Contains(ip(t, c, "-6 addr"), "tentative") })
	state := objects(t, c, []string{"eth1", "eth2"})
	for _, tt := range azureFaults {
		if tt.fault.Drip != 0 {
			continue // a time-out for each reading: the cold test has it
		}
		heal := spoil(t, c, tt.fault)
		for range 3 {
			for _, k := range keepers {
				k.reload(t, c)
			}
		}
		if got := objects(t, c, []string{"eth1", "eth2"}); got != state {
			t.Errorf("%s: it was\n%s\nand is\n%s", tt.name, state, got)
		}
		heal()
	}
	for _, k := range keepers {
		k.reload(t, c)
	}
	for _, iface := range []string{"eth1", "eth2"} {
		if plan := ec2net(t, c, exitOK, "plan", iface); plan != "" {
			t.Errorf("%s: the plan after all of it:\n%s", iface, plan)
		}
	}
}

// What is odd in the document and not wrong: the interface is set up as ever.
func TestAzureOddDocuments(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]lab.Fault{
		"the other order":              {Path: "instance/network/interface", Reverse: true},
		"a hole":                       {Interface: "eth3", JSON: value("null")},
		"another interface's nonsense": {Interface: "eth3", Value: value("?")},
		"no ipv6":                      {Path: "**/ipv6", Absent: true},
		"null ipv6":                    {Path: "**/ipv6", JSON: value("null")},
		"a MAC with colons":            {Interface: "eth2", Path: "macAddress", Value: value("00:0d:3A:00:01:01")},
		"a MAC with dashes":            {Interface: "eth2", Path: "macAddress", Value: value("00-0d-3a-00-01-01")},
		"the MAC twice":                {Interface: "eth3", Path: "macAddress", Value: value("000D3A000101")},
		"lengths as numbers":           {Path: "**/prefix", JSON: value("26")},
		"fields of tomorrow":           {Interface: "eth2", Path: "ipv4/ipAddress/0/publicIpAddress", JSON: value(`{"a":[{"b":null}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostileAzure(t)
			spoil(t, c, f)
			ec2net(t, c, exitOK, "up", "eth2", "--wait", "10s")
			says(t, ip(t, c, "rule"), "from 172.22.5.4 lookup 14202")
			answers(t, c, lab.EIP2)
		})
	}
}

// An interface's number outlives everything but the interface: another one's removal, a restart, and a new process
// that finds the default route elsewhere.
func TestAzureNumberStays(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{})
	k := keep(t, c, "eth3")
	ec2net(t, c, exitOK, "up", "eth2")
	end := session(t, c, "172.22.5.4", lab.EIP2)
	must(t, c.Detach("eth3"))
	k.end(t)
	spoil(t, c, lab.Fault{Path: "instance/network/interface", Reverse: true})
	ip(t, c, "route del default")
	ip(t, c, "route add default via 172.22.5.1 dev eth2") // seed 001's author did
	for range 2 {
		ec2net(t, c, exitOK, "up", "eth2")
		if plan := ec2net(t, c, exitOK, "plan", "eth2"); plan != "" {
			t.Errorf("plan:\n%s", plan)
		}
	}
	says(t, ip(t, c, "rule"), "from 172.22.5.4 lookup 14202")
	says(t, ec2net(t, c, exitOK, "up", "eth1"), "primary interface")
	end()
}

// Two interfaces of one hash: each has a table of its own, and the one that was first keeps its.
func TestAzureNumbersCollide(t *testing.T) {
	t.Parallel()
	one, two := metadata.MAC{0, 0x0d, 0x3a, 7, 7, 0x39}, metadata.MAC{0, 0x0d, 0x3a, 7, 8, 0} // both hash to 4993
	ifaces := lab.Seed001().Interfaces
	ifaces[1].MAC, ifaces[2].MAC = two, one
	c := azureCloud(t, lab.Config{Interfaces: ifaces})
	ec2net(t, c, exitOK, "up", "eth2")
	first := numberOf(t, c, "172.22.5.4")
	ec2net(t, c, exitOK, "up", "eth3")
	second := numberOf(t, c, "172.22.5.132")
	if first == second {
		t.Errorf("both have table %s", first)
	}
	for range 2 {
		for _, iface := range []string{"eth3", "eth2"} {
			if plan := ec2net(t, c, exitOK, "plan", iface); plan != "" {
				t.Errorf("%s: plan:\n%s", iface, plan)
			}
		}
		must(t, c.Detach("eth3"))
		ec2net(t, c, exitOK, "down", "eth3")
		if now := numberOf(t, c, "172.22.5.4"); now != first {
			t.Errorf("table %s, before %s", now, first)
		}
		must(t, c.Attach(ifaces[2]))
		ec2net(t, c, exitOK, "up", "eth3")
	}
}

// numberOf is the table that the rules send an address to.
func numberOf(t *testing.T, c *lab.Cloud, from string) string {
	t.Helper()
	return wordAfter(ip(t, c, "rule"), "from "+from+" lookup ")
}

// A keeper's refresh is one request, also when the host knows only an older version: that is learned once.
func TestAzureBudget(t *testing.T) {
	t.Parallel()
	c := azureCloud(t, lab.Config{})
	c.IMDS().Limit(0)
	k := keep(t, c, "eth2")
	readings := func() int { return c.IMDS().Stats().ByStatus[200] }
	before, first := c.IMDS().Stats().Requests, readings()
	for i := range 4 {
		if i == 1 {
			c.IMDS().Versions("2017-08-01", "2021-02-01") // the machine is on another host now
		}
		done := readings()
		k.reload(t, c)
		eventually(t, hang, "a reading", func() bool { return readings() > done })
	}
	// On a slow machine those come in between that a young interface makes by itself.
	n, r := c.IMDS().Stats().Requests-before, readings()-first
	if n != r+1 {
		t.Errorf("%d requests for %d readings, of which one met a change of versions", n, r)
	}
}
