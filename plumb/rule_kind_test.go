package plumb

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestRuleKinds: the form of a rule tells what it is for, and whose it is.
func TestRuleKinds(t *testing.T) {
	all, host := everywhere(false), netip.MustParsePrefix("10.0.2.37/32")
	server := netip.MustParsePrefix("169.254.169.254/32")
	for _, tt := range []struct {
		rule Rule
		kind RuleKind
		n    int // -1: nobody's
	}{
		{Rule{Pref: 10007, From: host, Table: tableMain, NoGroup: true, MinBits: network}, RuleGuard, 7},
		{Rule{Pref: 10007, From: host, Table: tableMain, NoGroup: true}, RuleGuard, 7}, // an older version's
		{Rule{Pref: 20007, From: host, Table: 10007}, RuleSource, 7},
		{Rule{Pref: 10007, From: all, Table: tableMain, MinBits: network, Mark: 7, Mask: MarkMask, Iif: "eth1"}, RuleMarkIn, 7},
		{Rule{Pref: 10007, From: all, Table: tableMain, MinBits: network, Mark: 7, Mask: MarkMask, NoGroup: true}, RuleMarkGuard, 7},
		{Rule{Pref: prefMark, From: all, Table: 10007, Mark: 7, Mask: MarkMask}, RuleMarkReply, 7},
		{Rule{Pref: 5100, From: host, Table: tableMain, NoGroup: true, MinBits: network, Owner: 10007}, RuleGuard, 7},
		{Rule{Pref: 5100, From: all, Table: tableMain, MinBits: network, Mark: 7, Mask: MarkMask, Iif: "eth1", Owner: 10007}, RuleMarkIn, 7},
		{Rule{Pref: 5101, From: all, Table: 10007, Mark: 7, Mask: MarkMask}, RuleMarkReply, 7},
		{Rule{Pref: 5102, From: host, Table: 10007}, RuleSource, 7},
		{Rule{Pref: prefService, From: all, To: server, Table: 10000}, RuleService, 0},
		{Rule{Pref: prefPass, From: host, Iif: "eth0", Table: tableMain, MinBits: network, Owner: 10007}, RuleNATMain, 7},
		{Rule{Pref: prefLeave, From: host, Iif: "eth0", Table: 10007}, RuleNAT, 7},
		{Rule{Pref: prefStop, From: host, Iif: "eth0", Refuse: true, Owner: 10007}, RuleNATStop, 7},
		{Rule{Pref: prefStay + maxRank, From: all, Table: tableMain, MinBits: network, Owner: 10007}, RuleEgressMain, 7},
		{Rule{Pref: prefEgress + maxRank, From: all, Table: 10007}, RuleEgress, 7},
		{Rule{Pref: prefEgress, From: all, Table: tableMain, MinBits: network, Owner: 10007}, RuleEgressMain, 7},
		{Rule{Pref: prefEgress + maxRank + 1, From: all, Table: 10007}, RuleOther, 7},
		{Rule{Pref: prefService + 5, From: all, Table: 10007}, RuleOther, 7},
		{Rule{Pref: 32000, From: all, Table: 10007}, RuleSource, -1},
	} {
		name := fmt.Sprint(tt.rule.text())
		if got := tt.rule.Kind(); got != tt.kind {
			t.Errorf("%s: kind %d, want %d", name, got, tt.kind)
		}
		if n, ok := tt.rule.n(); ok != (tt.n >= 0) || (ok && n != tt.n) {
			t.Errorf("%s: of number %d (%v), want %d", name, n, ok, tt.n)
		}
	}
}

// TestRulesReadBack: the kernel gives each rule back as it was written, and deletes it as it was read.
func TestRulesReadBack(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	all, from := everywhere(false), netip.MustParsePrefix("10.0.2.37/32")
	for _, r := range []Rule{
		{Pref: 10007, From: from, Table: tableMain, NoGroup: true, MinBits: network},
		{Pref: 10007, From: all, Table: tableMain, MinBits: network, Mark: 7 << markShift, Mask: MarkMask, Iif: "eth1"},
		{Pref: 10007, From: all, Table: tableMain, MinBits: network, Mark: 7 << markShift, Mask: MarkMask, Iif: "eth1", NoGroup: true}, // not of ours
		{Pref: prefMark, From: all, Table: 10007, Mark: 7 << markShift, Mask: MarkMask},
		{Pref: 5100, From: from, Table: tableMain, NoGroup: true, MinBits: network, Owner: 10007},
		{Pref: 5100, From: all, Table: tableMain, MinBits: network, Mark: 7 << markShift, Mask: MarkMask, Iif: "eth1", Owner: 10007},
		{Pref: prefService, From: all, To: netip.MustParsePrefix("169.254.169.254/32"), Table: 10000},
		{Pref: prefPass, From: from, Iif: "eth0", Table: tableMain, MinBits: network, Owner: 10007},
		{Pref: prefStop, From: from, Iif: "eth0", Refuse: true, Owner: 10007},
		{Pref: prefEgress, From: everywhere(true), Table: 10007},
	} {
		if err := l.applyRule(Add, r); err != nil {
			t.Fatalf("%s: %v", r.text(), err)
		}
		got, _, err := l.rt.rules()
		if err != nil || len(got) != 1 || got[0] != r {
			t.Errorf("wrote %+v\nread %+v (%v)", r, got, err)
		}
		if err := l.applyRule(Del, r); err != nil {
			t.Errorf("delete %s: %v", r.text(), err)
		}
		if got, _, err := l.rt.rules(); err != nil || len(got) != 0 {
			t.Fatalf("%s is left: %v (%v)", r.text(), got, err)
		}
	}
}
