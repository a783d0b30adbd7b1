package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// What a hostile service of Google's does, each from the start and while the interfaces are managed.
var gceFaults = []struct {
	name   string
	fault  lab.Fault
	status int    // of an `up` that gives up under it
	says   string // by that `up`
}{
	{"the interface is not there yet", lab.Fault{Interface: "eth1", Absent: true}, exitUnavailable, "MAC unknown to the cloud"},
	{"no interfaces", lab.Fault{Path: "instance/network-interfaces", JSON: value("[]")}, exitUnavailable, "no interface is listed yet"},
	{"an interface that is a text", lab.Fault{Interface: "eth1", JSON: value(`"eth1"`)}, exitUnavailable, "is not what such a list has"},
	{"another cloud's", lab.Fault{Body: `{"interface":[]}`}, exitUnavailable, "not the document"},
	{"without the header", lab.Fault{Header: [][2]string{{"Metadata-Flavor", ""}}}, exitUnavailable, "does not say that it is Google's"},
	{"429", lab.Fault{Status: 429}, exitUnavailable, "status 429"},
	{"404", lab.Fault{Status: 404}, exitUnavailable, "status 404"},
	{"503 with Retry-After", lab.Fault{Status: 503, RetryAfter: "1"}, exitUnavailable, "status 503"},
	{"HTML with 200", lab.Fault{Body: lab.HTML}, exitUnavailable, "a page, not a value"},
	{"empty", lab.Fault{Body: lab.Empty}, exitUnavailable, "the answer is empty"},
	{"cut as if whole", lab.Fault{Body: lab.Cut}, exitUnavailable, "not the document"},
	{"cut short", lab.Fault{Body: lab.Short}, exitUnavailable, "cut short"},
	{"10 MB", lab.Fault{Body: lab.Huge}, exitUnavailable, "longer than 1024 KiB"},
	{"reset", lab.Fault{Reset: true}, exitUnavailable, "metadata unavailable"},
	{"redirect", lab.Fault{Redirect: "http://10.20.0.1/"}, exitUnavailable, "status 302"},
}

func TestGCEFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range gceFaults {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := gceCloud(t, func(*lab.Config) {})
			before := world(t, c)
			heal := spoil(t, c, tt.fault)
			givesUp(t, c, tt.status, "eth1", tt.says)
			unchanged(t, c, before, "up")
			k := startAs(t, c, quick(), "eth1", nil)
			k.notify.await(t, "STATUS=waiting for ")
			heal()
			k.notify.await(t, "READY=1")
			answers(t, c, lab.EIP2)
			k.stop(t)
		})
	}
}

// Each fault on interfaces that are managed, through three readings: nothing is taken away. So it is where the list lacks
// the first interface, or comes the other way round.
func TestGCEFaultsWhileManaged(t *testing.T) {
	t.Parallel()
	c := gceCloud(t, func(cfg *lab.Config) {
		cfg.Interfaces[1].Addrs6 = []netip.Addr{addr("2001:db8:9ce:2:0:1::")}
	})
	must(t, c.Assign("eth1", addr("10.20.64.7")))
	must(t, c.ForwardTo("eth1", netip.MustParsePrefix("203.0.113.80/32"), true))
	both := []string{"eth0", "eth1"}
	var managers []*kept
	for _, iface := range both {
		managers = append(managers, keep(t, c, iface))
	}
	settled(t, c, both)
	eventually(t, hang, "duplicate address detection", func() bool { return !strings.Contains(ip(t, c, "-6 addr"), "tentative") })
	state := objects(t, c, both)
	faults := gceFaults
	for name, f := range map[string]lab.Fault{
		"the first is missing":  {Interface: "eth0", Absent: true},
		"the other order":       {Path: "instance/network-interfaces", Reverse: true},
		"no ip":                 {Interface: "eth1", Path: "ip", Value: value("?")},
		"aliases that are none": {Interface: "eth1", Path: "ip-aliases", Value: value("10.20.64.7")},
	} {
		faults = append(faults, struct {
			name   string
			fault  lab.Fault
			status int
			says   string
		}{name, f, 0, ""})
	}
	for _, tt := range faults {
		heal := spoil(t, c, tt.fault)
		for range 3 {
			for _, k := range managers {
				k.reload(t, c)
			}
		}
		if got := objects(t, c, both); got != state {
			t.Errorf("%s: it was\n%s\nand is\n%s", tt.name, state, got)
		}
		heal()
	}
	for _, k := range managers {
		k.reload(t, c)
	}
	for _, iface := range both {
		if plan := ec2net(t, c, exitOK, "plan", iface); plan != "" {
			t.Errorf("%s: the plan after all of it:\n%s", iface, plan)
		}
	}
}
