package plumb

import (
	"fmt"
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
	msg := &nl.RtMsg{}
	msg.Family = unix.AF_INET
	msgs, err := l.rt.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, msg, attr32(unix.RTA_TABLE, tableMain))
	if err != nil {
		return fmt.Errorf("list the default routes: %w", err)
	}
	for _, m := range msgs {
		if r, ok, err := s.parseRival(m); err != nil {
			return err
		} else if ok {
			s.Rivals = append(s.Rivals, r)
		}
	}
	return nil
}

// parseRival takes routes of every type: an unreachable one has its metric to itself too.
func (s *Snapshot) parseRival(m []byte) (r Rival, ok bool, err error) {
	h := nl.DeserializeRtMsg(m)
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	if err != nil || h.Dst_len != 0 || h.Tos != 0 || a.u32or(unix.RTA_TABLE, uint32(h.Table)) != tableMain {
		return r, false, err
	}
	by := outs(a)
	if len(by) == 1 && by[0] == s.Index {
		return r, false, nil
	}
	sibling := len(by) == 1 && slices.Contains(s.siblings, by[0])
	return Rival{a.u32(unix.RTA_PRIORITY), sibling && h.Protocol != Protocol}, true, nil
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
