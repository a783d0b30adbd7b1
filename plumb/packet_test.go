package plumb

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// nft runs nft(8) in the test's namespace, on its standard input.
func nft(t testing.TB, commands string) string {
	t.Helper()
	c := exec.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(commands)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %v\n%s\n%s", err, commands, out)
	}
	return string(out)
}

// everyKind is a table with everything in it.
func everyKind(dev int) []PacketRule {
	return []PacketRule{
		{Table: 10001, Kind: Masquerade, Dev: dev, From: netip.MustParsePrefix("172.22.5.128/26")},
		{Table: 10001, Kind: Masquerade, Dev: dev, From: netip.MustParsePrefix("2001:db8:5::/64")},
		{Table: 10001, Kind: Masquerade, Dev: dev, From: netip.MustParsePrefix("10.9.9.9/32")},
		{Table: 10001, Kind: ReplyByInterface, Dev: dev, Mark: 0x2000000},
		{Table: 10001, Kind: ClampMSS, Dev: dev},
	}
}

// packing has the interface do rules, and everything else stay.
func packing(rules ...PacketRule) func(Snapshot) (State, error) {
	return func(s Snapshot) (State, error) {
		s.Packets = rules
		return s.State, nil
	}
}

// packed is an interface whose table the kernel has.
func packed(t testing.TB) (*Link, []PacketRule) {
	t.Helper()
	host(t)
	l := open(t, "eth1")
	rules := everyKind(read(t, l).Index)
	if err := l.Reconcile(t.Context(), packing(rules...)).Err(); err != nil {
		t.Fatal(err)
	}
	return l, rules
}

// TestPacketText: the plan's text is what nft understands, and means the same as what the kernel gets.
func TestPacketText(t *testing.T) {
	l, rules := packed(t)
	ours := comments.ReplaceAllString(nft(t, "list ruleset\n"), "")
	text := packetTables(rules)[0].text("eth1")
	if strings.Contains(text, "\n") {
		t.Errorf("the text has several lines:\n%s", text)
	}
	nft(t, "delete table inet ec2net-10001\n"+text+"\n")
	if d := cmp.Diff(ours, nft(t, "list ruleset\n")); d != "" {
		t.Errorf("written by ec2net (-) and by nft from the plan's text (+):\n%s", d)
	}
	if have := read(t, l); !slices.Contains(have.Packets, PacketRule{Table: 10001, Kind: altered}) {
		t.Errorf("a table without our comments passes for ours: %v", have.Packets)
	}
}

var comments = regexp.MustCompile(` comment "protocol-236 [^"]*"`)

// TestPacketComment: an element comes back from its comment, and nothing else does.
func TestPacketComment(t *testing.T) {
	longest := PacketRule{Table: 10001, Kind: Masquerade, Dev: 1<<31 - 1, From: netip.MustParsePrefix("2001:db8:1111:2222:3333:4444:5555:6666/127")}
	was := PacketRule{Table: 10001, Kind: ReplyByInterface, Dev: 1<<31 - 1, Mark: MarkMask, Was: true}
	for _, r := range append(everyKind(7), longest, was) {
		if got := parsePacketComment(10001, r.comment()); got != r {
			t.Errorf("%q is read as %+v", r.comment(), got)
		}
		if n := len(r.comment()); n > 127 {
			t.Errorf("%q has %d bytes, nft shows 127", r.comment(), n)
		}
	}
	for _, s := range []string{"", "protocol-236", "protocol-236 clamp-mss dev", "protocol-236 clamp-mss dev 7 and more", "protocol-236 clamp-mss dev +7",
		"protocol-236 clamp-mss dev 7 src_valid_mark was 1", "protocol-236 reply-by-interface dev 7 mark 0x2000000/0x7f000000 src_valid_mark was 0",
		"protocol-236 clamp-mss dev 99999999999999999999", "protocol-236 reply-by-interface dev 7 mark 0x2000000/0xff000000",
		"protocol-236 masquerade dev 7 from nowhere", "protocol-236 masquerade dev 7 from 10.0.0.0/99", "protocol-236 dance dev 7", "clamp-mss dev 7"} {
		if got := parsePacketComment(10001, s); got != (PacketRule{Table: 10001, Kind: altered}) {
			t.Errorf("%q is read as %+v", s, got)
		}
	}
}

// TestUserData: what another program wrote into a rule's user data is read without harm.
func TestUserData(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{"", ""}, {"\x00", ""}, {"\x00\x05ab", ""}, {"\x00\xff", ""}, {"\x00\x00", ""}, {"\x01\x01x", ""},
		{"\x00\x03ab\x00", "ab"}, {"\x01\x02xy\x00\x02a\x00", "a"}, {"\x00\x02ab", "ab"},
	} {
		if got := comment([]byte(tt.data)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.data, got, tt.want)
		}
	}
}

// TestPacketsRepaired: whatever somebody does to the table is seen, and undone.
func TestPacketsRepaired(t *testing.T) {
	l, rules := packed(t)
	for _, command := range []string{
		"delete table inet ec2net-10001",
		"flush ruleset",
		"flush table inet ec2net-10001",
		"flush chain inet ec2net-10001 output",
		"delete chain inet ec2net-10001 output",
		"add chain inet ec2net-10001 mine",
		"add set inet ec2net-10001 mine { type ipv4_addr; }",
		"add counter inet ec2net-10001 mine",
		"add table inet ec2net-10001 { flags dormant; }",
		"add chain inet ec2net-10001 forward { policy drop; }",
		"add rule inet ec2net-10001 forward drop",
		"insert rule inet ec2net-10001 prerouting counter",
		`add rule inet ec2net-10001 forward drop comment "protocol-236 clamp-mss dev 5"`,
		`add rule inet ec2net-10001 protocol-236 drop`,
		"flush chain inet ec2net-10001 postrouting\n" +
			`add rule inet ec2net-10001 postrouting oif eth1 ip saddr 172.22.5.128/26 masquerade random comment "` + rules[0].comment() + `"`,
		"flush chain inet ec2net-10001 output\n" +
			`add rule inet ec2net-10001 output ct mark & 0x7f000000 == 0x3000000 meta mark set meta mark & 0x80ffffff | 0x2000000 comment "` + rules[3].comment() + `"`,
		"flush chain inet ec2net-10001 output\n" +
			`add rule inet ec2net-10001 output ct mark & 0x7f000000 == 0x2000000 counter meta mark set meta mark & 0x80ffffff | 0x2000000 comment "` + rules[3].comment() + `"`,
		"delete chain inet ec2net-10001 output\nadd chain inet ec2net-10001 output { type route hook output priority 7; }\n" +
			`add rule inet ec2net-10001 output ct mark & 0x7f000000 == 0x2000000 meta mark set meta mark & 0x80ffffff | 0x2000000 comment "` + rules[3].comment() + `"`,
	} {
		command = strings.ReplaceAll(command, "delete chain inet ec2net-10001 output", "flush chain inet ec2net-10001 output\ndelete chain inet ec2net-10001 output")
		before := nft(t, "list ruleset\n")
		nft(t, command+"\n")
		done, err := l.Reconcile(t.Context(), packing(rules...)).both()
		if err != nil || len(done) != 1 || !strings.Contains(done.String(), " table inet ec2net-10001 {") {
			t.Errorf("after %s: %v\n%s", command, err, done)
		}
		if d := cmp.Diff(before, nft(t, "list ruleset\n")); d != "" {
			t.Errorf("after %s (-before +after):\n%s", command, d)
		}
	}
	if d := cmp.Diff(rules, read(t, l).Packets, unordered); d != "" {
		t.Errorf("read back (-want +got):\n%s", d)
	}
}

// TestPacketsAtOnce: a table is replaced in one generation of the ruleset, so that no packet meets half
// of it, and one that is right is not written again.
func TestPacketsAtOnce(t *testing.T) {
	l, rules := packed(t)
	before := generation(t, l)
	if err := l.Reconcile(t.Context(), packing(rules...)).Err(); err != nil {
		t.Fatal(err)
	}
	if n := generation(t, l) - before; n != 0 {
		t.Errorf("%d transactions for a table that is right", n)
	}
	if err := l.Reconcile(t.Context(), packing(rules[1:]...)).Err(); err != nil {
		t.Fatal(err)
	}
	if n := generation(t, l) - before; n != 1 {
		t.Errorf("%d transactions for a change, want 1", n)
	}
}

func generation(t testing.TB, l *Link) uint32 {
	t.Helper()
	s, err := l.nft()
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := s.request(nftType(unix.NFT_MSG_GETGEN), 0, &nl.Nfgenmsg{}).Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil || len(msgs) != 1 {
		t.Fatal(msgs, err)
	}
	a, err := parseAttrs(msgs[0], nl.SizeofNfgenmsg)
	if err != nil || len(a[unix.NFTA_GEN_ID]) != 4 {
		t.Fatal(a, err)
	}
	return binary.BigEndian.Uint32(a[unix.NFTA_GEN_ID])
}

// TestPacketsOfAnother: a table of our name that is not ours stays, whatever is wanted.
func TestPacketsOfAnother(t *testing.T) {
	host(t)
	nft(t, "table inet ec2net-10001 { chain prerouting { type filter hook prerouting priority -90; counter; }; }\n"+
		"table ip ec2net-10001 { }\ntable inet ec2net-10001x { }\ntable inet ec2net-010001 { }\n")
	before := nft(t, "list ruleset\n")
	l := open(t, "eth1")
	rules := everyKind(read(t, l).Index)
	err := l.Reconcile(t.Context(), packing(rules...)).Err()
	if !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "table inet ec2net-10001 {") {
		t.Errorf("written over: %v", err)
	}
	have := read(t, l)
	if !slices.Equal(have.TakenTables, []uint32{10001}) || len(have.Packets) != 0 {
		t.Errorf("read as %v, taken %v", have.Packets, have.TakenTables)
	}
	w := want{number: eth1().N(), in: Input{Interface: eth1(), Have: have}}
	if w.packet(rules[0]) || !errors.Is(errors.Join(w.errs...), ErrTaken) {
		t.Errorf("wanted all the same: %v", w.errs)
	}
	if _, err := l.Leave(t.Context(), nil); err != nil {
		t.Errorf("leave: %v", err)
	}
	if _, err := Orphans(nil); err != nil {
		t.Errorf("orphans: %v", err)
	}
	if d := cmp.Diff(before, nft(t, "list ruleset\n")); d != "" {
		t.Errorf("another's table (-before +after):\n%s", d)
	}
}

// TestPacketsLeave: the table goes with the interface, however the interface went.
func TestPacketsLeave(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(*Link) error
	}{
		{"leave", func(*Link) error { return nil }},
		{"the interface is gone", func(*Link) error { _, err := run("ip", "link del eth1"); return err }},
		{"the interface is gone, and the record", func(*Link) error {
			if _, err := run("ip", "link del eth1"); err != nil {
				return err
			}
			if done, err := Orphans([]int{1}); err != nil || len(done) != 0 {
				return errors.New("took the table of an interface that has a record: " + done.String())
			}
			_, err := Orphans(nil)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, _ := packed(t)
			nft(t, "table inet others { chain c { type filter hook input priority 0; counter; }; }\n")
			if err := tt.leave(l); err != nil {
				t.Fatal(err)
			}
			next := open(t, "eth1")
			next.scope.Numbers, next.scope.Packets = []int{1}, true
			if _, err := next.Leave(t.Context(), nil); err != nil && !errors.Is(err, ErrGone) {
				t.Fatal(err)
			}
			if out := nft(t, "list ruleset\n"); strings.Contains(out, "ec2net") || !strings.Contains(out, "table inet others") {
				t.Errorf("left:\n%s", out)
			}
		})
	}
}

// TestPacketsOfOtherInterfaces: an interface's table is its own; and an interface that needs none does not ask nftables.
func TestPacketsOfOtherInterfaces(t *testing.T) {
	_, _ = packed(t)
	before := nft(t, "list ruleset\n")
	other := open(t, "eth0")
	other.scope.Packets, other.scope.Numbers = true, []int{0}
	if have := read(t, other); len(have.Packets) != 0 || len(have.TakenTables) != 0 {
		t.Errorf("eth0 has %v, taken %v", have.Packets, have.TakenTables)
	}
	if _, err := other.Leave(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, nft(t, "list ruleset\n")); d != "" {
		t.Errorf("eth1's table, after eth0 left (-before +after):\n%s", d)
	}
	plain := open(t, "eth0")
	reconcile(t, plain, eth1())
	if plain.packets != nil {
		t.Error("an interface without a table asked nftables")
	}
}
