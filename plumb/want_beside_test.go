package plumb

import (
	"net/netip"
	"testing"

	"ec2net/metadata"
)

// first is a primary interface with a secondary address, and what a host has of it.
func first(change func(*Input)) Input {
	in := Input{MainTable: true, OwnAddress: true, Interface: metadata.Interface{
		MAC: mac("02:00:00:00:00:10"), Primary: true,
		Addrs4: addrs("10.0.0.29", "10.0.0.5"), Subnets4: prefixes("10.0.0.0/24"),
		Addrs6: addrs("2001:db8::29"), Subnets6: prefixes("2001:db8::/64"),
		Prefixes4: metadata.None[[]netip.Prefix](), Prefixes6: metadata.None[[]netip.Prefix](),
	}}
	in.Have = Snapshot{State: State{Name: "eth0", Index: 2, Link: LinkState{Up: true, Group: Group},
		Addrs: []Addr{{Prefix: netip.MustParsePrefix("10.0.0.29/24")}, {Prefix: netip.MustParsePrefix("2001:db8::29/128")}},
		Routes: []Route{
			foreign("0.0.0.0/0", "10.0.0.1", func(r *Route) { r.Metric = 100 }),
			foreign("::/0", "fe80::1", func(r *Route) { r.Metric, r.Advertised = 1024, true }),
			foreign("172.16.0.0/12", "10.0.0.9"),
		}}, OthersManaged: true}
	change(&in)
	return in
}

// without is first with one IPv4 address, and without routes.
func without(change func(*Input)) Input {
	return first(func(in *Input) {
		in.Have.Routes = nil
		in.Interface.Addrs6, in.Interface.Addrs4 = metadata.None[[]netip.Addr](), addrs("10.0.0.29")
		change(in)
	})
}

// ruled are the rules of that one.
func ruled() []Rule {
	const table = 10000
	return []Rule{
		{Pref: table, From: netip.MustParsePrefix("10.0.0.0/24"), Table: tableMain, NoGroup: true},
		{Pref: table + 10000, From: netip.MustParsePrefix("10.0.0.29/32"), Table: table},
	}
}

// The primary interface has rules and a table of its own beside other interfaces, and without them nothing.
func TestWantPrimaryBesideOthers(t *testing.T) {
	nothing := func(*Input) {}
	check(t, []golden{
		{"beside others", first(nothing), all, `
+ addr 10.0.0.5/32 dev eth0 noprefixroute
+ route 10.0.0.0/24 dev eth0 table 10000 scope link src 10.0.0.29
+ route 2001:db8::/64 dev eth0 table 10000 src 2001:db8::29 metric 1024
+ route 172.16.0.0/12 via 10.0.0.9 dev eth0 table 10000
+ route default via 10.0.0.1 dev eth0 table 10000 src 10.0.0.29
+ route default via fe80::1 dev eth0 table 10000 src 2001:db8::29 metric 1024
+ route default via fe80::1 dev eth0 metric 1023
+ rule from 10.0.0.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10000
+ rule from 2001:db8::/64 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10000
+ rule from 10.0.0.29 lookup 10000 pref 20000
+ rule from 10.0.0.5 lookup 10000 pref 20000
+ rule from 2001:db8::29 lookup 10000 pref 20000`},
		{"alone", first(func(in *Input) { in.Have.OthersManaged = false }), all, "+ addr 10.0.0.5/32 dev eth0 noprefixroute\n~ link eth0 group 0"},
		{"a manager gave its default route a metric", first(func(in *Input) { in.Have.Routes[1].Metric = 100 }), only("dev eth0 metric"), ""},
		{"main is not ours to write", first(func(in *Input) { in.MainTable = false }), only("dev eth0 metric"), ""},
		{"main does not leave by it", without(nothing), only("default", "rule"), `
+ route default via 10.0.0.1 dev eth0 table 10000 src 10.0.0.29
+ rule from 10.0.0.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10000
+ rule from 10.0.0.29 lookup 10000 pref 20000`},
		{"main has lost the route: the last router", without(func(in *Input) {
			in.Have.Routes = []Route{{Table: 10000, Dst: everywhere(false), Via: netip.MustParseAddr("10.0.0.9"), Src: in.Interface.Addrs4.Value[0], Ours: true}}
		}), only("default"), ""},
		{"the last router is of another subnet", without(func(in *Input) {
			in.Have.Routes = []Route{{Table: 10000, Dst: everywhere(false), Via: netip.MustParseAddr("10.9.0.9"), Src: in.Interface.Addrs4.Value[0], Ours: true}}
		}), only("default"), "~ route default via 10.0.0.1 dev eth0 table 10000 src 10.0.0.29"},
		{"its address is not there", first(func(in *Input) { in.Have.Addrs = nil; in.Interface.Addrs6 = metadata.None[[]netip.Addr]() }), all,
			"! eth0 does not have its primary address 10.0.0.29 yet, which its network manager adds: 10.0.0.5 waits for it"},
		{"another program has given it another one", first(func(in *Input) {
			in.Have.Addrs, in.Interface.Addrs6 = []Addr{{Prefix: netip.MustParsePrefix("10.0.0.77/24")}}, metadata.None[[]netip.Addr]()
		}), only("addr"), "+ addr 10.0.0.5/32 dev eth0 noprefixroute"},
		{"its IPv4 address is gone, and a router advertisement is there", first(func(in *Input) {
			in.Have.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.0.5/32"), Ours: true, NoPrefixRoute: true}}
		}), only("addr "), `
+ addr 2001:db8::29/128 dev eth0 noprefixroute
- addr 10.0.0.5/32 dev eth0 noprefixroute
! eth0 does not have its primary address 10.0.0.29 yet, which its network manager adds: 10.0.0.5 waits for it`},
		{"all of it is gone", first(func(in *Input) {
			in.Have.Routes = nil
			in.Have.Addrs = []Addr{{Prefix: netip.MustParsePrefix("2001:db8::29/128"), Ours: true, NoPrefixRoute: true}}
		}), only("- addr"), `
- addr 2001:db8::29/128 dev eth0 noprefixroute
! eth0 does not have its primary address 10.0.0.29 yet, which its network manager adds: 10.0.0.5 waits for it
! eth0 does not have its primary address 10.0.0.29 yet, which its network manager adds: 2001:db8::29 waits for it`},
		{"addresses without a subnet", first(func(in *Input) { in.Interface.Subnets6 = metadata.None[[]netip.Prefix]() }), only("! "),
			"! 2001:db8::29 is in none of the interface's subnets: left out"},
		{"a delegated prefix without a subnet", without(func(in *Input) {
			in.Interface.Prefixes6, in.Interface.Subnets6 = prefixes("2001:db8:0:1::/80"), metadata.None[[]netip.Prefix]()
		}), only("! "), "! 2001:db8:0:1:: is in none of the interface's subnets: left out"},
		{"a delegated prefix alone", without(func(in *Input) {
			in.Interface.Prefixes6, in.Interface.Subnets6 = prefixes("2001:db8:0:0:1::/80"), prefixes("2001:db8::/64")
			in.Gateway6 = netip.MustParseAddr("fe80:ec2::1")
		}), only("2001:", "fe80"), `
+ route 2001:db8::/64 dev eth0 table 10000 metric 1024
+ route default via fe80:ec2::1 dev eth0 table 10000 metric 1024
+ rule from 2001:db8::/64 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10000
+ rule from 2001:db8:0:0:1::/80 lookup 10000 pref 20000`},
		{"its link is down", without(func(in *Input) { in.Have.Link.Up = false; in.Have.Rules = ruled() }), all, ""},
		{"its address is away for a moment", without(func(in *Input) {
			in.Have.Addrs, in.Have.Rules = nil, ruled()
			in.Have.Routes = []Route{{Table: tableMain, Metric: 1023, Dst: everywhere(false), Via: netip.MustParseAddr("10.0.0.1"), Ours: true}}
		}), all, "- route default via 10.0.0.1 dev eth0 metric 1023"},
		{"withdrawn: EC2's router", first(func(in *Input) {
			in.Have.Routes, in.Gateway6 = in.Have.Routes[:1], netip.MustParseAddr("fe80:ec2::1")
		}), only("via fe80"), "+ route default via fe80:ec2::1 dev eth0 table 10000 src 2001:db8::29 metric 1024"},
	})
	held := first(nothing)
	state, _ := Want(held)
	held.Have.State = state
	held.Have.Routes = append(held.Have.Routes, first(nothing).Have.Routes...)
	held.Have.Addrs = append(held.Have.Addrs, first(nothing).Have.Addrs...)
	held.Interface.Addrs4, held.Interface.Subnets6 = metadata.Answer[[]netip.Addr]{}, metadata.Answer[[]netip.Prefix]{}
	if plan := planOf(held, all); plan != "" {
		t.Errorf("keys that could not be asked changed something:\n%s", plan)
	}
	held.Have.OthersManaged = false
	if g := held.Have.Granted(); !g.Primary || g.N() != 0 {
		t.Errorf("after a restart the interface counts as %+v", g)
	}
}

// Blocks: the three settings, an interface that has only blocks, and those that are another interface's.
func TestWantPrefixes(t *testing.T) {
	with := func(d Delegation, change func(*Input)) Input {
		in := ours(iface(func(c *metadata.Interface) { c.Prefixes4 = prefixes("10.0.2.64/28") }))
		in.Prefixes = d
		change(&in)
		return in
	}
	nothing := func(*Input) {}
	block := only("10.0.2.64/28", "!")
	check(t, []golden{
		{"rules", with(DelegateRules, nothing), block, "+ rule from 10.0.2.64/28 lookup 10001 pref 20001"},
		{"local", with(DelegateLocal, nothing), block, `
+ route local 10.0.2.64/28 dev eth1 table local metric 10001
+ rule from 10.0.2.64/28 lookup 10001 pref 20001`},
		{"off", with(DelegateOff, nothing), block, ""},
		{"unknown: what is there stays", with(DelegateLocal, func(in *Input) {
			in.Interface.Prefixes4 = metadata.Answer[[]netip.Prefix]{}
			in.Have.Routes = []Route{{Table: tableLocal, Dst: netip.MustParsePrefix("10.0.2.64/28"), Metric: 10001, Ours: true, Local: true, Scope: 254}}
		}), block, "+ rule from 10.0.2.64/28 lookup 10001 pref 20001"},
		{"another interface's", with(DelegateLocal, func(in *Input) {
			in.Have.Taken = []netip.Prefix{netip.MustParsePrefix("10.0.2.70/32")}
		}), only("64/28"), "! the delegated prefix 10.0.2.64/28 overlaps 10.0.2.70 of another interface: left out"},
		{"nothing but a block", with(DelegateRules, func(in *Input) { in.Interface.Addrs4 = metadata.None[[]netip.Addr]() }), noLink, `
+ route 10.0.2.0/24 dev eth1 table 10001 scope link
+ route default via 10.0.2.1 dev eth1 table 10001
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.64/28 lookup 10001 pref 20001`},
	})
}

// Of several routers the one in use stays; a block that is advertised on the wrong link is refused.
func TestWantAdvertised(t *testing.T) {
	ra := func(dst, via string) Route {
		return foreign(dst, via, func(r *Route) { r.Metric, r.Advertised = 1024, true })
	}
	in := ours(dual())
	in.Have.Routes = []Route{ra("::/0", "fe80::1"), ra("::/0", "fe80::2"), {
		Table: 10001, Dst: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fe80::2"), Ours: true, Metric: 1024,
		Src: netip.MustParseAddr("2001:db8:0:2::37"),
	}, ra("2001:db8:0:2::/64", ""), ra("2001:db8:0:7::/64", ""), ra("2001:db8:ffff::/48", "fe80::1")}
	check(t, []golden{{"", in, only("default via fe80", "0:7", "ffff"), `
+ route 2001:db8:ffff::/48 via fe80::1 dev eth1 table 10001 metric 1024
+ route default via fe80::2 dev eth1 src 2001:db8:0:2::37 metric 10001
! ignored a router advertisement on eth1: it says that 2001:db8:0:7::/64 is on-link, which is not a subnet of the interface`}})
}
