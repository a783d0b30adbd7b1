package plumb

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// recorder hears every change of links, addresses, routes and rules, whoever made it.
type recorder struct {
	t testing.TB
	s *nl.NetlinkSocket
}

func record(t testing.TB) *recorder {
	t.Helper()
	s, err := nl.SubscribeAt(netns.None(), netns.None(), unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetReceiveBufferSize(1<<24, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &recorder{t, s}
}

const markPref = 31999

// heard is all that was notified so far, an object a line, in order. The kernel queues notifications
// as it works, so the end is where a rule made for the purpose appears: nothing needs to be waited for.
func (r *recorder) heard() []string {
	r.t.Helper()
	ip(r.t, fmt.Sprintf("rule add from 203.0.113.255 lookup main pref %d", markPref))
	var out []string
	for {
		msgs, _, err := r.s.Receive()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range msgs {
			line := notified(r.t, m.Header.Type, m.Data)
			if strings.Contains(line, fmt.Sprint("pref ", markPref)) {
				if strings.HasPrefix(line, "+") {
					ip(r.t, fmt.Sprintf("rule del pref %d", markPref))
					continue
				}
				return out
			}
			out = append(out, line)
		}
	}
}

// await waits until all of these were notified.
func (r *recorder) await(lines ...string) {
	r.t.Helper()
	for len(lines) > 0 {
		msgs, _, err := r.s.Receive()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range msgs {
			line := notified(r.t, m.Header.Type, m.Data)
			lines = slices.DeleteFunc(lines, func(l string) bool { return l == line })
		}
	}
}

// notified reads a notification without the code that is under test.
func notified(t testing.TB, kind uint16, b []byte) string {
	sizes := map[uint16]int{
		unix.RTM_NEWLINK: unix.SizeofIfInfomsg, unix.RTM_DELLINK: unix.SizeofIfInfomsg,
		unix.RTM_NEWADDR: unix.SizeofIfAddrmsg, unix.RTM_DELADDR: unix.SizeofIfAddrmsg,
		unix.RTM_NEWROUTE: unix.SizeofRtMsg, unix.RTM_DELROUTE: unix.SizeofRtMsg,
		unix.RTM_NEWRULE: unix.SizeofRtMsg, unix.RTM_DELRULE: unix.SizeofRtMsg,
	}
	m, err := nl.ParseRouteAttrAsMap(b[sizes[kind]:])
	if err != nil {
		t.Fatal(err)
	}
	value := func(k uint16) []byte { return m[k].Value }
	number := func(k uint16) uint32 {
		if v := value(k); len(v) == 4 {
			return nl.NativeEndian().Uint32(v)
		}
		return 0
	}
	ipOf := func(k uint16) string {
		a, ok := netip.AddrFromSlice(value(k))
		if !ok {
			return "default"
		}
		return a.String()
	}
	sign := map[bool]string{true: "+", false: "-"}[kind%4 == 0] // RTM_NEW* are multiples of 4
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return sign + " link " + text(value(unix.IFLA_IFNAME))
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return fmt.Sprintf("%s addr %s/%d dev %d", sign, ipOf(unix.IFA_ADDRESS), b[1], nl.NativeEndian().Uint32(b[4:]))
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return fmt.Sprintf("%s route %s/%d dev %d table %d", sign, ipOf(unix.RTA_DST), b[1], number(unix.RTA_OIF), number(unix.RTA_TABLE))
	}
	return fmt.Sprintf("%s rule from %s/%d lookup %d pref %d", sign, ipOf(nl.FRA_SRC), b[2], number(nl.FRA_TABLE), number(nl.FRA_PRIORITY))
}

// noLocal leaves out the kernel's own table 255, where it notes every address, and what it still tells
// of a link up to a second after it came up (net/core/link_watch.c, IPv6's link-local address).
func noLocal(lines []string) []string {
	out := slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return strings.HasSuffix(l, "table 255") || strings.HasPrefix(l, "+ link ") || strings.Contains(l, " fe80::") || strings.Contains(l, " ff00::")
	})
	slices.Sort(out)
	return out
}

func index(t testing.TB, name string) int {
	t.Helper()
	l := open(t, name)
	return read(t, l).Index
}

// TestStaleList is seed 002's rewrite_rules and rewrite_aliases: three secondaries, one released, one
// assigned, one moved to another interface. Nothing else may move.
func TestStaleList(t *testing.T) {
	secondHost(t)
	l1, l2 := open(t, "eth1"), open(t, "eth2")
	one := func(a ...string) metadata.Interface {
		return iface(func(c *metadata.Interface) { c.Addrs4 = addrs(a...) })
	}
	reconcile(t, l1, one("10.0.2.37", "10.0.2.4", "10.0.2.5", "10.0.2.6"))
	reconcile(t, l2, eth2("10.0.2.99"))
	i1, i2 := index(t, "eth1"), index(t, "eth2")
	r := record(t)

	step := func(what string, want ...string) {
		t.Helper()
		slices.Sort(want)
		if d := cmp.Diff(want, noLocal(r.heard())); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	reconcile(t, l1, one("10.0.2.37", "10.0.2.4", "10.0.2.6"))
	step("one released", fmt.Sprintf("- addr 10.0.2.5/32 dev %d", i1), "- rule from 10.0.2.5/32 lookup 10001 pref 20001")

	reconcile(t, l1, one("10.0.2.37", "10.0.2.4", "10.0.2.6", "10.0.2.3"))
	step("one assigned", fmt.Sprintf("+ addr 10.0.2.3/32 dev %d", i1), "+ rule from 10.0.2.3/32 lookup 10001 pref 20001")

	reconcile(t, l2, eth2("10.0.2.99", "10.0.2.6"))
	step("one arrives at the other interface", fmt.Sprintf("+ addr 10.0.2.6/32 dev %d", i2), "+ rule from 10.0.2.6/32 lookup 10002 pref 20002")
	reconcile(t, l1, one("10.0.2.37", "10.0.2.4", "10.0.2.3"))
	step("and leaves the first", fmt.Sprintf("- addr 10.0.2.6/32 dev %d", i1), "- rule from 10.0.2.6/32 lookup 10001 pref 20001")

	// A new primary address: routes follow by a change in place, and no address is ever missing.
	reconcile(t, l1, one("10.0.2.4", "10.0.2.37", "10.0.2.3"))
	if out := ip(t, "addr show dev eth1"); !strings.Contains(out, "10.0.2.4/24") || !strings.Contains(out, "10.0.2.37/32") || strings.Contains(out, "10.0.2.37/24") {
		t.Errorf("the primary did not change:\n%s", out)
	}
	if got := source(t, "198.51.100.1 oif eth1"); got != "10.0.2.4" {
		t.Errorf("the new primary is not the preferred source: %s", got)
	}
}

// TestSecondRunWritesNothing, not even what the kernel would take for a repetition.
func TestSecondRunWritesNothing(t *testing.T) {
	secondHost(t)
	c := dual()
	c.Addrs4, c.Prefixes4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5"), prefixes("10.0.2.64/28")
	batch(t, "route add 172.16.0.0/12 dev eth1\naddr add 10.0.2.200/24 dev eth1\n")
	r := record(t)
	reconcile(t, open(t, "eth1"), c)
	reconcile(t, open(t, "eth2"), eth2("10.0.2.99"))
	// The kernel gives an IPv6 address its route when the link is ready, in its own time.
	i := index(t, "eth1")
	r.await(fmt.Sprintf("+ route 2001:db8:0:2::37/128 dev %d table 255", i), fmt.Sprintf("+ route 2001:db8:0:2::4/128 dev %d table 255", i))
	r.heard()
	for _, l := range []*Link{open(t, "eth1"), open(t, "eth2")} {
		want := wanting(c)
		if l.Name == "eth2" {
			want = wanting(eth2("10.0.2.99"))
		}
		done, err := l.Reconcile(context.Background(), want).both()
		if err != nil || len(done) != 0 || l.Written() != 0 {
			t.Errorf("%s: %v, %d written\n%s", l.Name, err, l.Written(), done)
		}
	}
	if got := noLocal(r.heard()); len(got) != 0 {
		t.Errorf("the second run changed something:\n%s", strings.Join(got, "\n"))
	}
}
