package plumb

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"ec2net/metadata"
	"ec2net/test/testkit"
)

const patience = time.Minute // only a test that fails waits for it

// watched is a Watch whose changes can be waited for.
type watched struct {
	t       testing.TB
	changes <-chan Change
	cancel  context.CancelFunc
}

func watch(t testing.TB, l *Link) watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c, err := l.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return watched{t, c, cancel}
}

// until takes changes until one removed the object, or with an empty text until there is any, and
// returns all that came before it.
func (w watched) until(removed string) (out []Change) {
	w.t.Helper()
	for {
		select {
		case c, ok := <-w.changes:
			if !ok {
				w.t.Fatal("the watch ended")
			}
			out = append(out, c)
			if removed == "" || c.Removed == removed {
				return out
			}
		case <-time.After(patience):
			w.t.Fatalf("no change that removes %q; there were %+v", removed, out)
		}
	}
}

// drain is all that was delivered so far. The kernel's notifications are in order, so the end is
// where the removal of a route appears that was made for the purpose.
func (w watched) drain() []Change {
	w.t.Helper()
	batch(w.t, "route add 203.0.113.77 dev eth1 table 777 proto 236\nroute del 203.0.113.77 dev eth1 table 777 proto 236\n")
	out := w.until("route 203.0.113.77 dev eth1 table 777 scope link")
	return out[:len(out)-2]
}

// up1 is eth1 with a lasting link, three addresses and IPv4 alone, so that nothing comes from the
// kernel in its own time.
func up1(t testing.TB) (*Link, metadata.Interface) {
	t.Helper()
	host(t)
	r := record(t)
	ip(t, "link set eth1 up")
	for _, name := range []string{"eth0", "gw0", "eth1", "gw1"} { // of each link's being ready the kernel tells a moment later
		for !strings.Contains(ip(t, "link show "+name), "state UP") {
			r.await("+ link " + name)
		}
	}
	c := iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5") })
	l := open(t, "eth1")
	return l, c
}

// damages are what other programs do to an interface. removed is what Watch says of it, when the kernel
// does say what was removed.
var damages = []struct{ name, ip, removed string }{
	{"ip rule flush", "rule flush\nrule add from all lookup main pref 32766 proto kernel\nrule add from all lookup default pref 32767 proto kernel", "rule from 10.0.2.37 lookup 10001 pref 20001"},
	{"a guard deleted", "rule del pref 10001", "rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001"},
	{"ip route flush table 10001", "route flush table 10001", "route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37"},
	{"the default in main deleted", "route del default metric 10001", "route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001"},
	{"a secondary deleted", "addr del 10.0.2.4/32 dev eth1", "addr 10.0.2.4/32 dev eth1 noprefixroute"},
	{"the primary deleted", "addr del 10.0.2.37/24 dev eth1", "addr 10.0.2.37/24 dev eth1 noprefixroute"},
	{"all addresses deleted", "addr flush dev eth1", "addr 10.0.2.5/32 dev eth1 noprefixroute"},
	{"the link set down", "link set eth1 down", ""},
	{"the link set down and up", "link set eth1 down\nlink set eth1 up", ""},
	{"the group cleared", "link set eth1 group 0", ""},
	{"eth0's group cleared", "link set eth0 group 0", ""},
	{"a name taken away", "link property del dev eth1 altname device-number-1", ""},
	{"the gateway of a route changed", "route replace default via 10.0.2.9 dev eth1 table 10001 proto 236", ""},
}

// TestDamageIsToldAndMended: every one is told by an event, and one Reconcile puts it right.
func TestDamageIsToldAndMended(t *testing.T) {
	l, c := up1(t)
	reconcile(t, l, c)
	right := world(t)
	for _, d := range damages {
		w := watch(t, l)
		batch(t, d.ip+"\n")
		told := w.until(d.removed)
		if last := told[len(told)-1]; d.removed != "" && last.By == 0 && !strings.Contains(d.name, "addresses") {
			t.Errorf("%s: nobody did it: %+v", d.name, last)
		}
		done, err := l.Reconcile(t.Context(), wanting(c)).both()
		if err != nil || len(done) == 0 {
			t.Errorf("%s: %v, done:\n%s", d.name, err, done)
		}
		same(t, d.name, right)
		w.cancel()
	}
}

// TestWatchIsSilent about l's own writes of addresses, routes and rules.
func TestWatchIsSilent(t *testing.T) {
	l, c := up1(t)
	batch(t, "link set eth0 group 236\nlink set eth1 group 236\nlink property add dev eth1 altname eni-0a1 altname device-number-1\n")
	read(t, l)
	l.Index = index(t, "eth1")
	w := watch(t, l)
	reconcile(t, l, c)
	c.Addrs4 = addrs("10.0.2.37", "10.0.2.5", "10.0.2.6")
	reconcile(t, l, c)
	if got := w.drain(); len(got) != 0 {
		t.Errorf("own writes are told: %+v", got)
	}
	// What concerns others only: another interface, a stranger's rule, a rule of ours of another interface.
	batch(t, `
addr add 10.0.0.30/32 dev eth0
route add 192.0.2.0/24 via 10.0.0.9 dev eth0
rule add from 10.0.2.37 lookup main pref 500
rule del from 10.0.2.37 lookup main pref 500
rule add from 10.0.9.9 lookup 10007 pref 20007 protocol 236
rule del from 10.0.9.9 lookup 10007 pref 20007 protocol 236
`)
	if got := w.drain(); len(got) != 0 {
		t.Errorf("what is no concern of the interface is told: %+v", got)
	}
	const marked = "rule add fwmark 0x2000000/0x7f000000 lookup 10128 pref 19999 protocol 236\n"
	l.scope.Packets = true
	batch(t, marked)
	if got := w.drain(); len(got) != 0 {
		t.Errorf("a mark is told to an interface that has none: %+v", got)
	}
	l.publish()
	batch(t, "rule del pref 19999\n"+marked)
	if got := w.drain(); len(got) == 0 {
		t.Error("another interface's mark, which may be this one's too, is not told")
	}
	w.drain()
	batch(t, "route add 172.16.0.0/12 via 10.0.2.9 dev eth1\n")
	if got := w.drain(); len(got) != 1 || got[0].Removed != "" || got[0].By == 0 {
		t.Errorf("a static route of the operator is told as %+v", got)
	}
}

// TestWatchEnds with its context, and leaves neither goroutine nor descriptor.
func TestWatchEnds(t *testing.T) {
	l, _ := up1(t)
	before := testkit.Descriptors(t)
	for range 50 {
		w := watch(t, l)
		w.cancel()
		select {
		case <-closed(w.changes):
		case <-time.After(patience):
			t.Fatal("the watch does not end")
		}
	}
	if after := testkit.Descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// closed is closed after c, whatever comes before.
func closed(c <-chan Change) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		for range c {
		}
		close(done)
	}()
	return done
}

// TestWatchOverrun: when notifications are lost, everything may have changed.
func TestWatchOverrun(t *testing.T) {
	l, c := up1(t)
	reconcile(t, l, c)
	s, err := nl.SubscribeAt(netns.None(), netns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetReceiveBufferSize(2048, true); err != nil {
		t.Fatal(err)
	}
	var flood strings.Builder
	for i := range 500 {
		fmt.Fprintf(&flood, "route add 10.77.%d.%d dev eth0\n", i/256, i%256)
	}
	batch(t, flood.String())
	changes := make(chan Change, 1)
	for len(changes) == 0 {
		if !receive(t.Context(), s, 0, l.concerns, changes) {
			t.Fatal("an overrun ends the watch")
		}
	}
	if c := <-changes; c != (Change{}) {
		t.Errorf("of eth0's routes, eth1 is told %+v", c)
	}
}

// TestRename: an interface that is renamed while it is held is the same interface.
func TestRename(t *testing.T) {
	l, c := up1(t)
	reconcile(t, l, c)
	right := world(t)
	w := watch(t, l)
	batch(t, "link set eth1 down\nlink set eth1 name ens6\nlink set ens6 up\n")
	w.until("")
	done := reconcile(t, l, c)
	if l.Name != "ens6" || !strings.Contains(done.String(), "+ route default via 10.0.2.1 dev ens6 table 10001") {
		t.Errorf("%s:\n%s", l.Name, done)
	}
	for i, line := range right {
		right[i] = strings.ReplaceAll(line, "eth1", "ens6")
	}
	// The kernel labels all but the first address anew: "ens6:2".
	got := regexp.MustCompile(`ens6:\d+`).ReplaceAllString(strings.Join(world(t), "\n"), "ens6")
	if got != strings.Join(right, "\n") {
		t.Errorf("after a rename:\n%s\nwant:\n%s", got, strings.Join(right, "\n"))
	}
}

// TestRenameBeforeReconcile: the interface was looked up, and has another name before anything was done.
func TestRenameBeforeReconcile(t *testing.T) {
	l, c := up1(t)
	reconcile(t, l, c)
	next := open(t, "eth1")
	read(t, next)
	batch(t, "link set eth1 down\nlink set eth1 name ens6\n")
	done := reconcile(t, next, c)
	if next.Name != "ens6" || !strings.Contains(done.String(), "~ link ens6 up") {
		t.Errorf("%s:\n%s", next.Name, done)
	}
}
