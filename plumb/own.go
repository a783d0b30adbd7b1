package plumb

import (
	"slices"

	"golang.org/x/sys/unix"
)

// own are the numbers whose rules belong to the card: those that its routes tell, and of those that it was
// known by before, or that a card of its name was, the ones that no other card has come to hold. A card
// that is set up has routes as long as it has rules.
func (l *Link) own(s Snapshot) (map[int]bool, error) {
	routed, mine := s.routed(), map[int]bool{}
	for _, n := range append(slices.Clone(routed), l.Numbers...) {
		mine[n] = true
	}
	if len(mine) == len(routed) {
		return mine, nil
	}
	return mine, l.rt.marked(func(table uint32, a attrs) {
		n := int(table) - baseTable
		if int(a.u32(unix.RTA_OIF)) != s.Index && !slices.Contains(routed, n) {
			delete(mine, n)
		}
	})
}
