package plumb

import (
	"context"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// inNamespace puts the test, and every ip(8) that it starts, into a network namespace of its own.
// The thread stays locked, so that it ends with the test and the namespace with it.
func inNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("new network namespace (root or a user namespace is needed): %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	ip(t, "link set lo up")
}

// ip runs ip(8) in the test's namespace. Its text is what operators compare with.
func ip(t *testing.T, args string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// host is the instance of seed 002: eth0 set up as its installer left it, eth1 bare and down.
func host(t *testing.T) {
	t.Helper()
	inNamespace(t)
	for _, c := range []string{
		"link add eth0 address 02:00:00:00:00:10 type veth peer name gw0",
		"link add eth1 address 02:00:00:00:00:11 type veth peer name gw1",
		"link set gw0 up", "link set gw1 up", "link set eth0 up",
		"addr add 10.0.0.29/24 dev eth0",
		"route add default via 10.0.0.1 dev eth0",
	} {
		ip(t, c)
	}
}

func open(t *testing.T, name string) *Link {
	t.Helper()
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	l.Peers = []metadata.MAC{mac("02:00:00:00:00:10")}
	t.Cleanup(l.Close)
	return l
}

func mac(s string) metadata.MAC {
	m, err := metadata.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func addrs(s ...string) metadata.Answer[[]netip.Addr] {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return metadata.Is(out)
}

func prefixes(s ...string) metadata.Answer[[]netip.Prefix] {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return metadata.Is(out)
}

// eth1 is the second card of seed 002.
func eth1() metadata.Interface {
	return metadata.Interface{
		MAC: mac("02:00:00:00:00:11"), ID: "eni-0a1", DeviceNumber: 1,
		Addrs4: addrs("10.0.2.37"), Subnets4: prefixes("10.0.2.0/24"),
	}
}

func wanting(c metadata.Interface) func(Snapshot) (State, error) {
	return func(s Snapshot) (State, error) {
		return Want(Input{Card: c, Have: s, OwnAddress: true, MainTable: true, Gateway6: netip.MustParseAddr("fe80:ec2::1")})
	}
}

func reconcile(t *testing.T, l *Link, c metadata.Interface) Plan {
	t.Helper()
	done, err := l.Reconcile(context.Background(), wanting(c))
	if err != nil {
		t.Fatalf("reconcile: %v\ndone:\n%s", err, done)
	}
	again, err := l.Reconcile(context.Background(), wanting(c))
	if err != nil || len(again) != 0 {
		t.Fatalf("the second plan is not empty: %v\n%s", err, again)
	}
	return done
}

// world is everything that a stranger could compare: addresses, routes, rules and links.
func world(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, c := range []string{"-o addr", "route show table all", "-6 route show table all", "rule", "-6 rule", "-o link"} {
		for _, line := range strings.Split(ip(t, c), "\n") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

func TestSecondCard(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	done := reconcile(t, l, eth1())
	want := strings.Split(strings.TrimSpace(`
~ link eth1 up
~ link eth1 group 236
~ link eth0 group 236
+ addr 10.0.2.37/24 dev eth1 noprefixroute
+ route 10.0.2.0/24 dev eth1 table 10001 scope link src 10.0.2.37
+ route 10.0.2.0/24 dev eth1 scope link src 10.0.2.37 metric 10001
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 0 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.37 lookup 10001 pref 20001
+ altname eni-0a1 dev eth1
+ altname device-number-1 dev eth1`), "\n")
	if d := cmp.Diff(want, strings.Split(strings.TrimSpace(done.String()), "\n")); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
	t.Log(ip(t, "rule"), ip(t, "route show table 10001"), ip(t, "route show table main"), ip(t, "-d addr show dev eth1"))
}

func TestDownLeavesTheHostAsItWas(t *testing.T) {
	for _, metricOnly := range []bool{false, true} {
		host(t)
		ip(t, "link set eth1 up")
		ip(t, "addr add 10.0.2.99/24 dev eth1") // keepalived's
		ip(t, "rule add from 10.0.2.37 lookup 100012 pref 20001")
		ip(t, "route add 192.0.2.0/24 dev eth1 table 100012")
		ip(t, "rule add from 10.0.2.37 lookup main pref 500")
		before := world(t)
		l := open(t, "eth1")
		l.onlyMetric = metricOnly
		was, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		card := eth1()
		card.Addrs4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5")
		reconcile(t, l, card)
		ip(t, "addr add 10.0.2.98/24 dev eth1") // a second one, which the kernel puts behind ours

		fresh := open(t, "eth1") // another process, after a kill -9
		fresh.Numbers = []int{1}
		done, err := fresh.Reconcile(context.Background(), func(s Snapshot) (State, error) {
			return Without(s, &Before{Link: was.Link, AltNames: was.AltNames}), nil
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, done)
		}
		ip(t, "addr del 10.0.2.98/24 dev eth1")
		if d := cmp.Diff(before, world(t), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("metricOnly=%v: after down (-before +after):\n%s\nplan:\n%s", metricOnly, d, done)
		}
	}
}

func TestPromoteSecondaries(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	reconcile(t, l, eth1())
	ip(t, "addr add 10.0.2.98/24 dev eth1") // secondary to ours
	if _, err := l.Reconcile(context.Background(), func(s Snapshot) (State, error) { return Without(s, nil), nil }); err != nil {
		t.Fatal(err)
	}
	if out := ip(t, "addr show dev eth1"); !strings.Contains(out, "10.0.2.98/24") || strings.Contains(out, "10.0.2.37") {
		t.Errorf("keepalived's address went with ours:\n%s", out)
	}
	s, err := l.Read()
	if err != nil || s.promote {
		t.Errorf("promote_secondaries was left on: %v %v", s.promote, err)
	}
}

var _ = dhcp.Lease{}
var _ = netlink.NewRule
