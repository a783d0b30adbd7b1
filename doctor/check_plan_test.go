package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ec2net/plumb"
)

// TestPlanFindings: each operation belongs to one check, by what it is done with, and not by how it is written.
func TestPlanFindings(t *testing.T) {
	rule := func(r plumb.Rule) func(*plumb.State) {
		if !r.From.IsValid() {
			r.From = prefix("0.0.0.0/0")
		}
		return func(s *plumb.State) { s.Rules = append(s.Rules, r) }
	}
	route := func(r plumb.Route) func(*plumb.State) {
		r.Ours = true
		return func(s *plumb.State) { s.Routes = append(s.Routes, r) }
	}
	one, mark := prefix("10.0.2.37/32"), uint32(7<<24)
	table := Interface{Index: 3, Source: FromMetadata}.table()
	for _, tt := range []struct {
		name          string
		iface         string // another name than eth1
		differs       func(*plumb.State)
		missing, left string // findings where that is wanted, and where it is there and not wanted
		about         []netip.Addr
	}{
		{name: "an address", differs: func(s *plumb.State) { s.Addrs = []plumb.Addr{{Prefix: prefix("10.0.2.37/24"), Ours: true}} },
			missing: "fail address eth1", left: "warn leftover eth1", about: []netip.Addr{addr("10.0.2.37")}},
		{name: "a guard", differs: rule(plumb.Rule{Pref: 10001, From: prefix("10.0.2.0/24"), Table: 254, NoGroup: true, MinBits: 8}), missing: "fail guard eth1", left: "warn leftover eth1"},
		{name: "a guard of one address", differs: rule(plumb.Rule{Pref: 10001, From: one, Table: 254, NoGroup: true, MinBits: 8}),
			missing: "fail guard eth1", left: "warn leftover eth1", about: []netip.Addr{one.Addr()}},
		{name: "a source rule", differs: rule(plumb.Rule{Pref: 20001, From: one, Table: 10001}), missing: "fail source-rule eth1", left: "warn leftover eth1", about: []netip.Addr{one.Addr()}},
		{name: "a mark's way in", differs: rule(plumb.Rule{Pref: 10001, Table: 254, MinBits: 8, Mark: mark, Mask: plumb.MarkMask, Iif: "eth1"}), missing: "fail mark-rule eth1", left: "warn leftover eth1"},
		{name: "a mark's guard", differs: rule(plumb.Rule{Pref: 10001, Table: 254, MinBits: 8, Mark: mark, Mask: plumb.MarkMask, NoGroup: true}), missing: "fail mark-rule eth1", left: "warn leftover eth1"},
		{name: "a mark's answers", differs: rule(plumb.Rule{Pref: 19999, Table: 10001, Mark: mark, Mask: plumb.MarkMask}), missing: "fail mark-rule eth1", left: "warn leftover eth1"},
		{name: "an early guard", differs: rule(plumb.Rule{Pref: 5100, From: prefix("10.0.2.0/24"), Table: 254, NoGroup: true, MinBits: 8, Owner: 10001}), missing: "fail guard eth1", left: "warn leftover eth1"},
		{name: "a server's", differs: rule(plumb.Rule{Pref: 30000, To: prefix("169.254.169.254/32"), Table: 10000}), missing: "fail egress-rule eth1", left: "warn leftover eth1"},
		{name: "passed on by main", differs: rule(plumb.Rule{Pref: 30010, From: prefix("10.9.0.0/24"), Iif: "eth0", Table: 254, MinBits: 8, Owner: 10001}), missing: "fail nat-rule eth1", left: "warn leftover eth1"},
		{name: "passed on", differs: rule(plumb.Rule{Pref: 30020, From: prefix("10.9.0.0/24"), Iif: "eth0", Table: 10001}), missing: "fail nat-rule eth1", left: "warn leftover eth1"},
		{name: "not passed on", differs: rule(plumb.Rule{Pref: 30030, From: prefix("10.9.0.0/24"), Iif: "eth0", Refuse: true, Owner: 10001}), missing: "fail nat-rule eth1", left: "warn leftover eth1"},
		{name: "the host's, by main", differs: rule(plumb.Rule{Pref: 30100, Table: 254, MinBits: 8, Owner: 10001}), missing: "fail egress-rule eth1", left: "warn leftover eth1"},
		{name: "the host's", differs: rule(plumb.Rule{Pref: 30200, Table: 10001}), missing: "fail egress-rule eth1", left: "warn leftover eth1"},
		{name: "a route of its table", differs: route(plumb.Route{Table: table, Dst: prefix("0.0.0.0/0")}), missing: "fail table eth1", left: "warn leftover eth1"},
		{name: "a delegated block", differs: route(plumb.Route{Table: 255, Dst: prefix("10.0.3.0/28"), Local: true}), missing: "fail table eth1", left: "warn leftover eth1"},
		{name: "a route of main", differs: route(plumb.Route{Table: 254, Dst: prefix("0.0.0.0/0"), Metric: 10001}), missing: "warn main-route eth1", left: "warn leftover eth1"},
		{name: "the kernel's own", differs: route(plumb.Route{Table: 10001, Dst: prefix("fe80::/64")})},
		{name: "a name", differs: func(s *plumb.State) { s.AltNames = []string{"eni-0a1"} }, missing: "warn altname eth1", left: "warn leftover eth1"},
		{name: "the nftables table", differs: func(s *plumb.State) { s.Packets = []plumb.PacketRule{{Table: 10001, Kind: plumb.ClampMSS, Dev: 3}} },
			missing: "fail packets eth1", left: "fail packets eth1"},
		{name: "src_valid_mark", differs: func(s *plumb.State) { s.Link.SrcValidMark = true }, missing: "fail src-valid-mark eth1", left: "fail src-valid-mark eth1"},
		{name: "forwarding", differs: func(s *plumb.State) { s.Link.Forwarding = true }, missing: "fail forwarding eth1", left: "fail forwarding eth1"},
		{name: "the MTU", differs: func(s *plumb.State) { s.Link.MTU = 9001 }, missing: "fail mtu eth1", left: "fail mtu eth1"},
		{name: "the group", differs: func(s *plumb.State) { s.Link.Group = plumb.Group }, missing: "fail group eth1", left: "fail group eth1"},
		{name: "another interface's group", differs: func(s *plumb.State) { s.Groups[0].Group = plumb.Group }, missing: "fail group eth0", left: "fail group eth0"},
		{name: "the link", differs: func(s *plumb.State) { s.Link.Up = true }},
		{name: "the link of one that is called mtu", iface: "mtu", differs: func(s *plumb.State) { s.Link.Up = true }},
		{name: "the link of one that is called group", iface: "group", differs: func(s *plumb.State) { s.Link.Up = true }},
	} {
		state := func() plumb.State {
			return plumb.State{Name: "eth1", Index: 3, Link: plumb.LinkState{MTU: 1500}, Groups: []plumb.IfGroup{{Name: "eth0", Index: 2}}}
		}
		plain, other := state(), state()
		if tt.iface != "" {
			plain.Name, other.Name = tt.iface, tt.iface
		}
		tt.differs(&other)
		for _, way := range []struct {
			what       string
			have, want plumb.State
			finding    string
		}{{"missing", plain, other, tt.missing}, {"left", other, plain, tt.left}} {
			c := Interface{Name: plain.Name, Index: 3, Source: FromMetadata, Plan: plumb.Diff(way.have, way.want)}
			if len(c.Plan) != 1 {
				t.Fatalf("%s, %s: not one operation:\n%s", tt.name, way.what, c.Plan)
			}
			var got []string
			for _, f := range checkPlan(Facts{}, c) {
				got = append(got, fmt.Sprintf("%s %s %s", f.Verdict, f.ID, f.Interface))
				if fmt.Sprint(f.about) != fmt.Sprint(tt.about) {
					t.Errorf("%s, %s: about %v, want %v", tt.name, way.what, f.about, tt.about)
				}
			}
			if strings.Join(got, ", ") != way.finding {
				t.Errorf("%s, %s: %q, want %q", tt.name, way.what, got, way.finding)
			}
		}
	}
}
