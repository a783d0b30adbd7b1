package plumb

import "testing"

// A number that the interface was known by once, and that another interface has now, is the other one's.
func TestNumberOfAnother(t *testing.T) {
	host(t)
	batch(t, "link set eth1 up\naddr add 10.0.2.37/24 dev eth1\nroute add 10.0.2.0/24 dev eth1 table 10001 proto 236\nrule add from 10.0.2.37 lookup 10001 pref 20001 protocol 236\n")
	for _, tt := range []struct {
		name, iface, do string
		numbers         []int
		rules           int
	}{
		{"its holder", "eth1", "", nil, 1},
		{"another that had it", "eth0", "", []int{1}, 0},
		{"another that has one more", "eth0", "route add 10.9.0.0/24 dev eth0 table 10002 proto 236", []int{2, 1}, 0},
		{"both hold it", "eth0", "route add 10.8.0.0/24 dev eth0 table 10001 proto 236", []int{1}, 1},
		{"nobody holds it any more", "eth0", "route flush table 10001", []int{1}, 1},
	} {
		if tt.do != "" {
			ip(t, tt.do)
		}
		l := open(t, tt.iface)
		l.scope.Numbers = tt.numbers
		if s, err := l.Read(); err != nil || len(s.Rules) != tt.rules {
			t.Errorf("%s: %d rules (%v), want %d", tt.name, len(s.Rules), err, tt.rules)
		}
	}
	ip(t, "route add 10.0.2.0/24 dev eth1 table 10001 proto 236")
	gone := open(t, "eth9")
	gone.scope.Numbers = []int{1}
	if done, err := gone.Leave(t.Context(), nil); err != nil || len(done) != 0 {
		t.Errorf("clearing up after an interface that is gone took from the one that has its number:\n%s%v", done, err)
	}
}

// A rule with our mark that leads to no table is none of ours to write, and goes like any other.
func TestRuleWithoutATable(t *testing.T) {
	host(t)
	before := world(t)
	l := open(t, "eth1")
	was := found(t, l)
	reconcile(t, l, dual())
	inside := world(t)
	odd := func() {
		batch(t, `
rule add from 10.0.2.99 unreachable pref 20001 protocol 236
rule add from 10.0.2.37 blackhole pref 20001 protocol 236
rule add from 10.0.2.0/24 prohibit pref 10001 protocol 236
rule add from 10.0.2.98 goto 32766 pref 20001 protocol 236
`)
		ip(t, "-6 rule add from 2001:db8:0:2::99 unreachable pref 20001 protocol 236")
	}
	odd()
	reconcile(t, l, dual())
	same(t, "with odd rules", inside)
	odd()
	leave(t, "eth1", was, 1)
	same(t, "after leave", before)
}
