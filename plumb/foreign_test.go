package plumb

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ec2net/metadata"
)

// strangers is what looks like ours and is not: a tool that goes by the text alone would take each
// for its own.
const strangers = `
link set eth1 up
rule add from 10.0.2.37 lookup 10001 pref 20001 protocol 99
rule add from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001 protocol 99
rule add from 10.0.2.37 lookup 100012 pref 20001 protocol 99
rule add from 10.0.2.37 lookup 10001 pref 500
route add default via 10.0.2.1 dev eth1 onlink table 100012 proto 99
addr add 10.0.2.4/24 dev eth1
addr add 10.0.2.5/32 dev eth1
addr add 10.0.2.99/24 dev eth1
route add default via 10.0.2.1 dev eth1 table 10001
route add default via 10.0.2.1 dev eth1 metric 10001
route add 10.0.2.0/24 dev eth1 metric 10001
addr add 2001:db8:0:2::4/64 dev eth1 nodad
route add 2001:db8:0:2::/64 dev eth1 table 10001 metric 1024
`

// TestStrangersStay: what others made converges with ours, and outlives it, object by object; on
// kernels that do not keep an address's protocol too.
func TestStrangersStay(t *testing.T) {
	for name, onlyMetric := range map[string]bool{"IFA_PROTO": false, "metric only": true} {
		t.Run(name, func(t *testing.T) {
			host(t)
			batch(t, strangers)
			ip(t, "-6 rule add from 2001:db8:0:2::37 lookup 10001 pref 20001 protocol 99")
			before := world(t)
			l := open(t, "eth1")
			l.onlyMetric = onlyMetric
			was := found(t, l)
			c := dual()
			c.Addrs4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5", "10.0.2.6")
			reconcile(t, l, c)
			inside := world(t)
			for _, line := range before {
				if !strings.Contains(line, " eth1@") && !strings.Contains(line, " eth0@") && !slices.Contains(inside, line) {
					t.Errorf("gone or changed while ec2net holds the interface:\n%s", line)
				}
			}
			if out := ip(t, "-o addr show dev eth1"); strings.Count(out, "10.0.2.4/") != 1 || strings.Count(out, "10.0.2.6/32") != 1 {
				t.Errorf("a stranger's address was added again, or ours was not:\n%s", out)
			}
			leave(t, "eth1", was, 1)
			same(t, "after leave", before)
		})
	}
}

// TestStrangerTakesOver: an address of ours that somebody else adds with the subnet's length, and
// takes away again.
func TestStrangerTakesOver(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	c := iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4") })
	reconcile(t, l, c)
	ip(t, "addr add 10.0.2.4/24 dev eth1")
	reconcile(t, l, c)
	if out := ip(t, "-o addr show dev eth1"); strings.Contains(out, "10.0.2.4/32") || !strings.Contains(out, "10.0.2.4/24") {
		t.Errorf("both hold it, or neither:\n%s", out)
	}
	ip(t, "addr del 10.0.2.4/24 dev eth1")
	reconcile(t, l, c)
	if out := ip(t, "-o addr show dev eth1"); !strings.Contains(out, "10.0.2.4/32") {
		t.Errorf("the address that nobody else has any more was not put back:\n%s", out)
	}
}

// TestStrangerInTheWay: a route of another program stands where ours belongs and leads elsewhere.
// That is told, once and without a fight, and the rest is set up.
func TestStrangerInTheWay(t *testing.T) {
	for _, tt := range []struct{ route, want string }{
		{"default via 10.0.2.254 dev eth1 onlink table 10001", "another program has its own route there: route default via 10.0.2.254 dev eth1 table 10001"},
		{"default via 10.0.0.1 dev eth0 table 10001", "+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37"},
	} {
		host(t)
		ip(t, "link set eth1 up")
		ip(t, "route add "+tt.route)
		before := world(t)
		l := open(t, "eth1")
		was := found(t, l)
		err := l.Reconcile(context.Background(), wanting(eth1())).Err()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\n got: %v\nwant: … %s", tt.route, err, tt.want)
		}
		if !strings.Contains(ip(t, "rule"), "from 10.0.2.37 lookup 10001") {
			t.Errorf("%s: the rest was not set up", tt.route)
		}
		r := record(t)
		if again := l.Reconcile(context.Background(), wanting(eth1())).Err(); again == nil || again.Error() != err.Error() {
			t.Errorf("the second time it says %v, the first time %v", again, err)
		}
		if got := noLocal(r.heard()); len(got) != 0 {
			t.Errorf("it fights:\n%s", strings.Join(got, "\n"))
		}
		leave(t, "eth1", was, 1)
		same(t, "after leave", before)
	}
}

// TestRefusedObjectDoesNotStopTheRest: one impossible route, and everything else is there.
func TestRefusedObjectDoesNotStopTheRest(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	err := l.Reconcile(context.Background(), func(s Snapshot) (State, error) {
		state, _ := wanting(eth1())(s)
		bad := foreign("203.0.113.0/24", "192.0.2.1", func(r *Route) { r.Ours = true })
		state.Routes = append([]Route{bad}, state.Routes...)
		return state, nil
	}).Err()
	if !errors.Is(err, ErrNotConverged) || !strings.Contains(err.Error(), "+ route 203.0.113.0/24 via 192.0.2.1 dev eth1: ") {
		t.Errorf("the error does not say what failed: %v", err)
	}
	if out := ip(t, "route show table 10001"); !strings.Contains(out, "default via 10.0.2.1") {
		t.Errorf("the rest was not set up:\n%s", out)
	}
}

func TestReconcileEnds(t *testing.T) {
	host(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	before := world(t)
	if done, err := open(t, "eth1").Reconcile(ctx, wanting(eth1())).both(); !errors.Is(err, context.Canceled) || len(done) != 0 {
		t.Errorf("cancelled: %v\n%s", err, done)
	}
	same(t, "after a cancelled run", before)
	if err := open(t, "eth7").Reconcile(context.Background(), wanting(eth1())).Err(); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("no such interface: %v", err)
	}
	if l := open(t, "eth1"); read(t, l).Index == 0 {
		t.Error("no index")
	}
}

// TestStrangerBesideOurs: the kernel can hold two routes of one key, when somebody puts his before
// ours. A change in place would then hit his.
func TestStrangerBesideOurs(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	reconcile(t, l, eth1())
	ip(t, "route prepend default via 10.0.2.9 dev eth1 table 10001 proto 99")
	moved := iface(func(c *metadata.Interface) { c.Gateway4 = netip.MustParseAddr("10.0.2.254") })
	if err := l.Reconcile(t.Context(), wanting(moved)).Err(); err == nil || !strings.Contains(err.Error(), "route default via 10.0.2.9 dev eth1 table 10001") {
		t.Errorf("the other's route is not told: %v", err)
	}
	if out := ip(t, "-N route show table 10001 default"); strings.TrimSpace(out) != "default via 10.0.2.9 dev eth1 proto 99" {
		t.Errorf("want his alone, have:\n%s", out)
	}
	ip(t, "route del default via 10.0.2.9 dev eth1 table 10001")
	reconcile(t, l, moved)
	if out := ip(t, "route show table 10001 default"); !strings.Contains(out, "via 10.0.2.254") {
		t.Errorf("ours was not put back:\n%s", out)
	}
}

// TestStrangerHoldsTheSameAddress with another length, and the kernel lists his first: ours goes.
func TestStrangerHoldsTheSameAddress(t *testing.T) {
	host(t)
	batch(t, "link set eth1 up\naddr add 10.0.2.99/24 dev eth1\naddr add 10.0.2.98/24 dev eth1\n")
	l := open(t, "eth1")
	c := iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4") })
	reconcile(t, l, c)
	ip(t, "addr add 10.0.2.4/30 dev eth1")
	reconcile(t, l, c)
	if out := ip(t, "-o addr show dev eth1"); strings.Contains(out, "10.0.2.4/32") || !strings.Contains(out, "10.0.2.4/30") {
		t.Errorf("want his alone:\n%s", out)
	}
	ip(t, "addr del 10.0.2.4/30 dev eth1")
	c.Addrs4 = addrs("10.0.2.4", "10.0.2.37") // another primary: each changes its length
	reconcile(t, l, c)
	c.Addrs4 = addrs("10.0.2.37", "10.0.2.4")
	reconcile(t, l, c)
}
