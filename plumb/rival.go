package plumb

import (
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Rival is an IPv4 default route in main that does not lead through the card.
type Rival struct {
	Metric uint32
	Card   bool // another program's, through another of the host's cloud cards
}

// readRivals learns what the card's own default route is beside. It costs a dump of main, and is done only
// where another program gave the card such a route, and there are other cloud cards.
func (l *Link) readRivals(s *Snapshot) error {
	l.rivalry = len(s.siblings) > 0 && slices.ContainsFunc(s.Routes, func(r Route) bool {
		return !r.Ours && r.Table == tableMain && r.isDefault() && r.Dst.Addr().Is4()
	})
	if !l.rivalry {
		return nil
	}
	return l.rt.mainRoutes(unix.AF_INET, s.addRival)
}

// addRival takes routes of every type: an unreachable one has its metric to itself too.
func (s *Snapshot) addRival(h *nl.RtMsg, a attrs) {
	by := outs(a)
	if h.Dst_len != 0 || h.Tos != 0 || len(by) == 1 && by[0] == s.Index {
		return
	}
	sibling := len(by) == 1 && slices.Contains(s.siblings, by[0])
	s.Rivals = append(s.Rivals, Rival{a.u32(unix.RTA_PRIORITY), sibling && h.Protocol != Protocol})
}

// tied: which of the host's cards its own traffic leaves by hangs on whose default route, of this metric,
// came last. What stands before them all, or beside them through no cloud card, as a VPN's, was chosen so.
func (s Snapshot) tied(metric uint32) bool {
	equal := false
	for _, o := range s.Rivals {
		if o.Metric < metric || o.Metric == metric && !o.Card {
			return false
		}
		equal = equal || o.Metric == metric
	}
	return equal
}

// rivals: a notification is about an IPv4 default route of another program's in main.
func rivals(m []byte) bool {
	h := nl.DeserializeRtMsg(m)
	return h.Family == unix.AF_INET && h.Dst_len == 0 && h.Table == tableMain && h.Protocol != Protocol
}
