package plumb

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// readRivals learns what the interface's default routes are beside, or would be. It costs two dumps of main, which
// the only cloud interface of a host, whose default route is another program's, is spared.
func (l *Link) readRivals(s *Snapshot) error {
	own := slices.ContainsFunc(s.Routes, func(r Route) bool { return !r.Ours && r.Table == tableMain && r.isDefault() })
	if l.rivalry = len(s.siblings)+len(l.scope.Peers) > 0 || !own; !l.rivalry {
		return nil
	}
	some := func(h *nl.RtMsg) bool { return toAll(h) || isNetwork(h) }
	return errors.Join(l.rt.mainSome(unix.AF_INET, some, s.addRival), l.rt.mainDefaults(unix.AF_INET6, s.addRival))
}

// mainDefaults walks over table main's default routes of one family, of every type.
func (s *socket) mainDefaults(family int, each func(h *nl.RtMsg, a attrs)) error {
	return s.mainSome(family, toAll, each)
}

func toAll(h *nl.RtMsg) bool { return h.Dst_len == 0 }

// isNetwork: the route says that a network is on the link of a device.
func isNetwork(h *nl.RtMsg) bool {
	return h.Family == unix.AF_INET && h.Scope == scopeLink && h.Type == unix.RTN_UNICAST
}

// mainSome walks over those of table main's routes of one family of which some is true. Of thousands of others no
// more is read than what stands at the same place in each.
func (s *socket) mainSome(family int, some func(h *nl.RtMsg) bool, each func(h *nl.RtMsg, a attrs)) error {
	msgs, err := s.routes(&unix.RtMsg{Family: uint8(family)}, attr32(unix.RTA_TABLE, tableMain))
	if err != nil {
		return err
	}
	for _, m := range msgs {
		h := nl.DeserializeRtMsg(m)
		if !some(h) || h.Flags&unix.RTM_F_CLONED != 0 {
			continue
		}
		a, err := parseAttrs(m, unix.SizeofRtMsg)
		if err != nil {
			return err
		}
		if a.u32or(unix.RTA_TABLE, uint32(h.Table)) == tableMain {
			each(h, a)
		}
	}
	return nil
}

// addRival takes routes of every type: an unreachable one has its metric to itself too.
func (s *Snapshot) addRival(h *nl.RtMsg, a attrs) {
	by := outs(a)
	if h.Tos != 0 || (len(by) == 1 && by[0] == s.Index) {
		return
	}
	if !toAll(h) {
		s.addNetwork(h, a)
		return
	}
	sibling, ours := len(by) == 1 && slices.Contains(s.siblings, by[0]), h.Protocol == Protocol
	s.Competing = append(s.Competing, CompetingDefault{Metric: a.u32(unix.RTA_PRIORITY), Interface: sibling && !ours, Six: h.Family == unix.AF_INET6, Ours: ours})
}

// addNetwork takes a network that another device is in. What a lease of another interface's says to be on the link, where
// that has no address, is no reason to send nothing there.
func (s *Snapshot) addNetwork(h *nl.RtMsg, a attrs) {
	dst := netip.PrefixFrom(a.addr(unix.RTA_DST), int(h.Dst_len))
	if src := a.addr(unix.RTA_PREFSRC); dst.IsValid() && (h.Protocol != Protocol || dst.Contains(src)) {
		s.Networks = append(s.Networks, dst)
	}
}

// leads: of other programs' default routes the interface's, of this metric, is the one that the host's own traffic
// takes, or one of equals through cloud interfaces. What stands before them all, or beside them through no cloud
// interface, as a VPN's, was chosen so.
func (s Snapshot) leads(six bool, metric uint32) bool {
	return !slices.ContainsFunc(s.Competing, func(o CompetingDefault) bool {
		before := o.Metric < metric || (o.Metric == metric && !o.Interface)
		return o.Six == six && !o.Ours && before
	})
}

// ambiguous reports whether another of the host's interfaces has a default route with the same metric, so that the order of
// insertion decides by which one the host's own traffic leaves.
func (s Snapshot) ambiguous(six bool, metric uint32) bool {
	return slices.Contains(s.Competing, CompetingDefault{Metric: metric, Interface: true, Six: six})
}

// overtakes: a default route of metric t through the interface would come before the host's own one, which another
// program gave that metric or a higher one, as NetworkManager adds 20000 to those whose connectivity it
// doubts. Where the primary's stands in main once more (see ahead), it does not.
func (s Snapshot) overtakes(six bool, t uint32) bool {
	var host, mine best
	for _, o := range s.Competing {
		if o.Six == six && !(o.Ours && o.Metric >= baseTable) {
			host.take(o.Metric)
		}
	}
	for _, r := range s.Routes {
		if !r.Ours && r.Table == tableMain && r.isDefault() && r.Dst.Addr().Is6() == six {
			mine.take(r.Metric)
		}
	}
	leads := mine.known && mine.metric <= host.metric // another program has chosen this interface
	return host.known && host.metric >= t && !leads
}

// rivals: a notification is about a default route in main, of another program's or one that stands before the
// interfaces'.
func rivals(m []byte) bool {
	h := nl.DeserializeRtMsg(m)
	if h.Dst_len != 0 || h.Table != tableMain {
		return false
	}
	if h.Protocol != Protocol {
		return true
	}
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	return err == nil && a.u32(unix.RTA_PRIORITY) < baseTable
}

// best is the lowest metric so far.
type best struct {
	metric uint32
	known  bool
}

func (b *best) take(metric uint32) {
	if !b.known || metric < b.metric {
		*b = best{metric, true}
	}
}

// outs are the interfaces that a route leads to: one, or those of its next hops (struct rtnexthop).
func outs(a attrs) (list []int) {
	if b, ok := a[unix.RTA_OIF]; ok && len(b) >= 4 {
		list = append(list, int(a.u32(unix.RTA_OIF)))
	}
	for b := a[unix.RTA_MULTIPATH]; len(b) >= unix.SizeofRtNexthop; {
		list = append(list, int(binary.NativeEndian.Uint32(b[4:])))
		n := int(binary.NativeEndian.Uint16(b))
		b = b[min(len(b), max(n, unix.SizeofRtNexthop)):]
	}
	return list
}
