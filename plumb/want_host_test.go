package plumb

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ec2net/metadata"
)

// hostOf is a primary interface that nobody else configures, as it was found, or as it was given a lease.
func hostOf(given bool, change func(*Input)) Input {
	in := without(func(in *Input) {
		in.Host, in.Lease, in.Have.Addrs = true, lease("10.0.0.29/24", "10.0.0.1", 9001), nil
		in.Have.OthersManaged, in.Have.Link.Group, in.Have.Link.Up = false, 0, false
	})
	if given {
		in.Have.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.0.29/24"), NoPrefixRoute: true, Ours: true}}
		a := in.Have.Addrs[0].Prefix.Addr()
		in.Have.Routes = []Route{
			{Table: tableMain, Dst: netip.MustParsePrefix("10.0.0.0/24"), Src: a, Metric: hostMetric, Scope: scopeLink, Ours: true},
			{Table: tableMain, Dst: everywhere(false), Via: netip.MustParseAddr("10.0.0.1"), Src: a, Metric: hostMetric, Ours: true},
		}
		in.Have.Link.Up, in.Have.Link.MTU = true, 9001
	}
	change(&in)
	return in
}

// What the host itself lives by where nobody else configures it, and what becomes of that.
func TestWantHost(t *testing.T) {
	nothing := func(*Input) {}
	unread := func(in *Input) { in.Interface = metadata.Interface{} }
	check(t, []golden{
		{"found", hostOf(false, nothing), all, `
~ link eth0 mtu 9001
~ link eth0 up
+ addr 10.0.0.29/24 dev eth0 noprefixroute
+ route 10.0.0.0/24 dev eth0 scope link src 10.0.0.29 metric 512
+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512`},
		{"before the metadata has answered", hostOf(false, unread), only("addr", "route"), `
+ addr 10.0.0.29/24 dev eth0 noprefixroute
+ route 10.0.0.0/24 dev eth0 scope link src 10.0.0.29 metric 512
+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512`},
		{"a lease without a router says nothing of one", hostOf(false, func(in *Input) { unread(in); in.Lease.Router = netip.Addr{} }), only("default"), ""},
		{"set up", hostOf(true, nothing), all, ""},
		{"set up, the metadata silent", hostOf(true, unread), all, ""},
		{"beside others, in one go", hostOf(false, func(in *Input) { in.Have.OthersManaged = true }), only("addr", "route", "rule"), `
+ addr 10.0.0.29/24 dev eth0 noprefixroute
+ route 10.0.0.0/24 dev eth0 scope link src 10.0.0.29 metric 512
+ route 10.0.0.0/24 dev eth0 table 10000 scope link src 10.0.0.29
+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512
+ route default via 10.0.0.1 dev eth0 table 10000 src 10.0.0.29
+ rule from 10.0.0.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10000
+ rule from 10.0.0.29 lookup 10000 pref 20000`},
		{"the metadata names another address than the lease", hostOf(false, func(in *Input) { in.Lease = nil }), only("addr", "default"), `
+ addr 10.0.0.29/24 dev eth0 noprefixroute
+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512`},
		{"another program has given it an address", hostOf(false, func(in *Input) {
			in.Have.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.0.29/24")}}
		}), all, ""},
		{"another program has the lease now, and no route yet", hostOf(true, func(in *Input) { in.Host = false }), all, ""},
		{"another program has a default route now", hostOf(true, func(in *Input) {
			in.Host = false
			in.Have.Routes = append(in.Have.Routes, foreign("0.0.0.0/0", "10.0.0.1", func(r *Route) { r.Metric = 1024 }))
		}), all, "- route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512"},
		{"it is not the primary", hostOf(true, func(in *Input) { in.Interface.Primary, in.Interface.Number = false, 3 }), only("addr", "metric"), `
+ route 10.0.0.0/24 dev eth0 scope link src 10.0.0.29 metric 10003
+ route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 10003
- route default via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512
- route 10.0.0.0/24 dev eth0 scope link src 10.0.0.29 metric 512`},
	})
}

// Leaving keeps what the host lives by, and nothing else; what is asked for by name goes too.
func TestWithoutKeepsTheHost(t *testing.T) {
	in := hostOf(true, func(in *Input) {
		in.Have.Addrs = append(in.Have.Addrs, Addr{Prefix: netip.MustParsePrefix("10.0.0.5/32"), NoPrefixRoute: true, Ours: true})
		in.Have.Rules = ruled()
	})
	before := &Baseline{Link: LinkState{MTU: 1500}}
	left := Diff(in.Have.State, Detached(in.Have, before)).String()
	for _, stays := range []string{"10.0.0.29/24", "metric 512", "~ link"} {
		if strings.Contains(left, stays) {
			t.Errorf("%s does not stay:\n%s", stays, left)
		}
	}
	if !strings.Contains(left, "- addr 10.0.0.5/32") || strings.Count(left, "- rule") != 2 {
		t.Errorf("something else stays:\n%s", left)
	}
	bare := Bare(in.Have, before)
	if len(bare.Addrs)+len(bare.Routes)+len(bare.Rules) != 0 || bare.Link.Up || bare.Link.MTU != 1500 || slices.Contains(bare.AltNames, "eth0") {
		t.Errorf("something is left: %+v", bare)
	}
}
