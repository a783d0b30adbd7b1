package plumb

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"unicode"
)

// planOfBytes is a plan with objects that no caller would make.
func planOfBytes(name string, b []byte) Plan {
	at := func(i int) byte { return append(b, make([]byte, 64)...)[i] }
	address := func(i int) netip.Addr {
		var raw [16]byte
		copy(raw[:], append(b, make([]byte, 64)...)[i:])
		if at(0)&1 == 0 {
			return netip.AddrFrom4([4]byte(raw[:4]))
		}
		return netip.AddrFrom16(raw)
	}
	a := address(1)
	p := netip.PrefixFrom(a, int(at(17))%(a.BitLen()+1))
	var have, want State
	want = State{Name: name, Index: 3, Link: LinkState{Up: true, MTU: int(at(18)), Group: uint32(at(19))}, AltNames: []string{name}}
	want.Groups = []IfGroup{{name, 2, Group}}
	have.Name, have.Index, have.Groups = name, 3, []IfGroup{{name, 2, 0}}
	want.Addrs = []Addr{{Prefix: p, Ours: true, NoPrefixRoute: true}}
	want.Routes = []Route{{Table: Table(int(at(20))), Dst: p.Masked(), Via: address(4), Src: address(8), Metric: uint32(at(21)), MTU: uint32(at(22)), OnLink: at(23) > 99, Ours: true}}
	want.Rules = []Rule{{Pref: 10000 + uint32(at(24)), From: p.Masked(), Table: 254, NoGroup: true, MinBits: network}, {Pref: 20000 + uint32(at(24)), From: p.Masked(), Table: 10000}}
	return append(Diff(have, want), Diff(want, have)...)
}

// FuzzPlan: each operation is a line for a terminal, whatever the interface is called, and JSON.
func FuzzPlan(f *testing.F) {
	f.Add("eth1", []byte("\x00\x0a\x00\x02\x25"))
	f.Add("\x1b[2J\nfake line", []byte("\x01 \x01\r\xb8"))
	f.Add("eth1\u202e", []byte{})
	f.Add("\xff\xfe", []byte{1: 0xff, 63: 1})
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		plan := planOfBytes(name, b)
		if n := strings.Count(plan.String(), "\n"); n != len(plan) {
			t.Errorf("%d operations in %d lines:\n%s", len(plan), n, plan)
		}
		for _, o := range plan {
			if s := o.String(); strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || !strings.ContainsAny(s[:1], "+-~") {
				t.Errorf("not fit for a terminal: %q", s)
			}
			if out, err := json.Marshal(o); err != nil || !json.Valid(out) {
				t.Errorf("%s: %s %v", o, out, err)
			}
		}
	})
}

// TestPlanIsForIP: ip(8) understands every operation, word by word: it refuses none as garbage.
func TestPlanIsForIP(t *testing.T) {
	host(t)
	for _, b := range []string{"\x00\x0a\x00\x02\x25\x0a\x00\x02\x01", "\x01\x20\x01\x0d\xb8", "\x00\xc0\x00\x02\x00\xc0\x00\x02\x01\x0a\x00\x02\x05\x00\x00\x00\x00\x20\xff\x07\x01\x02\x03\xff"} {
		for _, o := range planOfBytes("eth1", []byte(b)) {
			args := strings.Fields(o.text())
			verb := map[Verb]string{Add: "add", Del: "del", Set: "set"}[o.Verb]
			args = append([]string{args[0], verb}, args[1:]...)
			switch {
			case args[0] == "altname":
				args = append([]string{"link", "property", verb}, args[3], args[4], args[0], args[2]) // ip(8) has the interface first
			case args[0] == "link":
				args[1] = "set"
			}
			out, err := exec.Command("ip", args...).CombinedOutput()
			if text := string(out); (err != nil && !strings.HasPrefix(text, "RTNETLINK answers") && !strings.HasPrefix(text, "Error: ")) || strings.Contains(text, "garbage") {
				t.Errorf("ip %s: %s", strings.Join(args, " "), out)
			}
		}
	}
}
