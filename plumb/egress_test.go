package plumb

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/metadata"
)

func TestWantEgress(t *testing.T) {
	by := func(e Egress, c metadata.Interface) Input {
		in := ours(c)
		in.Egress, in.Gateway6 = e, netip.MustParseAddr("fe80:ec2::1")
		return in
	}
	eth1 := iface(func(*metadata.Interface) {})
	four := `
+ rule from all fwmark 10001/0 lookup main suppress_prefixlength 7 pref 30102
+ rule from all lookup 10001 pref 30202`
	rules := only("pref 30")
	check(t, []golden{
		{"not by this interface", by(Egress{}, eth1), rules, ""},
		{"IPv4", by(Egress{Rank: 2, IPv4: true}, eth1), rules, four},
		{"both are wanted, and there is one family", by(Egress{Rank: 2, IPv4: true, IPv6: true}, eth1), rules, four},
		{"both", by(Egress{IPv4: true, IPv6: true}, dual()), rules, `
+ rule from all fwmark 10001/0 lookup main suppress_prefixlength 7 pref 30100
+ rule from ::/0 fwmark 10001/0 lookup main suppress_prefixlength 7 pref 30100
+ rule from all lookup 10001 pref 30200
+ rule from ::/0 lookup 10001 pref 30200`},
		{"the primary interface keeps the cloud's servers, alone too", first(func(in *Input) {
			in.Have.OthersManaged = false
			in.Services = []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
		}), only("rule from 10.0.0.29", "pref 30"), `
+ rule from 10.0.0.29 lookup 10000 pref 20000
+ rule from all to 169.254.169.254 lookup 10000 pref 30000
+ rule from ::/0 to fd00:ec2::254 lookup 10000 pref 30000`},
	})
}

// Interfaces that have the rules beside each other: each sees the others', and only its own are its to keep.
func TestLeads(t *testing.T) {
	mine := Rule{Pref: prefEgress + 1, From: everywhere(false), Table: 10002}
	other := func(rank, table uint32) Rule {
		return Rule{Pref: prefEgress + rank, From: everywhere(false), Table: table}
	}
	for _, tt := range []struct {
		name        string
		rules, left []Rule
		six         bool
		rank        int
		better      bool
	}{
		{"nobody", nil, nil, false, -1, false},
		{"alone", []Rule{mine}, nil, false, 1, false},
		{"the other family", []Rule{mine}, []Rule{other(0, 10003)}, true, -1, false},
		{"a better one", []Rule{mine}, []Rule{other(0, 10003)}, false, 1, true},
		{"a worse one", []Rule{mine}, []Rule{other(2, 10003)}, false, 1, false},
		{"the same place, lower table", []Rule{mine}, []Rule{other(1, 10001)}, false, 1, true},
		{"the same place, higher table", []Rule{mine}, []Rule{other(1, 10003)}, false, 1, false},
		{"a guard alone", []Rule{mine}, []Rule{{Pref: prefStay, From: everywhere(false), Table: tableMain, MinBits: network, Owner: 10003}}, false, 1, false},
	} {
		s := Snapshot{State: State{Rules: tt.rules}, Leaving: tt.left}
		if rank, better := s.Leads(tt.six, 1); rank != tt.rank || better != tt.better {
			t.Errorf("%s: rank %d, better %v; want %d, %v", tt.name, rank, better, tt.rank, tt.better)
		}
	}
}

func TestProtected(t *testing.T) {
	services := []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
	in := first(func(in *Input) { in.Services = services })
	state, _ := Want(in)
	have := in.Have
	have.Rules, have.Routes = state.Rules, state.Routes
	have.Addrs = append(have.Addrs, state.Addrs...)
	without := func(s Snapshot, text string) Snapshot {
		var rules []Rule
		for _, r := range s.Rules {
			if !strings.Contains(r.text(), text) {
				rules = append(rules, r)
			}
		}
		s.Rules = rules
		return s
	}
	for _, tt := range []struct {
		name  string
		have  Snapshot
		iface metadata.Interface
		four  string
		six   string
	}{
		{"all is there", have, in.Interface, "", ""},
		{"nothing of ours", in.Have, in.Interface, "no rule from 10.0.0.29 lookup 10000", "no rule from 2001:db8::29 lookup 10000"},
		{"a secondary address has no rule", without(have, "from 10.0.0.5 "), in.Interface, "no rule from 10.0.0.5 lookup 10000", ""},
		{"a server would be asked by another interface", without(have, "to fd00:ec2::254"), in.Interface, "", "no rule from ::/0 to fd00:ec2::254"},
		{"its table leads nowhere", func() Snapshot { s := have; s.Routes = nil; return s }(), in.Interface, "no default route in table 10000", "no default route in table 10000"},
		{"the cloud has said nothing", have, metadata.Interface{Primary: true}, "which addresses are its own", "which addresses are its own"},
		{"no address, nothing to keep", Snapshot{}, in.Interface, "", ""},
	} {
		for six, want := range []string{tt.four, tt.six} {
			err := Protected(tt.have, tt.iface, six == 1, services)
			if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
				t.Errorf("%s, IPv6 %v: %v, want %q", tt.name, six == 1, err, want)
			}
		}
	}
}

// In the kernel: both families, written, read back, found unchanged, and gone again exactly; a rule of
// somebody else that looks the same stays; without the interface, what the rules leave falls through to main.
func TestEgressInKernel(t *testing.T) {
	secondHost(t)
	before := world(t)
	ip(t, "rule add lookup 10001 pref 30200")
	wanting := func(s Snapshot) (State, error) {
		return Want(Input{Interface: eth1(), Have: s, OwnAddress: true, Egress: Egress{IPv4: true}})
	}
	l := open(t, "eth1")
	bare := found(t, l)
	done, err := l.Reconcile(context.Background(), wanting).both()
	if err != nil || !strings.Contains(done.String(), "+ rule from all lookup 10001 pref 30200") {
		t.Fatalf("%v\n%s", err, done)
	}
	if again, err := l.Reconcile(context.Background(), wanting).both(); err != nil || len(again) > 0 {
		t.Errorf("the second plan: %v\n%s", err, again)
	}
	if out := ip(t, "route get 198.51.100.1"); !strings.Contains(out, "dev eth1 table 10001 src 10.0.2.37") {
		t.Errorf("the host's own traffic: %s", out)
	}
	for dst, dev := range map[string]string{"10.0.0.77": "eth0", "10.0.2.77": "eth1", "198.51.100.1 mark 7": "eth1", "198.51.100.1 oif eth0": "eth0"} {
		if out := ip(t, "route get "+dst); !strings.Contains(out, " dev "+dev+" ") {
			t.Errorf("to %s: %s, want %s", dst, out, dev)
		}
	}
	other := open(t, "eth2")
	if rank, better := read(t, other).Leads(false, 1); rank != -1 || !better {
		t.Errorf("another interface sees rank %d, better %v", rank, better)
	}
	ip(t, "link set eth1 down")
	if out := ip(t, "route get 198.51.100.1"); !strings.Contains(out, "via 10.0.0.1 dev eth0") {
		t.Errorf("without the interface: %s", out)
	}
	ip(t, "link set eth1 up")
	if _, err := l.Leave(context.Background(), bare); err != nil {
		t.Fatal(err)
	}
	ip(t, "rule del lookup 10001 pref 30200")
	ip(t, "link set eth0 group default")
	same(t, "after Leave", before)
}

// The interface goes while nobody runs: its rules are found by their owner's number.
func TestEgressOrphans(t *testing.T) {
	secondHost(t)
	before := ip(t, "rule")
	l := open(t, "eth1")
	if err := l.Reconcile(context.Background(), func(s Snapshot) (State, error) {
		return Want(Input{Interface: eth1(), Have: s, OwnAddress: true, Egress: Egress{Rank: 3, IPv4: true}})
	}).Err(); err != nil {
		t.Fatal(err)
	}
	ip(t, "link del eth1")
	if _, err := Orphans(nil); err != nil || ip(t, "rule") != before {
		t.Errorf("%v\n%s", err, ip(t, "rule"))
	}
}

// The watch of a candidate hears of other interfaces' rules, that of another interface does not.
func TestWatchBeside(t *testing.T) {
	secondHost(t)
	l := open(t, "eth1")
	reconcile(t, l, eth1())
	l.scope.Others = true
	w := watch(t, l)
	ip(t, "rule add from 10.9.9.9 lookup 10007 pref 20007 protocol 236")
	w.until("")
	ip(t, "rule del pref 20007")
	for _, c := range w.until("") {
		if c.Removed != "" {
			t.Errorf("another interface's rule counts as removed from this one: %+v", c)
		}
	}
}

// A neighbour that does not answer is known for silent; one that the operator wrote down is left alone.
func TestNeighbour(t *testing.T) {
	host(t)
	batch(t, "link set eth1 up\naddr add 10.0.2.37/24 dev eth1\naddr add 2001:db8::37/64 dev eth1 nodad\n")
	l := open(t, "eth1")
	read(t, l)
	l.Index = read(t, l).Index
	permanent, nobody := netip.MustParseAddr("10.0.2.9"), netip.MustParseAddr("10.0.2.99")
	ip(t, "neigh add 10.0.2.9 lladdr 02:00:00:00:00:99 dev eth1 nud permanent")
	hosts := map[netip.Addr]Neighbour{permanent: Answers, nobody: Silent, netip.MustParseAddr("2001:db8::99"): Silent}
	for host := range hosts {
		if err := l.Ask(host); err != nil {
			t.Fatal(err)
		}
	}
	for host, want := range hosts {
		if got := settledNeighbour(t, l, host); got != want {
			t.Errorf("%s: %d, want %d", host, got, want)
		}
	}
	if out := ip(t, "neigh show 10.0.2.9"); !strings.Contains(out, "PERMANENT") {
		t.Errorf("the operator's entry was changed: %s", out)
	}
	if got, err := l.See(netip.MustParseAddr("10.0.2.100")); got != Unasked || err != nil {
		t.Errorf("a host that nobody asked: %d, %v", got, err)
	}
}

// settledNeighbour waits for the kernel's verdict, which takes three seconds when there is no answer.
func settledNeighbour(t *testing.T, l *Link, host netip.Addr) Neighbour {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(10 * time.Millisecond) {
		got, err := l.See(host)
		if err != nil {
			t.Fatal(err)
		}
		if got != Asking {
			return got
		}
	}
	return Asking
}
