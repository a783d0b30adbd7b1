package plumb

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// crowd puts other people's rules and routes beside the interface: a node of a large cluster.
func crowd(t testing.TB, rules, routes int) {
	t.Helper()
	var b strings.Builder
	for i := range rules {
		fmt.Fprintf(&b, "rule add from 172.20.%d.%d lookup %d pref %d protocol 99\n", i/250, i%250, 10001+i%3, 20001)
	}
	for i := range routes {
		fmt.Fprintf(&b, "route add 100.%d.%d.%d via 10.0.0.9 dev eth0 table %d\n", 64+i/62500, i/250%250, i%250, 10001+i%3)
	}
	batch(t, b.String())
}

// many is an interface with n addresses, none of which lies where another interface's do.
func many(n int) metadata.Interface {
	a := make([]netip.Addr, n)
	a[0] = netip.MustParseAddr("10.0.2.37")
	for i := 1; i < n; i++ {
		a[i] = netip.AddrFrom4([4]byte{10, 0, 2, byte(100 + i)})
	}
	return iface(func(c *metadata.Interface) { c.Addrs4 = metadata.Is(a) })
}

// TestReadInACrowd: 2000 foreign rules and 5000 foreign routes are more than one answer of the
// kernel holds, and none of ours is lost or doubled among them.
func TestReadInACrowd(t *testing.T) {
	host(t)
	crowd(t, 2000, 5000)
	l := open(t, "eth1")
	reconcile(t, l, many(50))
	s := read(t, l)
	if len(s.Addrs) != 50 || len(s.Rules) != 51 || len(s.Routes) != 4 {
		t.Errorf("%d addresses, %d rules, %d routes", len(s.Addrs), len(s.Rules), len(s.Routes))
	}
	for _, r := range s.Routes {
		if !r.Ours {
			t.Errorf("a stranger's: %s", r.text("eth1"))
		}
	}
	leave(t, "eth1", nil, 1)
	if out := ip(t, "rule"); strings.Count(out, "lookup 1000") != 2000 {
		t.Errorf("%d foreign rules are left", strings.Count(out, "lookup 1000"))
	}
	if out := ip(t, "route show table all via 10.0.0.9"); strings.Count(out, "\n") != 5000 {
		t.Errorf("%d foreign routes are left", strings.Count(out, "\n"))
	}
}

// decided is the processor's time, on this thread, to find out what there is to do.
func decided(t testing.TB, s Snapshot) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	least := time.Hour
	for range 3 { // of which one may have met the garbage collector
		before := used()
		state, err := wanting(many(2))(s)
		if err != nil {
			t.Fatal(err)
		}
		Diff(s.State, state)
		least = min(least, used()-before)
	}
	return least
}

// TestThousandsOfRoutes: to copy ten times as many of the operator's own routes through the interface takes some ten
// times as long, and they stay when the addresses go that keep them, although they are more than one message to the
// kernel holds.
func TestThousandsOfRoutes(t *testing.T) {
	const n = 10000
	host(t)
	l := open(t, "eth1")
	was := found(t, l)
	reconcile(t, l, many(2))
	var b strings.Builder
	for i := range n {
		how := []string{"scope link", "via 10.0.2.1 onlink", "via 10.0.2.1"}[i%3] // the last ones need ours
		fmt.Fprintf(&b, "route add 172.16.%d.%d dev eth1 %s\n", i/250, i%250, how)
	}
	batch(t, b.String())
	all := read(t, l)
	tenth := all
	tenth.Routes = all.Routes[:len(all.Routes)/10]
	if few, lot := decided(t, tenth), decided(t, all); lot > 40*few {
		t.Errorf("a tenth of the routes takes %s, all of them %s", few, lot)
	}
	reconcile(t, l, many(2))
	count := func(want int, when string) {
		t.Helper()
		if out := ip(t, "route show root 172.16.0.0/12"); strings.Count(out, "\n") != want {
			t.Errorf("%s %d of the operator's routes are left, want %d", when, strings.Count(out, "\n"), want)
		}
	}
	reconcile(t, l, many(1))
	count(n, "without a secondary address")
	leave(t, "eth1", was, 1)
	count(n-n/3, "after leave")
}

// TestReadPeculiarRoutes: what is no unicast route of one hop through the interface is not ours to see,
// and does no harm.
func TestReadPeculiarRoutes(t *testing.T) {
	host(t)
	batch(t, `
link set eth1 up
addr add 10.0.2.99/24 dev eth1
route add blackhole 192.0.2.0/24 table 10001
route add unreachable 192.0.2.0/25 proto 236
route add 198.51.100.0/24 nexthop via 10.0.2.8 dev eth1 nexthop via 10.0.2.9 dev eth1
route add 203.0.113.0/24 via 10.0.2.9 dev eth1 tos 0x10
route add 203.0.113.0/25 via inet6 fe80::9 dev eth1
route add local 10.55.0.0/16 dev eth1
`)
	before := world(t)
	l := open(t, "eth1")
	was := found(t, l)
	var got []string
	for _, r := range read(t, l).Routes {
		got = append(got, r.text("eth1"))
	}
	want := "route 10.0.2.0/24 dev eth1 scope link src 10.0.2.99\nroute 203.0.113.0/25 via fe80::9 dev eth1"
	if strings.Join(got, "\n") != want {
		t.Errorf("read:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
	reconcile(t, l, eth1())
	if out := ip(t, "route show table 10001"); !strings.Contains(out, "203.0.113.0/25 via inet6 fe80::9") {
		t.Errorf("an IPv4 route by an IPv6 gateway is not copied:\n%s", out)
	}
	leave(t, "eth1", was, 1)
	same(t, "after leave", before)
}

// TestReadLink: the facts of the interface, as other programs have set them.
func TestReadLink(t *testing.T) {
	host(t)
	batch(t, `
link add br0 type bridge
link set eth1 master br0 mtu 1400 group 42
link property add dev eth1 altname enp0s6 altname eni-0a1
`)
	sysctl(t, "ipv6/conf/eth1/disable_ipv6", "1")
	sysctl(t, "ipv4/conf/eth1/promote_secondaries", "1")
	s := read(t, open(t, "eni-0a1")) // by another of its names
	if s.Name != "eth1" || s.Link != (LinkState{MTU: 1400, Group: 42}) || s.Kind != "veth" || s.Master != index(t, "br0") ||
		!s.NoIPv6 || !s.promote || s.MAC != mac("02:00:00:00:00:11") || strings.Join(s.AltNames, " ") != "enp0s6 eni-0a1" || s.Carrier || s.MaxMTU != 65535 {
		t.Errorf("%+v", s)
	}
	sysctl(t, "ipv6/conf/eth1/disable_ipv6", "0")
	ip(t, "link set eth1 mtu 1200") // less than IPv6 can do with
	if s := read(t, open(t, "eth1")); !s.NoIPv6 {
		t.Error("an interface without IPv6 counts as one with it")
	}
	ip(t, "link set eth1 mtu 1500")
	if s := read(t, open(t, "eth1")); s.NoIPv6 {
		t.Error("an interface with IPv6 counts as one without")
	}
	if s := read(t, open(t, "lo")); !s.Loopback || !s.Link.Up {
		t.Errorf("lo: %+v", s)
	}
}

// TestLeaseMTU is set, and taken back.
func TestLeaseMTU(t *testing.T) {
	host(t)
	before := world(t)
	l := open(t, "eth1")
	was := found(t, l)
	want := func(s Snapshot) (State, error) {
		return Want(Input{Interface: eth1(), Have: s, OwnAddress: true, MainTable: true, Lease: lease("10.0.2.37/24", "10.0.2.1", 9001)})
	}
	if done, err := l.Reconcile(t.Context(), want).both(); err != nil {
		t.Fatalf("%v\n%s", err, done)
	}
	if out := ip(t, "link show eth1"); !strings.Contains(out, "mtu 9001") {
		t.Error(out)
	}
	leave(t, "eth1", was, 1)
	same(t, "after leave", before)
}

// TestLinkLocalRouteIsCopied once the kernel has made it.
func TestLinkLocalRouteIsCopied(t *testing.T) {
	host(t)
	ip(t, "link set eth1 addrgenmode eui64")
	l := open(t, "eth1")
	reconcileAny(t, l, dual())
	w := watch(t, l)
	for !strings.Contains(ip(t, "-6 route show table 10001"), "fe80::/64") {
		if !strings.Contains(ip(t, "-6 route show table main"), "fe80::/64 dev eth1") {
			w.until("")
		}
		reconcileAny(t, l, dual())
	}
}

func reconcileAny(t testing.TB, l *Link, c metadata.Interface) {
	t.Helper()
	if done, err := l.Reconcile(t.Context(), wanting(c)).both(); err != nil {
		t.Fatalf("%v\n%s", err, done)
	}
}
