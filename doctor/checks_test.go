package doctor

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/plumb"
)

// sick is one fault, and what the check for it has to say: "verdict id interface: words of its summary, evidence and remedy",
// or nothing.
type sick struct {
	name   string
	change func(*Facts)
	says   []string
}

// one changes eth1.
func one(change func(*Interface)) func(*Facts) {
	return func(f *Facts) { change(&f.Interfaces[1]) }
}

// routed is the host with rules and a table for eth1, as README has them, and with what the kernel then says of packets.
func routed(change func(*Facts)) func(*Facts) {
	return func(f *Facts) {
		c := &f.Interfaces[1]
		table := c.table()
		source := to(20001, table)
		source.From, source.Protocol = prefix("10.0.2.37/32"), plumb.Protocol
		guard := to(10001, tableMain)
		guard.From, guard.Protocol, guard.NoShorter, guard.NoGroup = prefix("10.0.2.0/24"), plumb.Protocol, 7, plumb.Group
		f.FIB.Rules = []Rule{to(0, tableLocal), guard, source, to(32766, tableMain)}
		own := via(table, "0.0.0.0/0", "10.0.2.1", 3)
		own.Protocol = plumb.Protocol
		f.FIB.Routes = append(f.FIB.Routes, own)
		for i := range f.FIB.Links[1:] {
			f.FIB.Links[i+1].Group = plumb.Group
		}
		c.Want.Rules = []plumb.Rule{
			{Pref: 10001, From: guard.From, Table: tableMain, NoGroup: true, MinBits: 8}, {Pref: 20001, From: source.From, Table: table},
		}
		if change != nil {
			change(f)
		}
		routedProbes(f)
	}
}

// kernel answers as the kernel would by the rules and routes, the reverse path check included.
func (f FIB) kernel(p Packet) (Answer, error) {
	path := f.way(p)
	if p.In != 0 && checkSource(f, p, 0).Drops {
		return Answer{Errno: unix.EXDEV}, nil
	}
	a := Answer{End: path.End, Table: path.Table}
	if len(path.Hops) > 0 {
		a.Device, a.Via = path.Hops[0].Index, path.Hops[0].Via
	}
	return a, nil
}

// rule adds one before the last.
func (f *Facts) rule(r Rule) {
	last := len(f.FIB.Rules) - 1
	f.FIB.Rules = append(f.FIB.Rules[:last:last], r, f.FIB.Rules[last])
	for i := last; i > 0 && f.FIB.Rules[i-1].Pref > r.Pref; i-- {
		f.FIB.Rules[i-1], f.FIB.Rules[i] = f.FIB.Rules[i], f.FIB.Rules[i-1]
	}
}

func from(pref, table uint32, src string) Rule {
	r := to(pref, table)
	r.From = prefix(src)
	return r
}

// groupPlan is a plan of one operation.
func groupPlan(index int, name string) plumb.Plan {
	have := plumb.State{Name: name, Index: index}
	want := have
	want.Link.Group = plumb.Group
	return plumb.Diff(have, want)
}

// routedProbes asks what becomes of each interface's conversations.
func routedProbes(f *Facts) {
	for i := range f.Interfaces {
		f.Interfaces[i].Probes, _ = ProbeInterface(f.Interfaces[i], f.Interfaces, f.FIB.kernel)
	}
}

// Each check, by itself: nothing of a healthy host, its fault of a sick one, and no all-clear where its facts are missing.
func TestChecks(t *testing.T) {
	t.Parallel()
	rows := map[string][]sick{}
	for _, some := range []map[string][]sick{hostRows(), linkRows(), ruleRows(), lifeRows()} {
		maps.Copy(rows, some)
	}
	for _, c := range checks() {
		for _, f := range c.run(well()) {
			if f.Verdict != OK || f.ID != c.id || f.Summary != "" {
				t.Errorf("%s of a healthy host: %+v", c.id, f)
			}
		}
		gap := well()
		gap.Gaps[c.id] = "not yours to know"
		if got := c.run(gap); len(got) != 1 || got[0].Verdict != Unknown || got[0].ID != c.id || got[0].Summary != "not yours to know" {
			t.Errorf("%s without its facts: %+v", c.id, got)
		}
		empty := Facts{Interfaces: []Interface{{Managed: true}}}
		for _, f := range c.run(empty) {
			if f.Verdict > OK && c.id != "kernel" && c.id != "link" {
				t.Errorf("%s where nothing is known: %+v", c.id, f)
			}
		}
		if len(rows[c.id]) == 0 {
			t.Errorf("%s has no row of its own", c.id)
		}
		for _, tt := range rows[c.id] {
			f := well()
			tt.change(&f)
			var got []Finding
			for _, found := range c.run(f) {
				if found.Summary != "" {
					got = append(got, found)
				}
			}
			if len(got) != len(tt.says) {
				t.Errorf("%s, %s: %d findings, want %d: %+v", c.id, tt.name, len(got), len(tt.says), got)
				continue
			}
			for i, says := range tt.says {
				if missing := unsaid(got[i], says); missing != "" {
					t.Errorf("%s, %s: not %q in %s", c.id, tt.name, missing, spoken(got[i]))
				}
			}
		}
	}
}

// spoken is all that a finding says.
func spoken(f Finding) string {
	return fmt.Sprintf("%s %s %s: %s; %s; %s", f.Verdict, f.ID, f.Interface, f.Summary, strings.Join(f.Evidence, "; "), f.Remedy)
}

// unsaid is the first part, of those that semicolons part, that a finding does not say.
func unsaid(f Finding, says string) string {
	head, words, _ := strings.Cut(says, ": ")
	if want := fmt.Sprintf("%s %s %s", f.Verdict, f.ID, f.Interface); head != want {
		return head
	}
	for part := range strings.SplitSeq(words, "; ") {
		if !strings.Contains(spoken(f), part) {
			return part
		}
	}
	return ""
}
