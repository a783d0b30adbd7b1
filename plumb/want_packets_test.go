package plumb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
)

// answering has an interface answer by interface, and remembers how it was found.
func answering(c metadata.Interface, before *Baseline) func(Snapshot) (State, error) {
	return func(s Snapshot) (State, error) {
		return Want(Input{Interface: c, Have: s, OwnAddress: true, MainTable: true, Gateway6: netip.MustParseAddr("fe80:ec2::1"), ByInterface: true, Baseline: before})
	}
}

// TestWantReplies: what is wanted of rules, table and setting.
func TestWantReplies(t *testing.T) {
	const both, one = "6 rules, 0x2000000, table, src_valid_mark", "3 rules, 0x2000000, table, src_valid_mark"
	marked := []Rule{{Pref: 10001, From: netip.MustParsePrefix("0.0.0.0/0"), Mark: 7 << 24, Mask: MarkMask, Table: tableMain, NoGroup: true, MinBits: network}}
	for _, tt := range []struct {
		name, want string
		refused    bool
		change     func(*Input)
	}{
		{"both families", both, false, func(*Input) {}},
		{"IPv4", one, false, func(in *Input) {
			in.Interface.Addrs6, in.Interface.Prefixes6 = metadata.None[[]netip.Addr](), metadata.None[[]netip.Prefix]()
		}},
		{"IPv6", one, false, func(in *Input) { in.Interface.Addrs4 = metadata.None[[]netip.Addr]() }},
		{"by source", "", false, func(in *Input) { in.ByInterface = false }},
		{"by source, and the setting is somebody's", "src_valid_mark", false, func(in *Input) { in.ByInterface, in.Have.Link.SrcValidMark = false, true }},
		{"by source again", "", false, func(in *Input) {
			in.ByInterface, in.Have.Link.SrcValidMark, in.Have.Rules, in.Baseline = false, true, marked, &Baseline{}
		}},
		{"by source again, and nobody knows how it was", "", false, func(in *Input) {
			in.ByInterface, in.Have.Link.SrcValidMark, in.Have.Packets = false, true, []PacketRule{{Table: 10001, Kind: ReplyByInterface}}
		}},
		{"by source again, and the setting was somebody's", "src_valid_mark", false, func(in *Input) {
			in.ByInterface, in.Have.Link.SrcValidMark, in.Have.Rules = false, true, marked
			in.Baseline = &Baseline{Link: LinkState{SrcValidMark: true}}
		}},
		{"nothing is known of the addresses", "", true, func(in *Input) {
			in.Interface.Addrs4, in.Interface.Addrs6 = metadata.Answer[[]netip.Addr]{}, metadata.Answer[[]netip.Addr]{}
		}},
		{"the table is another's", "", true, func(in *Input) { in.Have.TakenTables = []uint32{10001} }},
		{"the next interface's table is another's", both, false, func(in *Input) { in.Have.TakenTables = []uint32{10002} }},
		{"the mark is an interface's with a lower number", "6 rules, 0x4000000, table, src_valid_mark", false,
			func(in *Input) { in.Have.Marks = map[uint32]int{0x2000000: 0, 0x3000000: 0} }},
		{"the mark is an interface's with a higher number", both, false, func(in *Input) { in.Have.Marks = map[uint32]int{0x2000000: 128} }},
		{"all marks are taken", "", true, func(in *Input) {
			in.Have.Marks = map[uint32]int{}
			for m := range uint32(256) {
				in.Have.Marks[m<<24] = 0
			}
		}},
	} {
		in := Input{Interface: dual(), OwnAddress: true, MainTable: true, Gateway6: netip.MustParseAddr("fe80:ec2::1"), ByInterface: true,
			Have: Snapshot{State: State{Name: "eth1", Index: 3, Link: LinkState{MTU: 1500}}}}
		tt.change(&in)
		got, err := Want(in)
		if s := repliesOf(got); s != tt.want || (err != nil) != tt.refused {
			t.Errorf("%s: %q, and it said %v; want %q", tt.name, s, err, tt.want)
		}
	}
}

// repliesOf is what of a state is there for replies by interface, in short.
func repliesOf(s State) string {
	var out []string
	rules := slices.DeleteFunc(slices.Clone(s.Rules), func(r Rule) bool { return r.Mask == 0 })
	if len(rules) > 0 {
		out = append(out, fmt.Sprintf("%d rules, %#x", len(rules), rules[0].Mark))
	}
	for _, r := range s.Packets {
		if r == (PacketRule{Table: rules[len(rules)-1].Table, Kind: ReplyByInterface, Dev: s.Index, Mark: rules[0].Mark}) {
			out = append(out, "table")
		}
	}
	if s.Link.SrcValidMark {
		out = append(out, "src_valid_mark")
	}
	return strings.Join(out, ", ")
}

// TestReplyRules: the rules as ip(8) would have them, and lists them.
func TestReplyRules(t *testing.T) {
	host(t)
	l := marking(t)
	settleTo(t, l, answering(eth1(), nil))
	plan := Plan{}
	for _, r := range read(t, l).Rules {
		plan = append(plan, Op{Add, "eth1", r})
	}
	const want = `+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from all fwmark 0x2000000/0x7f000000 iif eth1 lookup main suppress_prefixlength 7 pref 10001
+ rule from all fwmark 0x2000000/0x7f000000 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from all fwmark 0x2000000/0x7f000000 lookup 10001 pref 19999
+ rule from 10.0.2.37 lookup 10001 pref 20001
`
	if d := cmp.Diff(want, plan.String()); d != "" {
		t.Errorf("read back (-want +got)\n%s", d)
	}
	// The same commands make the same rules.
	listed := ip(t, "rule")
	ip(t, "rule flush protocol 236")
	for line := range strings.Lines(want) {
		ip(t, "rule add"+strings.TrimPrefix(strings.TrimSpace(line), "+ rule")+" protocol 236")
	}
	if d := cmp.Diff(listed, ip(t, "rule")); d != "" {
		t.Errorf("by ip(8) (-ours +ip's)\n%s", d)
	}
}

// The primary interface alone has no table, and so nothing to answer by.
func TestWantRepliesOfThePrimary(t *testing.T) {
	for others, want := range map[bool]int{false: 0, true: 6} {
		got, _ := Want(first(func(in *Input) { in.ByInterface, in.Have.OthersManaged = true, others }))
		n := 0
		for _, r := range got.Rules {
			if r.Mask != 0 {
				n++
			}
		}
		if n != want || (len(got.Packets) > 0) != others || got.Link.SrcValidMark != others {
			t.Errorf("others %v: %d rules, table %v, src_valid_mark %v", others, n, got.Packets, got.Link.SrcValidMark)
		}
	}
}

// Interfaces with many device numbers and network cards have marks of their own, and none outside of the mask.
func TestMarksAreApart(t *testing.T) {
	seen := map[uint32]int{}
	for _, n := range []int{0, 1, 2, 14, 31, 101, 102, 131, 201, 1501, 3101, 3131, 8999, 9007, 9999} {
		w := want{number: n, in: Input{Interface: metadata.Interface{MAC: mac("02:00:00:00:00:11"), Number: n}, Have: Snapshot{Marks: seen}}}
		m, ok := w.mark()
		if was, twice := seen[m]; !ok || m == 0 || m&^MarkMask != 0 || (twice && was != w.n()) {
			t.Errorf("interface %d has the mark %#x, as %d", n, m, was)
		}
		seen[m] = w.n()
	}
}

// The requests of systemd-imdsd have the mark 0x7fff0815: no interface answers for them.
func TestMarkOfSystemd(t *testing.T) {
	const systemd = 0x7fff0815
	for n := range maxN + 1 {
		w := want{number: n}
		if m, ok := w.mark(); !ok || systemd&MarkMask == m {
			t.Fatalf("interface %d has the mark %#x", n, m)
		}
	}
}

// Two interfaces whose numbers ask for the same mark, the higher one set up first: each comes to have its own.
func TestMarksMeet(t *testing.T) {
	secondHost(t)
	low, high := eth1(), eth2("10.0.2.60")
	low.DeviceNumber, high.NetworkCard, high.DeviceNumber = 4, 5, 8 // 508 = 4 * 126 + 4
	l1, l2 := open(t, "eth1"), open(t, "eth2")
	settleTo(t, l2, answering(high, nil))
	first := markOf(t, l2)
	settleTo(t, l1, answering(low, nil))
	if got := markOf(t, l1); got != first || got != 5<<markShift {
		t.Errorf("the lower interface has the mark %#x, the higher %#x", got, first)
	}
	settleTo(t, l2, answering(high, nil)) // at its next look
	if got := markOf(t, l2); got != 6<<markShift {
		t.Errorf("the higher interface has the mark %#x", got)
	}
	settleTo(t, l1, answering(low, nil))
	if out := nft(t, "list ruleset\n"); strings.Count(out, "table inet ec2net-") != 2 {
		t.Errorf("tables:\n%s", out)
	}
}

func markOf(t *testing.T, l *Link) uint32 {
	t.Helper()
	var out []uint32
	for _, r := range read(t, l).Packets {
		out = append(out, r.Mark)
	}
	if len(out) != 1 {
		t.Fatalf("marks %v", out)
	}
	return out[0]
}

// What others have that looks like ours stays: a rule with a mark but another protocol, and a mark's rule
// of another interface.
func TestMarksOfOthers(t *testing.T) {
	host(t)
	batch(t, `rule add fwmark 0x2000000/0x7f000000 lookup 10001 pref 19999 protocol 99
rule add fwmark 0x2000000/0x7f000000 lookup 10002 pref 20002 protocol 236
rule add fwmark 0x5000000 lookup 10001 pref 20001 protocol 99
`)
	before := withMarks(t)
	l := marking(t)
	l.scope.Numbers = []int{1}
	was := found(t, l)
	settleTo(t, l, answering(dual(), was))
	have := read(t, l)
	if n, ok := have.Marks[0x2000000]; !ok || n != 2 {
		t.Errorf("marks of others: %v", have.Marks)
	}
	if got := len(slices.DeleteFunc(have.Rules, func(r Rule) bool { return r.Mask == 0 })); got != 6 {
		t.Errorf("%d rules with a mark:\n%s", got, ip(t, "rule"))
	}
	if g := have.Granted(); len(g.Prefixes4.Value)+len(g.Prefixes6.Value) != 0 {
		t.Errorf("a rule with a mark passes for a delegated prefix: %v %v", g.Prefixes4, g.Prefixes6)
	}
	if _, err := l.Leave(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, withMarks(t)); d != "" {
		t.Errorf("(-before +after)\n%s", d)
	}
}
