package doctor

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// legacyRule is a struct ipt_entry: with a source of 24 bits, an interface that it comes in by, a match without data, and a
// verdict, which is what the kernel has there, or a jump.
func legacyRule(src, in, match string, verdict int32) []byte {
	e := make([]byte, legacyEntryBytes)
	if src != "" {
		copy(e, addr(src).AsSlice())
		copy(e[8:], []byte{255, 255, 255, 0})
	}
	copy(e[16:], in)
	for i := range in {
		e[48+i] = 255
	}
	if match != "" {
		e = append(e, legacyPart(match, 164)...)
	}
	binary.NativeEndian.PutUint16(e[88:], uint16(len(e)))
	e = append(e, legacyPart("", 8)...)
	binary.NativeEndian.PutUint32(e[len(e)-8:], uint32(verdict))
	binary.NativeEndian.PutUint16(e[90:], uint16(len(e)))
	return e
}

// legacyPart is a match or a target with its name, and with room for what it asks for.
func legacyPart(name string, size int) []byte {
	out := make([]byte, legacyTargetBytes+size)
	binary.NativeEndian.PutUint16(out, uint16(len(out)))
	copy(out[2:], name)
	return out
}

// legacyHead begins a chain.
func legacyHead(name string) []byte {
	e := make([]byte, legacyEntryBytes)
	target := legacyPart("ERROR", 32)
	copy(target[legacyTargetBytes:], name)
	binary.NativeEndian.PutUint16(e[88:], legacyEntryBytes)
	binary.NativeEndian.PutUint16(e[90:], uint16(len(e)+len(target)))
	return append(e, target...)
}

// legacyFilter is a table filter as the kernel tells it, with these rules in FORWARD, the last of which is its policy, and with
// what comes behind them: chains.
func legacyFilter(forward ...[]byte) (info, answer []byte) {
	info, answer = make([]byte, legacyInfoBytes), make([]byte, legacyEntriesFrom)
	put := func(at int, n int) { binary.NativeEndian.PutUint32(info[at:], uint32(n)) }
	for i, e := range forward {
		if i == len(forward)-1 {
			put(56+4*hookForward, len(answer)-legacyEntriesFrom)
		}
		answer = append(answer, e...)
	}
	return info, answer
}

// The entries of a table are told apart by where they are: ip_tables.c, ipt_do_table.
func TestLegacy(t *testing.T) {
	t.Parallel()
	const accept, drop, back = -2, -1, -5
	policy := func(v int32) []byte { return legacyRule("", "", "", v) }
	size := len(policy(0))
	for _, tt := range []struct {
		name    string
		forward [][]byte
		chains  [][]byte
		want    outcome
		docker  bool
	}{
		{"a policy", [][]byte{policy(accept)}, nil, accepts, false},
		{"another", [][]byte{policy(drop)}, nil, drops, false},
		{"the subnet", [][]byte{legacyRule("10.0.3.0", "", "", drop), policy(accept)}, nil, drops, false},
		{"another subnet", [][]byte{legacyRule("10.0.4.0", "", "", drop), policy(accept)}, nil, accepts, false},
		{"the interface", [][]byte{legacyRule("", "eth1", "", drop), policy(accept)}, nil, drops, false},
		{"another interface", [][]byte{legacyRule("", "eth10", "", drop), policy(accept)}, nil, accepts, false},
		{"a match", [][]byte{legacyRule("", "", "set", accept), policy(drop)}, nil, accepts | drops, false},
		{"no target", [][]byte{legacyRule("", "", "", int32(size)), policy(drop)}, nil, drops, false},
		{"a jump", [][]byte{legacyRule("", "", "", int32(2*size+len(legacyHead("")))), policy(accept)}, [][]byte{legacyHead("x"), policy(drop)}, drops, false},
		{"a jump that comes back", [][]byte{legacyRule("", "", "", int32(2*size+len(legacyHead("")))), policy(accept)},
			[][]byte{legacyHead(dockerUser), policy(back), policy(drop)}, accepts, true},
	} {
		info, answer := legacyFilter(tt.forward...)
		for _, e := range append(tt.chains, legacyHead("ERROR")) {
			answer = append(answer, e...)
		}
		c, err := parseLegacy("filter", info, answer)
		p := passage{in: Link{Name: "eth1"}, src: prefix("10.0.3.0/24"), state: ctNew}
		if got := c.fate(p); err != nil || got != tt.want || c.Docker != tt.docker {
			t.Errorf("%s: %b, Docker %v (%v), want %b, %v", tt.name, got, c.Docker, err, tt.want, tt.docker)
		}
		for n := range answer { // a table that ends too early is an error, or has lost whole entries
			_, _ = parseLegacy("filter", info, answer[:n])
		}
	}
}

// Which connections iptables' matches take (struct xt_conntrack_mtinfo3, struct xt_state_info).
func TestLegacyMatch(t *testing.T) {
	t.Parallel()
	conntrack := func(flags, invert, states uint16) []byte {
		b := make([]byte, 164)
		binary.NativeEndian.PutUint16(b[146:], flags)
		binary.NativeEndian.PutUint16(b[148:], invert)
		binary.NativeEndian.PutUint16(b[150:], states)
		return b
	}
	const related = 4
	all, some, none := step{passes: true}, step{passes: true, breaks: true}, step{breaks: true}
	for _, tt := range []struct {
		name, match string
		revision    uint32
		info        []byte
		want        step
	}{
		{"a comment", "comment", 0, nil, all},
		{"NEW", "conntrack", 3, conntrack(1, 0, ctNew), all},
		{"RELATED,ESTABLISHED", "conntrack", 3, conntrack(1, 0, related|ctEstablished), none},
		{"not RELATED,ESTABLISHED", "conntrack", 2, conntrack(1, 1, related|ctEstablished), all},
		{"as a match of state", "conntrack", 3, conntrack(1|1<<13, 0, ctNew), all},
		{"SNAT", "conntrack", 3, conntrack(1, 0, 1<<6), some},
		{"NEW of an address", "conntrack", 3, conntrack(1|1<<2, 0, ctNew), some},
		{"an older revision", "conntrack", 1, conntrack(1, 0, ctNew), some},
		{"too short", "conntrack", 3, make([]byte, 8), some},
		{"state", "state", 0, binary.NativeEndian.AppendUint32(nil, ctNew), all},
		{"another state", "state", 0, binary.NativeEndian.AppendUint32(nil, ctEstablished), none},
		{"anything else", "set", 1, make([]byte, 200), some},
	} {
		e := attrs{unix.NFTA_MATCH_NAME: []byte(tt.match + "\x00"), unix.NFTA_MATCH_REV: binary.BigEndian.AppendUint32(nil, tt.revision), unix.NFTA_MATCH_INFO: tt.info}
		if got := (passage{state: ctNew}).match(e); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
