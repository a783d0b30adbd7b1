package plumb

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
)

// full is an interface with everything that there is: both families, secondaries, delegated prefixes, an
// address outside of its subnet.
func full() metadata.Interface {
	c := dual()
	c.Addrs4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5", "192.0.2.9")
	c.Prefixes4 = prefixes("10.0.2.64/28")
	return c
}

// TestLeaveRestoresTheWorld, object by object, however the interface was found.
func TestLeaveRestoresTheWorld(t *testing.T) {
	for _, tt := range []struct{ name, setup string }{
		{"down and bare", ""},
		{"up", "link set eth1 up"},
		{"up, with a user's group", "link set eth1 up group 42"},
		{"eth0 has a user's group", "link set eth0 group 7"},
		{"with our names, and udev's", "link property add dev eth1 altname eni-0a1 altname enp0s6"},
		{"a larger MTU", "link set eth1 mtu 3000"},
		{"set up by an installer", "link set eth1 up\naddr add 10.0.2.37/24 dev eth1\nroute add default via 10.0.2.1 dev eth1 metric 101"},
		{"an installer's secondary", "link set eth1 up\naddr add 10.0.2.4/24 dev eth1\nroute add 172.16.0.0/12 via 10.0.2.9 dev eth1"},
		{"routes without any address", "link set eth1 up\nroute add 10.9.0.0/16 dev eth1\n" +
			"route add default via 10.9.0.1 dev eth1 table 100012 proto 99\nroute add 10.8.0.0/16 via 10.9.0.1 dev eth1"},
		{"with a link-local address", "link set eth1 up addrgenmode eui64"},
		{"promote_secondaries off", "link set eth1 up\naddr add 10.0.2.99/24 dev eth1\naddr add 10.0.2.98/24 dev eth1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host(t)
			sysctl(t, "ipv4/conf/eth1/promote_secondaries", "0")
			batch(t, tt.setup+"\n")
			awaitLinkLocal(t, tt.setup)
			before := world(t)
			l := open(t, "eth1")
			was := found(t, l)
			settle(t, l, full())
			if len(strings.Join(world(t), "")) == len(strings.Join(before, "")) {
				t.Fatal("nothing was set up")
			}
			done := leave(t, "eth1", was, 1)
			same(t, "after leave", before)
			if read(t, l).promote {
				t.Error("promote_secondaries was left on")
			}
			if again := leave(t, "eth1", was, 1); len(again) != 0 {
				t.Errorf("the second leave does\n%s", again)
			}
			if t.Failed() {
				t.Logf("plan:\n%s", done)
			}
		})
	}
}

// awaitLinkLocal waits for the address that the kernel makes by itself once the link is ready.
func awaitLinkLocal(t testing.TB, setup string) {
	t.Helper()
	if !strings.Contains(setup, "eui64") {
		return
	}
	r := record(t)
	if !strings.Contains(ip(t, "-6 route show table all"), "fe80::ff:fe00:11") {
		r.await("+ route fe80::ff:fe00:11/128 dev 5 table 255")
	}
}

// settle reconciles until the kernel has done its own part too.
func settle(t testing.TB, l *Link, c metadata.Interface) {
	t.Helper()
	r := record(t)
	done := reconcile(t, l, c)
	if strings.Contains(done.String(), "+ addr 2001:") {
		i := read(t, l).Index
		for _, a := range c.Addrs6.Value {
			r.await("+ route " + a.String() + "/128 dev " + u(uint32(i)) + " table 255")
		}
	}
}

// TestLeaveKeepsTheOthers: eth0's group goes with the last interface, and not before; whether the other
// is known as a peer or not.
func TestLeaveKeepsTheOthers(t *testing.T) {
	for name, peers := range map[string][]metadata.MAC{
		"the primary is the only peer": {mac("02:00:00:00:00:10")},
		"all interfaces are peers":     {mac("02:00:00:00:00:10"), mac("02:00:00:00:00:11"), mac("02:00:00:00:00:12")},
	} {
		t.Run(name, func(t *testing.T) {
			secondHost(t)
			before := world(t)
			l1, l2 := open(t, "eth1"), open(t, "eth2")
			l1.scope.Peers, l2.scope.Peers = peers, peers
			was1 := found(t, l1)
			reconcile(t, l1, eth1())
			one := world(t)
			reconcile(t, l2, eth2("10.0.2.99", "10.0.2.98"))

			if _, err := l2.Leave(t.Context(), &Baseline{Link: LinkState{Up: true, MTU: 1500}}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strip(one, "eth2"), strip(world(t), "eth2")); d != "" {
				t.Errorf("leaving eth2 changed something else (-before +after):\n%s", d)
			}
			if len(peers) == 1 {
				same(t, "after eth2 left", one)
			}
			if _, err := l1.Leave(t.Context(), was1); err != nil {
				t.Fatal(err)
			}
			same(t, "after the last left", before)
		})
	}
}

func strip(lines []string, dev string) (out []string) {
	for _, l := range lines {
		if !strings.Contains(l, dev) {
			out = append(out, l)
		}
	}
	return out
}

// TestLeaveOfAInterfaceThatIsGone: what is left of it are rules, and the group of the others.
func TestLeaveOfAInterfaceThatIsGone(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		host(t)
		ip(t, "rule add from 10.0.2.37 lookup 100012 pref 20001")
		l := open(t, "eth1")
		was := found(t, l)
		reconcile(t, l, full())
		ip(t, "link del eth1")
		if fresh {
			l = open(t, "eth1")
			l.scope.Numbers = []int{1}
		}
		if done, err := l.Leave(t.Context(), was); err != nil {
			t.Fatalf("fresh=%v: %v\n%s", fresh, err, done)
		}
		out := ip(t, "rule") + ip(t, "-6 rule")
		if strings.Contains(out, "lookup 10001 ") || strings.Count(out, "\n") != 6 || !strings.Contains(out, "lookup 100012") {
			t.Errorf("fresh=%v: rules after the interface is gone:\n%s", fresh, out)
		}
		if out := ip(t, "-o link show eth0"); strings.Contains(out, "group 236") {
			t.Errorf("fresh=%v: eth0 is still in our group:\n%s", fresh, out)
		}
	}
}

// TestOrphans: rules that an interface left which went while nobody ran. Those of interfaces that are claimed,
// or that have routes, stay, and so does what only looks like ours.
func TestOrphans(t *testing.T) {
	secondHost(t)
	ip(t, "rule add from 10.0.2.37 lookup 10001 pref 20001 protocol 99")
	reconcile(t, open(t, "eth1"), full())
	reconcile(t, open(t, "eth2"), eth2("10.0.2.99"))
	before := world(t)
	if done, err := Orphans(nil); err != nil || len(done) != 0 {
		t.Errorf("two interfaces that are there: %v\n%s", err, done)
	}
	same(t, "nothing was orphaned", before)
	ip(t, "link del eth1")
	if done, err := Orphans([]int{1}); err != nil || len(done) != 0 {
		t.Errorf("claimed: %v\n%s", err, done)
	}
	done, err := Orphans([]int{7})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(`
- rule from 2001:db8:0:2::4 lookup 10001 pref 20001
- rule from 2001:db8:0:2::37 lookup 10001 pref 20001
- rule from 2001:db8:0:2::/64 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
- rule from 10.0.2.64/28 lookup 10001 pref 20001`)
	for _, line := range strings.Split(want, "\n") {
		if !strings.Contains(done.String(), line+"\n") {
			t.Errorf("missing: %s\ndone:\n%s", line, done)
		}
	}
	if out := ip(t, "rule"); !strings.Contains(out, "from 10.0.2.99 lookup 10002") || strings.Count(out, "lookup 10001") != 1 {
		t.Errorf("rules:\n%s", out)
	}
}

// TestLeaveKeepsWhatCameLater: somebody's addresses that the kernel holds as secondary to ours, which
// it drops with ours while promote_secondaries is off.
func TestLeaveKeepsWhatCameLater(t *testing.T) {
	for _, promote := range []string{"0", "1"} {
		host(t)
		ip(t, "link set eth1 up")
		sysctl(t, "ipv4/conf/eth1/promote_secondaries", promote)
		l := open(t, "eth1")
		was := found(t, l)
		reconcile(t, l, full())
		batch(t, "addr add 10.0.2.98/24 dev eth1\naddr add 10.0.2.97/24 dev eth1\nroute add 172.16.0.0/12 via 10.0.2.9 dev eth1\n")
		reconcile(t, l, full())
		leave(t, "eth1", was, 1)
		if out := ip(t, "addr show dev eth1"); !strings.Contains(out, "10.0.2.98/24") || !strings.Contains(out, "10.0.2.97/24") || strings.Contains(out, "10.0.2.37") {
			t.Errorf("promote_secondaries=%s: keepalived's addresses went with ours:\n%s", promote, out)
		}
		if out := ip(t, "-N route"); !strings.Contains(out, "172.16.0.0/12 via 10.0.2.9 dev eth1") || strings.Contains(out, "proto 236") {
			t.Errorf("promote_secondaries=%s: routes:\n%s", promote, out)
		}
		if read(t, l).promote != (promote == "1") {
			t.Errorf("promote_secondaries was %s and was not set back", promote)
		}
	}
}

// A guard in the form of another version has our mark, so that it goes, and is replaced on the way.
func TestRuleOfAnotherVersion(t *testing.T) {
	host(t)
	before := ip(t, "rule")
	ip(t, "rule add from 10.0.2.0/24 lookup main suppress_prefixlength 0 pref 10001 proto 236")
	l := open(t, "eth1")
	l.scope.Numbers = []int{1}
	reconcile(t, l, eth1())
	if out := ip(t, "rule"); strings.Count(out, "10001:") != 1 || !strings.Contains(out, "suppress_ifgroup 236") {
		t.Errorf("after up:\n%s", out)
	}
	ip(t, "rule add from 10.0.2.0/24 lookup main pref 10001 proto 236")
	if _, err := l.Leave(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if after := ip(t, "rule"); after != before {
		t.Errorf("after leave:\n%s", after)
	}
}
