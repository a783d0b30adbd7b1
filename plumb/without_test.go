package plumb

import (
	"net/netip"
	"strings"
	"testing"
)

// The record of how the interface was found is lost, while it answers by interface: the interface's own table says how
// src_valid_mark was, also to a process that begins anew and takes the interface for as it is; and when the interface
// goes, nothing is left of it to be set.
func TestLeaveWithoutRecord(t *testing.T) {
	for _, was := range []string{"0", "1"} {
		for _, again := range []bool{false, true} {
			host(t)
			sysctl(t, "ipv4/conf/eth1/src_valid_mark", was)
			l := open(t, "eth1")
			settleTo(t, l, answering(dual(), BaselineOf(read(t, l))))
			var before *Baseline
			l = open(t, "eth1")
			if again {
				before = BaselineOf(read(t, l))
				settleTo(t, l, answering(dual(), before))
			}
			if _, err := l.Leave(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			if got := withMarks(t); !strings.Contains(strings.Join(got, "\n"), "src_valid_mark "+was) {
				t.Errorf("it was %s, again %v: left\n%s", was, again, strings.Join(got, "\n"))
			}
			if out := ip(t, "-o link show eth1"); strings.Contains(out, "group 236") {
				t.Errorf("again %v: eth1 is still in our group:\n%s", again, out)
			}
			settleTo(t, l, answering(dual(), BaselineOf(read(t, l))))
			ip(t, "link del eth1")
			if done, err := l.Leave(t.Context(), nil); err != nil || strings.Contains(done.String(), "sysctl") {
				t.Errorf("it was %s, and the interface went: %v\n%s", was, err, done)
			}
		}
	}
}

// The same of forwarding, by the rules of what is passed on: it goes on where all interfaces forward.
func TestLeaveForwardingWithoutRecord(t *testing.T) {
	for _, all := range []string{"0", "1"} {
		secondHost(t)
		l := open(t, "eth1")
		settleTo(t, l, func(s Snapshot) (State, error) {
			return Want(Input{Interface: eth1(), Have: s, OwnAddress: true, NAT: []NAT{{netip.MustParsePrefix("10.0.3.0/24"), "eth2"}}})
		})
		sysctl(t, "ipv4/ip_forward", all)
		sysctl(t, "ipv4/conf/eth1/forwarding", "1")
		l = open(t, "eth1")
		before := BaselineOf(read(t, l))
		l.scope.Forwarding = before.Forwarding != nil
		if _, err := l.Leave(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if got := forwards(t, "eth1"); got != all {
			t.Errorf("ip_forward %s: left with forwarding %s", all, got)
		}
	}
}

// TestYieldedMarks: whoever takes the interface over gets src_valid_mark as it was before marks needed it.
func TestYieldedMarks(t *testing.T) {
	ours := []PacketRule{{Table: 10001, Kind: ReplyByInterface, Mark: 2 << 24}}
	kept := []PacketRule{{Table: 10001, Kind: ReplyByInterface, Mark: 2 << 24, Was: true}}
	on := &Baseline{Link: LinkState{SrcValidMark: true}}
	for _, tt := range []struct {
		name   string
		have   []PacketRule
		before *Baseline
		want   bool
	}{
		{"it was off", ours, &Baseline{}, false}, {"it was on", kept, on, true}, {"nobody knows", ours, nil, false},
		{"only the table knows", kept, nil, true}, {"no marks, and it is somebody's", nil, &Baseline{}, true},
	} {
		have := with(func(s *Snapshot) { s.Link = LinkState{Up: true, MTU: 9001, Group: Group, SrcValidMark: true} })
		have.Packets = tt.have
		got := Released(have, tt.before).Link
		if want := (LinkState{Up: true, MTU: 9001, SrcValidMark: tt.want}); got != want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, want)
		}
	}
}

// TestNote: what an operator sets before marks are needed is how it was; what marks need is not.
func TestNote(t *testing.T) {
	s := with(func(s *Snapshot) { s.Link.SrcValidMark = true })
	b := &Baseline{}
	if b.Note(s); !b.Link.SrcValidMark {
		t.Error("the operator's setting is not noted")
	}
	s.Packets, b = []PacketRule{{Table: 10001, Kind: ReplyByInterface}}, &Baseline{}
	if b.Note(s); b.Link.SrcValidMark {
		t.Error("our own setting is noted as the operator's")
	}
}
