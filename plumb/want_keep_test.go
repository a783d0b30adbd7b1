package plumb

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ec2net/metadata"
)

func TestWantDegraded(t *testing.T) {
	onLease := func(index int) Input {
		in := Input{Have: bare(), OwnAddress: true, MainTable: true, Lease: lease("10.0.2.37/24", "10.0.2.1", 0)}
		in.Have.Index = index
		return in
	}
	check(t, []golden{
		{"table 19000 + ifindex", onLease(3), all, `
~ link eth1 up
~ link eth1 group 236
+ addr 10.0.2.37/24 dev eth1 noprefixroute
+ route 10.0.2.0/24 dev eth1 table 19003 scope link src 10.0.2.37
+ route 10.0.2.0/24 dev eth1 scope link src 10.0.2.37 metric 19003
+ route default via 10.0.2.1 dev eth1 table 19003 src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 19003
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 19003
+ rule from 10.0.2.37 lookup 19003 pref 29003`},
		{"a large ifindex", onLease(41007), only("lookup 1"), "+ rule from 10.0.2.37 lookup 19007 pref 29007"},
	})
}

// TestWantDegradedMoves: when the metadata speaks, the interface gets its own table before the old goes.
func TestWantDegradedMoves(t *testing.T) {
	in := Input{Have: bare(), OwnAddress: true, Lease: lease("10.0.2.37/24", "10.0.2.1", 0)}
	have, err := Want(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Have.State, in.Interface = have, eth1()
	check(t, []golden{{"new before old", in, noLink, `
+ route 10.0.2.0/24 dev eth1 table 10001 scope link src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.37 lookup 10001 pref 20001
- rule from 10.0.2.37 lookup 19003 pref 29003
- rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 19003
- route default via 10.0.2.1 dev eth1 table 19003 src 10.0.2.37
- route 10.0.2.0/24 dev eth1 table 19003 scope link src 10.0.2.37`}})
}

func TestWantLink(t *testing.T) {
	leased := func(mtu, most int, own bool) Input {
		in := ours(eth1())
		in.Lease, in.Have.MaxMTU, in.OwnAddress = lease("10.0.2.37/24", "", mtu), most, own
		in.Have.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.2.37/24")}}
		return in
	}
	grouped := ours(eth1())
	grouped.Have.Link = LinkState{Up: true, MTU: 1500, Group: 7}
	grouped.Have.Groups = []IfGroup{{"eth0", 2, 0}, {"eth2", 4, 42}}
	named := ours(eth1())
	named.Have.AltNames = []string{"enp0s6", "eni-0a1"}
	link := only("link eth", "altname")
	links := only("~ link")
	check(t, []golden{
		{"the lease's MTU", leased(9001, 9001, true), links, "~ link eth1 mtu 9001\n~ link eth1 up\n~ link eth1 group 236"},
		{"no MTU in the lease", leased(0, 9001, true), links, "~ link eth1 up\n~ link eth1 group 236"},
		{"somebody else has the lease", leased(9001, 9001, false), links, "~ link eth1 up\n~ link eth1 group 236"},
		{"the driver names no limit", leased(9001, 0, true), links, "~ link eth1 mtu 9001\n~ link eth1 up\n~ link eth1 group 236"},
		{"more than the driver can do", leased(9001, 3498, true), links,
			"~ link eth1 mtu 3498\n~ link eth1 up\n~ link eth1 group 236\n! the lease's MTU of 9001 is more than the interface's driver supports (3498)"},
		{"a user's group is kept", grouped, link, "~ link eth0 group 236\n+ altname eni-0a1 dev eth1\n+ altname device-number-1 dev eth1"},
		{"a name that is there is not given again", named, link, "~ link eth1 up\n~ link eth1 group 236\n+ altname device-number-1 dev eth1"},
	})
}

// TestWantUnavailable: what could not be asked changes nothing, key by key.
func TestWantUnavailable(t *testing.T) {
	full := dual()
	full.Addrs4, full.Prefixes4 = addrs("10.0.2.37", "10.0.2.4"), prefixes("10.0.2.64/28")
	in := ours(full)
	in.Gateway6 = netip.MustParseAddr("fe80:ec2::1")
	held, err := Want(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Have.State = held
	var unknown metadata.Answer[[]netip.Addr]
	var unknownPrefixes metadata.Answer[[]netip.Prefix]
	for name, lose := range map[string]func(*metadata.Interface){
		"addrs4":    func(c *metadata.Interface) { c.Addrs4 = unknown },
		"addrs6":    func(c *metadata.Interface) { c.Addrs6 = unknown },
		"subnets4":  func(c *metadata.Interface) { c.Subnets4 = unknownPrefixes },
		"subnets6":  func(c *metadata.Interface) { c.Subnets6 = unknownPrefixes },
		"prefixes4": func(c *metadata.Interface) { c.Prefixes4 = unknownPrefixes },
		"prefixes6": func(c *metadata.Interface) { c.Prefixes6 = unknownPrefixes },
		"ID":        func(c *metadata.Interface) { c.ID = "" },
		"everything": func(c *metadata.Interface) {
			*c = metadata.Interface{}
		},
	} {
		lost := in
		lose(&lost.Interface)
		state, _ := Want(lost)
		if p := Diff(held, state); len(p) != 0 {
			t.Errorf("%s could not be asked, and the plan is\n%s", name, p)
		}
	}
}

func TestWantUnavailableOnThePrimaryInterface(t *testing.T) {
	in := ours(metadata.Interface{MAC: mac("02:00:00:00:00:10"), Primary: true})
	in.Have.Addrs = []Addr{
		{Prefix: netip.MustParsePrefix("10.0.0.29/24")},
		{Prefix: netip.MustParsePrefix("10.0.0.30/32"), NoPrefixRoute: true, Ours: true},
		{Prefix: netip.MustParsePrefix("2001:db8::a/128"), NoPrefixRoute: true, Ours: true},
	}
	check(t, []golden{{"nothing goes", in, all, ""}})
	in.Interface.Addrs4, in.Interface.Addrs6 = addrs("10.0.0.29"), metadata.None[[]netip.Addr]()
	check(t, []golden{{"absent goes", in, all, "- addr 2001:db8::a/128 dev eth1 noprefixroute\n- addr 10.0.0.30/32 dev eth1 noprefixroute"}})
}

// TestWantOwnerLosesTheAddress: another program's DHCP has a moment without an address; the
// connections on the secondaries live on.
func TestWantOwnerLosesTheAddress(t *testing.T) {
	in := ours(iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4") }))
	in.OwnAddress = false
	in.Have.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.2.37/24")}}
	held, err := Want(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Have.State = held
	check(t, []golden{{"keeps what is there", in, all, "! no address yet: waiting for 10.0.2.37"}})
}

func TestGranted(t *testing.T) {
	full := dual()
	full.Addrs4, full.Prefixes4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5"), prefixes("10.0.2.64/28")
	full.NetworkCard, full.DeviceNumber, full.ID = 1, 2, ""
	in := ours(full)
	in.Gateway6 = netip.MustParseAddr("fe80:ec2::1")
	in.Have.Routes = []Route{foreign("192.168.5.0/24", "", func(r *Route) { r.Src = netip.MustParseAddr("192.168.5.1") })}
	state, err := Want(in)
	if err != nil {
		t.Fatal(err)
	}
	// The primary's rule was deleted and put back: the kernel lists it last.
	for i, r := range state.Rules {
		if r.From == netip.MustParsePrefix("10.0.2.37/32") {
			state.Rules = append(append(state.Rules[:i:i], state.Rules[i+1:]...), r)
		}
	}
	s := bare()
	s.State = state
	full.NetworkCard, full.DeviceNumber, full.Number = 0, 0, 102
	if d := cmp.Diff(full, s.Granted(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		t.Errorf("the kernel's last known good (-want +got):\n%s", d)
	}
	if g := bare().Granted(); g.MAC != (metadata.MAC{}) {
		t.Errorf("a bare interface grants %+v", g)
	}
}

func TestGrantedIgnoresALease(t *testing.T) {
	s := bare()
	s.State, _ = Want(Input{Have: bare(), OwnAddress: true, Lease: lease("10.0.2.37/24", "10.0.2.1", 0)})
	if g := s.Granted(); g.MAC != (metadata.MAC{}) || g.N() != 0 {
		t.Errorf("the metadata never said this: %+v", g)
	}
}

func TestWithout(t *testing.T) {
	held := with(func(s *Snapshot) {
		s.Link = LinkState{Up: true, MTU: 9001, Group: Group}
		s.AltNames = []string{"enp0s6", "eni-0a1", "device-number-1", "operators"}
		s.Groups = []IfGroup{{"eth0", 2, Group}, {"eth2", 4, 42}}
		s.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.2.37/24"), NoPrefixRoute: true, Ours: true}}
		s.Rules = []Rule{{Pref: 20001, From: netip.MustParsePrefix("10.0.2.37/32"), Table: 10001}}
	})
	visited := with(func(s *Snapshot) {
		*s = held
		s.Addrs = append(s.Addrs[:1:1], Addr{Prefix: netip.MustParsePrefix("10.0.2.200/24")})
	})
	regrouped := with(func(s *Snapshot) { *s = held; s.Link.Group = 9 })
	shared := with(func(s *Snapshot) { *s = held; s.OthersManaged = true })
	common := "- rule from 10.0.2.37 lookup 10001 pref 20001\n- addr 10.0.2.37/24 dev eth1 noprefixroute\n"
	names := "- altname eni-0a1 dev eth1\n- altname device-number-1 dev eth1"
	bareBefore := &Baseline{Link: LinkState{MTU: 1500}, AltNames: []string{"enp0s6"}}
	for _, tt := range []struct {
		name   string
		have   Snapshot
		before *Baseline
		want   string
	}{
		{"it was bare", held, bareBefore,
			"~ link eth1 mtu 1500\n" + common + "~ link eth1 group 0\n~ link eth0 group 0\n" + names + "\n~ link eth1 down"},
		{"it was up", held, &Baseline{Link: LinkState{Up: true, MTU: 9001, Group: 5}, AltNames: []string{"eni-0a1"}},
			common + "~ link eth1 group 5\n~ link eth0 group 0\n- altname device-number-1 dev eth1"},
		{"somebody has an address on it by now", visited, bareBefore,
			"~ link eth1 mtu 1500\n" + common + "~ link eth1 group 0\n~ link eth0 group 0\n" + names},
		{"somebody gave it a group since", regrouped, bareBefore,
			"~ link eth1 mtu 1500\n" + common + "~ link eth0 group 0\n" + names + "\n~ link eth1 down"},
		{"another interface is managed", shared, bareBefore,
			"~ link eth1 mtu 1500\n" + common + "~ link eth1 group 0\n" + names + "\n~ link eth1 down"},
		{"nobody wrote down how it was", held, nil, common + "~ link eth1 group 0\n~ link eth0 group 0"},
	} {
		got := strings.TrimSpace(Diff(tt.have.State, Detached(tt.have, tt.before)).String())
		if d := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(got, "\n")); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}
