package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/state"
	"ec2net/test/lab"
)

// tied is a host on which systemd-networkd has a lease on each interface: two default routes of metric 1024, of which
// the kernel begins with that of first.
func tied(t *testing.T, first string) *lab.Cloud {
	t.Helper()
	c := cloud(t, lab.Config{})
	for _, s := range []string{
		"route del default", "route add default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.29 metric 1024",
		"link set eth1 up", "addr add 10.0.2.37/24 dev eth1",
		"route " + map[string]string{"eth0": "append", "eth1": "prepend"}[first] + " default via 10.0.2.1 dev eth1 proto dhcp src 10.0.2.37 metric 1024",
	} {
		ip(t, c, s)
	}
	linkLocals(t, c, "eth1")
	must(t, c.IMDS().Silence())
	return c
}

// With equal default routes and metadata that say nothing, one interface counts as the primary and is not touched, and
// the other one is set up by its address alone. Both say why, and the metadata have the last word.
func TestEqualDefaultRoutes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, primary, secondary string
		session                  bool // through the primary, when ec2net begins
		evidence                 state.Evidence
		says                     string
	}{
		{"by the order", "eth0", "eth1", false, state.EvidenceOrder, "since of interfaces with equal default routes it comes first"},
		{"by a session", "eth0", "eth1", true, state.EvidenceConnections, "since of equal default routes open connections use its alone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tied(t, tt.primary)
			eip := map[string]netip.Addr{"eth0": lab.EIP1, "eth1": lab.EIP2}
			own := map[string]string{"eth0": "10.0.0.29", "eth1": "10.0.2.37"}
			before := lasting(carries(world(t, c), tt.primary))
			if tt.session {
				session(t, c, own[tt.primary], eip[tt.primary])
			}
			second, first := start(t, c, tt.secondary), start(t, c, tt.primary)
			second.notify.await(t, "STATUS=degraded: "+own[tt.secondary]+"/24 as another program set it up")
			answersWithin(t, c, hang, eip[tt.secondary])
			session(t, c, own[tt.secondary], eip[tt.secondary])
			said := "until then " + tt.primary + " counts as the primary, " + tt.says
			says(t, statusOf1(t, c, tt.secondary), said)
			first.notify.await(t, tt.primary+" counts as the primary")
			if d := cmp.Diff(before, lasting(carries(world(t, c), tt.primary))); d != "" {
				t.Errorf("what counts as the primary (-before +after):\n%s", d)
			}
			if p := primaryOf(t, c, tt.secondary); p == nil || p.Name != tt.primary || p.Evidence != tt.evidence {
				t.Errorf("JSON: %+v", p)
			}

			must(t, c.IMDS().Resume())
			for name, k := range map[string]*kept{tt.primary: first, tt.secondary: second} {
				k.notify.await(t, map[string]string{"eth0": "STATUS=primary interface", "eth1": "STATUS=10.0.2.37, table 10001"}[name])
				if p := primaryOf(t, c, name); p != nil {
					t.Errorf("JSON of %s, after the metadata's answer: %+v", name, p)
				}
			}
			for name := range eip {
				answersWithin(t, c, hang, eip[name])
			}
			if strings.Contains(first.log.String(), "degraded") {
				t.Errorf("log of %s:\n%s", tt.primary, first.log)
			}
		})
	}
}

// A session through eth1 has eth0, which is the primary, count as a secondary interface. Nothing is cut off by that, nor
// once the metadata say better: as long as eth1 is nobody's, eth0's rules would be removed, and its sessions with them,
// so that this is rolled back; when eth1 has been set up, eth0 has the primary's rules at once.
func TestEqualDefaultRoutesWrongly(t *testing.T) {
	t.Parallel()
	c := tied(t, "eth1")
	ends := []func(){session(t, c, "10.0.2.37", lab.EIP2)}
	first := start(t, c, "eth0")
	first.notify.await(t, "eth1 counts as the primary, since of equal default routes open connections use its alone")
	answersWithin(t, c, hang, lab.EIP1)
	ends = append(ends, session(t, c, "10.0.0.29", lab.EIP1))
	must(t, c.IMDS().Resume())
	first.notify.await(t, "STATUS=rolled back")
	second := start(t, c, "eth1")
	second.notify.await(t, "STATUS=10.0.2.37, table 10001")
	first.notify.await(t, "STATUS=primary interface")
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	for _, end := range ends {
		end()
	}
}

// primaryOf is what the JSON of status says of the primary.
func primaryOf(t *testing.T, c *lab.Cloud, iface string) *state.Primary {
	t.Helper()
	var list []state.Record
	must(t, json.Unmarshal([]byte(ec2net(t, c, exitOK, "status", iface, "--json")), &list))
	return list[0].Primary
}
