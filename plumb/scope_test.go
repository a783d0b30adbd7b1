package plumb

import (
	"slices"
	"testing"

	"ec2net/metadata"
)

// TestCover: the last scope counts, but nothing that was the interface's is lost sight of.
func TestCover(t *testing.T) {
	l := &Link{}
	given := make([]int, 1, 8)
	given[0] = 3
	peer := []metadata.MAC{{2, 0, 0, 0, 0, 1}}
	l.Cover(Scope{Numbers: given, Packets: true, Peers: peer, Forwarding: true, Others: true})
	l.adopt(State{Rules: []Rule{sourceRule(4, everywhere(false))}})
	if len(given) != 1 || given[:2][1] != 0 {
		t.Errorf("the caller's list was written to: %v", given[:2])
	}
	if s := l.scope; !slices.Equal(s.Numbers, []int{3, 4}) || !s.Packets || !s.Forwarding || !s.Others || !slices.Equal(s.Peers, peer) {
		t.Errorf("covers %+v", s)
	}
	l.Cover(Scope{Numbers: []int{5, 3}})
	if s := l.scope; !slices.Equal(s.Numbers, []int{3, 4, 5}) || !s.Packets || s.Forwarding || s.Others || s.Peers != nil {
		t.Errorf("covers %+v after another scope", s)
	}
}
