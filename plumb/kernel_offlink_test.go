package plumb

import (
	"context"
	"strings"
	"testing"
)

// An interface whose gateway alone is on the link, on the kernel: neighbours are reached by the gateway from each of its
// addresses, also from one outside of the subnet, which Google's own agent has made local already. Nothing of that
// agent's goes, and down leaves the world as it was. (With the interface's last address the kernel flushes all routes; so
// another program has the lease here.)
func TestKernelOffLink(t *testing.T) {
	host(t)
	ip(t, "link set eth1 up")
	batch(t, "addr add 10.128.0.7/32 dev eth1 noprefixroute\nroute add local 198.51.100.7 dev eth1 scope host proto 66\n")
	theirs := ip(t, "route show table local proto 66")
	before := world(t)
	l := open(t, "eth1")
	base := found(t, l)
	want := func(s Snapshot) (State, error) {
		in := offLink()
		in.Interface.MAC, in.Have, in.Baseline = s.MAC, s, base
		return Want(in)
	}
	for i := range 2 {
		done, err := l.Reconcile(context.Background(), want).both()
		if err != nil || (i == 1 && len(done) > 0) {
			t.Fatalf("time %d: %v\n%s", i, err, done)
		}
	}
	for _, from := range []string{"10.128.0.7", "10.128.0.99", "198.51.100.7"} {
		for _, to := range []string{"10.128.0.55", "203.0.113.9"} {
			if got := ip(t, "route get "+to+" from "+from); !strings.Contains(got, "via 10.128.0.1 dev eth1") {
				t.Errorf("from %s: %s", from, got)
			}
		}
	}
	if got := ip(t, "route get 2001:db8::9 from fd20:0:0:1::"); !strings.Contains(got, "via fe80::4001:aff:fe80:1 dev eth1") {
		t.Errorf("IPv6: %s", got)
	}
	if got := ip(t, "route show table local proto 66"); got != theirs {
		t.Errorf("their routes were %q and are %q while ours are there", theirs, got)
	}
	if done, err := l.Leave(context.Background(), base); err != nil {
		t.Fatalf("%v\n%s", err, done)
	}
	same(t, "down", before)
	if got := ip(t, "route show table local proto 66"); got != theirs {
		t.Errorf("their routes were %q and are %q", theirs, got)
	}
}
