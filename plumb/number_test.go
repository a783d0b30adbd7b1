package plumb

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/metadata"
)

// Whoever holds a table keeps it: another interface with the same number takes a free one of those that need no
// metadata, the next where that one is held as well. Of two that came to a table at the same moment the lower index
// stays.
func TestNumber(t *testing.T) {
	second := metadata.Interface{MAC: mac("02:00:00:00:00:11"), DeviceNumber: 1}
	route := []Route{{Table: 10001, Dst: netip.MustParsePrefix("10.0.2.0/24"), Ours: true}}
	for _, tt := range []struct {
		name   string
		iface  metadata.Interface
		index  int
		routes []Route
		held   map[int]int
		want   int
	}{
		{"nobody else", second, 5, nil, nil, 1},
		{"others hold others", second, 5, nil, map[int]int{2: 4, 0: 2}, 1},
		{"held", second, 5, nil, map[int]int{1: 4}, 9005},
		{"held by a higher index", second, 5, nil, map[int]int{1: 6}, 9005},
		{"both, and we are first", second, 5, route, map[int]int{1: 6}, 1},
		{"both, and the other is first", second, 5, route, map[int]int{1: 4}, 9005},
		{"held, and the next too", second, 5, nil, map[int]int{1: 4, 9005: 1005, 9006: 6}, 9007},
		{"degraded", metadata.Interface{}, 5, nil, nil, 9005},
		{"degraded, and the index comes round", metadata.Interface{}, 1005, nil, map[int]int{9005: 5}, 9006},
		{"degraded, at the end", metadata.Interface{}, 1999, nil, map[int]int{9999: 999}, 9000},
		{"Azure's hash", metadata.Interface{MAC: second.MAC, Number: 4202}, 5, nil, map[int]int{4202: 4}, 9005},
		{"the primary waits", metadata.Interface{MAC: second.MAC, Primary: true}, 2, nil, map[int]int{0: 4}, 0},
	} {
		s := Snapshot{State: State{Index: tt.index, Routes: tt.routes}, held: tt.held}
		if got := s.Number(tt.iface); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// The interface with the spare number has all of its own, in both families, but for the name by a device number that
// is not its own, and says who holds the table. A primary one writes no rule meanwhile.
func TestWantContested(t *testing.T) {
	in := ours(dual())
	in.Have.held, in.Have.names = map[int]int{in.Interface.N(): 4}, map[int]string{4: "eth9"}
	state, err := Want(in)
	if err == nil || !strings.Contains(err.Error(), "eth9 holds table 10001, which the metadata's numbers give to this interface too: using table 19003") {
		t.Errorf("it says %v", err)
	}
	text := Diff(in.Have.State, state).String()
	for _, with := range []string{"lookup 19003 pref 29003", "+ rule from 2001:db8", "metric 19003", "default via 10.0.2.1 dev eth1 table 19003"} {
		if !strings.Contains(text, with) {
			t.Errorf("%q is missing in\n%s", with, text)
		}
	}
	for _, without := range []string{"10001", "device-number-"} {
		if strings.Contains(text, without) {
			t.Errorf("%q is in\n%s", without, text)
		}
	}
	in.Interface = metadata.Interface{MAC: in.Interface.MAC, Primary: true, Addrs4: addrs("10.0.2.37"), Subnets4: prefixes("10.0.2.0/24")}
	in.Have.OthersManaged, in.Have.held = true, map[int]int{0: 4}
	if state, err := Want(in); len(state.Rules) > 0 || err == nil || !strings.Contains(err.Error(), "eth9 holds table 10000") {
		t.Errorf("the primary: %v %v", state.Rules, err)
	}
}
