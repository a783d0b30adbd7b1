package plumb

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// packetFaults are what can happen to a request to nftables. A transaction happens as a whole or not at all.
func packetFaults() (out []fault) {
	for _, e := range []unix.Errno{unix.EPERM, unix.EBUSY, unix.EINTR} {
		out = append(out, fault{errno: e})
	}
	return append(out, fault{errno: unix.ENOMEM, stays: true}, fault{errno: unix.ENOBUFS, lost: true}, fault{kills: true}, fault{kills: true, lost: true})
}

// TestEveryPacketFault makes each request to nftables fail, on the way to a table, to another one and to none.
// It is done all the same, or the error says what failed; and the next process gets there.
func TestEveryPacketFault(t *testing.T) {
	host(t)
	nft(t, "table inet others { chain c { type filter hook input priority 0; counter; }; }\n")
	rules := everyKind(read(t, open(t, "eth1")).Index)
	for _, u := range []struct {
		name     string
		from, to []PacketRule
	}{{"set up", nil, rules}, {"change", rules, rules[1:]}, {"remove", rules, nil}} {
		process := func() *Link {
			l := open(t, "eth1")
			l.scope.Numbers, l.scope.Packets = []int{1}, true
			if _, err := l.nft(); err != nil {
				t.Fatal(err)
			}
			return l
		}
		run := func(rules []PacketRule, at int, f fault) (*spoiler, Plan, error) {
			l := process()
			p := spoil(l.packets, at, f)
			done, err := l.Reconcile(t.Context(), packing(rules...)).both()
			return p, done, err
		}
		if _, _, err := run(u.from, 0, fault{}); err != nil {
			t.Fatal(err)
		}
		p, _, err := run(u.to, 0, fault{})
		if err != nil {
			t.Fatal(err)
		}
		want, reported := nft(t, "list ruleset\n"), 0
		for at := range p.dumps {
			for _, f := range packetFaults() {
				what := fmt.Sprintf("%s, request %d: %s", u.name, at+1, f)
				if _, _, err := run(u.from, 0, fault{}); err != nil {
					t.Fatal(what, err)
				}
				_, _, err := run(u.to, at+1, f)
				_, again, err2 := run(u.to, 0, fault{})
				switch {
				case err2 != nil:
					t.Fatalf("%s: the next process: %v", what, err2)
				case err == nil && len(again) > 0:
					t.Errorf("%s: it said nothing, and left this to do:\n%s", what, again)
				case err != nil && !f.kills && !errors.Is(err, f.errno) && !errors.Is(err, ErrNotConverged):
					t.Errorf("%s: the error does not tell the cause: %v", what, err)
				case err != nil:
					reported++
				}
			}
			if d := cmp.Diff(want, nft(t, "list ruleset\n")); d != "" {
				t.Fatalf("%s, request %d (-want +have)\n%s", u.name, at+1, d)
			}
		}
		t.Logf("%s: %d requests, %d faults each, %d of them reported", u.name, len(p.dumps), len(packetFaults()), reported)
	}
}

// TestKernelWithoutPackets: where the kernel can not do it, that is said, and everything else is set up.
func TestKernelWithoutPackets(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EOPNOTSUPP, unix.ENOENT} {
		host(t)
		l := open(t, "eth1")
		reconcile(t, l, dual())
		plain := withMarks(t)
		s, err := l.nft()
		if err != nil {
			t.Fatal(err)
		}
		real, tries := s.execute, 0
		s.execute = func(answer uint16, list ...*nl.NetlinkRequest) ([][]byte, []error) {
			if len(list) == 1 {
				return real(answer, list...)
			}
			tries++
			return nil, []error{errno}
		}
		for range 3 {
			err := l.Reconcile(t.Context(), answering(dual(), &Baseline{})).Err()
			if !errors.Is(err, ErrNoPackets) || errors.Is(err, ErrNotConverged) || !strings.Contains(err.Error(), "table inet ec2net-10001: the kernel's nftables cannot do this") {
				t.Errorf("it said %v", err)
			}
		}
		if tries != 1 {
			t.Errorf("the kernel was asked %d times", tries)
		}
		if d := cmp.Diff(plain, withMarks(t)); d != "" {
			t.Errorf("beside the rest (-without +with)\n%s", d)
		}
	}
}
