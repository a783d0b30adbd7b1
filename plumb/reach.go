package plumb

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Reach is whom this host reaches at one moment, and how: the way of each established TCP connection
// and of some servers, and the best default routes of the table main.
type Reach struct {
	ways     map[Flow]Way
	defaults [2]Way // IPv4, IPv6; without Index: there is none
	holders  map[netip.Addr][]int
}

// mostFlows bounds what a look costs: at most 1000 pairs of addresses, each by one of its connections.
const mostFlows = 1000

// Reach looks at the connections that there are now, and at the way to the servers, which counts in
// place of the connections with them.
func (l *Link) Reach(servers ...netip.AddrPort) (Reach, error) {
	flows, err := Flows()
	if err != nil {
		return Reach{}, err
	}
	r := Reach{ways: map[Flow]Way{}}
	for _, s := range servers {
		r.ways[Flow{Remote: s}] = Way{}
	}
	seen := map[Flow]bool{}
	for _, f := range flows {
		pair := f
		pair.Local, pair.Remote = netip.AddrPortFrom(f.Local.Addr(), 0), netip.AddrPortFrom(f.Remote.Addr(), 0)
		server := slices.ContainsFunc(servers, func(s netip.AddrPort) bool { return s.Addr() == f.Remote.Addr() })
		if !server && !seen[pair] && len(seen) < mostFlows {
			seen[pair], r.ways[f] = true, Way{}
		}
	}
	return l.Again(r)
}

// Again takes a second look at what r looked at.
func (l *Link) Again(r Reach) (Reach, error) {
	now := Reach{ways: make(map[Flow]Way, len(r.ways))}
	var err error
	for f := range r.ways {
		if now.ways[f], err = l.way(f); err != nil {
			return now, err
		}
	}
	for i, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if now.defaults[i], err = l.rt.bestDefault(family); err != nil {
			return now, err
		}
	}
	now.holders, err = l.rt.holders()
	return now, err
}

// bestDefault is table main's default route with the lowest metric; of several the first.
func (s *socket) bestDefault(family int) (best Way, err error) {
	lowest := uint32(0)
	err = s.mainRoutes(family, func(h *nl.RtMsg, a attrs) {
		w, metric := wayOf(h, a), a.u32(unix.RTA_PRIORITY)
		usable := h.Dst_len == 0 && h.Type == unix.RTN_UNICAST && w.Index != 0
		if usable && (best.Index == 0 || metric < lowest) {
			best, lowest = w, metric
		}
	})
	return best, err
}

// holders are the devices that each of the host's addresses is on.
func (s *socket) holders() (map[netip.Addr][]int, error) {
	addrs, err := s.everyAddr()
	out := map[netip.Addr][]int{}
	for _, a := range addrs {
		out[a.Addr()] = append(out[a.Addr()], a.index)
	}
	return out, err
}

// Loss is a way that a change took away.
type Loss struct {
	Flow    Flow // of a default route: the zero value
	Was, Is Way
	Holders []int // the devices that have the flow's local address
}

// LossKind is what a Loss is of.
type LossKind uint8

// The kinds.
const (
	LossDefault    LossKind = iota // table main's default route
	LossServer                     // the way to one of the servers that Reach was given
	LossConnection                 // the way of a connection of this host
)

// Kind is what the loss is of.
func (l Loss) Kind() LossKind {
	switch {
	case l.Flow == Flow{}:
		return LossDefault
	case !l.Flow.Local.IsValid():
		return LossServer
	}
	return LossConnection
}

// Lost compares r with a look after a change of one interface. What counts as lost, if it was right before:
// a connection that leaves by another interface or next hop, or whose packets are dropped on their way in;
// the way to a server; main's best default route, when the interface has taken its place and is not the
// primary.
//
// Nothing is lost where a connection comes to leave by the interface that has its address, where its
// address has gone, and, on an interface that is not the primary, of the interface's own connections, unless the change
// takes the address at their other end (Taken).
func (r Reach) Lost(now Reach, iface int, primary bool) (out []Loss) {
	for f, was := range r.ways {
		l := Loss{Flow: f, Was: was, Is: now.ways[f], Holders: now.holders[f.Local.Addr()]}
		own := slices.Contains(r.holders[f.Local.Addr()], iface) && !primary
		if (!own || l.Taken()) && l.cut() {
			out = append(out, l)
		}
	}
	for i, was := range r.defaults {
		is := now.defaults[i]
		taken := is.Index == 0 || (is.Index == iface && !primary) // the primary's place is there
		if was != is && was.Index != 0 && was.Index != iface && taken {
			out = append(out, Loss{Was: was, Is: is})
		}
	}
	slices.SortFunc(out, func(a, b Loss) int { return compareFlows(a.Flow, b.Flow) })
	return out
}

// LostByGuess is Lost for an interface that is taken for a secondary one and may be the primary: what either of them
// must not lose.
func (r Reach) LostByGuess(now Reach, iface int) []Loss {
	out := r.Lost(now, iface, false)
	for _, l := range r.Lost(now, iface, true) {
		if !slices.ContainsFunc(out, func(o Loss) bool { return o.Flow == l.Flow && o.Was == l.Was }) {
			out = append(out, l)
		}
	}
	return out
}

// Taken reports whether the change gives this host the address at the other end of the flow, which was beyond a router.
// An address in a subnet of the interface may be taken over from another host, with connections to it open. One from
// elsewhere, such as an address that a load balancer forwards, may be that of somebody who is logged in.
func (l Loss) Taken() bool { return l.Is.Local && l.Was.Via.IsValid() }

// cut: the flow had a way, and has another one that is not better.
func (l Loss) cut() bool {
	switch {
	case !l.Was.ok() || l.Was == l.Is:
		return false
	case l.Kind() == LossServer:
		return true
	case len(l.Holders) == 0:
		return false
	}
	right := l.Is.ok() && l.Is.Index != l.Was.Index && slices.Contains(l.Holders, l.Is.Index)
	return !right
}

// compareFlows puts the lowest local port first, which is a server's: a person knows that one.
func compareFlows(a, b Flow) int {
	if c := int(a.Local.Port()) - int(b.Local.Port()); c != 0 {
		return c
	}
	return a.Remote.Compare(b.Remote)
}

// Restored is the state in which everything of ours is as it was before. What others gave the interface
// since stays.
func Restored(have Snapshot, before State) State {
	out := before
	out.Name, out.Index = have.Name, have.Index
	out.AltNames = slices.Clone(before.AltNames)
	for _, n := range have.AltNames {
		if !ourAltName(n) && !slices.Contains(out.AltNames, n) {
			out.AltNames = append(out.AltNames, n)
		}
	}
	out.Groups = nil
	for _, g := range have.Groups {
		if g.Group == Group && !have.OthersManaged {
			g.Group = groupBefore(before, g.Index)
		}
		out.Groups = append(out.Groups, g)
	}
	return out
}

// groupBefore is an interface's group; 0 for one that was not known for the cloud's then.
func groupBefore(before State, index int) uint32 {
	for _, g := range before.Groups {
		if g.Index == index {
			return g.Group
		}
	}
	return 0
}
