// Package doctor says why a packet goes where it goes, and what is wrong with a host's network interfaces.
//
// It reads the kernel and files, and changes nothing. What it concludes it does in pure functions: the
// edge collects facts (ReadFIB, ReadChains, Ask and their like), Walk and Examine judge them.
//
// There are two ways to find out where a packet goes. Ask has the kernel look it up, which is the truth; a finding about
// packets rests on it (Interface.Probes). Walk goes through the rules and tables that ReadFIB read, as
// net/core/fib_rules.c and net/ipv4/fib_trie.c do, and knows why: explain prints its steps, and checks use it to
// find out what would be without another program's rule. Where both say something else, explain says that they do.
//
// A check (see checks) takes Facts and returns findings, none for all is well. Examine makes them all, and puts each finding
// under the one that causes it (causesOf). To add one, see docs/architecture.md.
package doctor

import (
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// FIB is all that the kernel of one network namespace decides routes by.
type FIB struct {
	Rules  []Rule  // of both families, in the order that the kernel walks them
	Routes []Route // of every table
	Links  []Link

	Origins Origins // of what others wrote

	tables map[uint32][]Route // of Routes; nil: they are not sorted
}

// Rule is a policy rule of anybody's (linux/fib_rules.h).
type Rule struct {
	Six        bool // IPv6
	Pref       uint32
	Not        bool         // the selectors are inverted
	From, To   netip.Prefix // invalid: all
	TOS        uint8        // 0: any
	IIF, OIF   string       // empty: any
	Mark, Mask uint32       // Mask 0: any
	TunnelID   uint64       // 0: any
	IPProto    uint8        // 0: any
	SPort      Ports
	DPort      Ports
	UID        UIDs
	L3MDev     bool  // the table of the packet's VRF
	Action     uint8 // FR_ACT_*
	Target     uint32
	Table      uint32
	// NoShorter (suppress_prefixlength) rejects an answer of this length or less; -1: none.
	NoShorter int
	// NoGroup (suppress_ifgroup) rejects an answer through an interface of this group; -1: none.
	NoGroup  int64
	Protocol uint8
}

// Ports is a range of ports; the zero value is any.
type Ports struct{ First, Last uint16 }

// UIDs is a range of user ids.
type UIDs struct {
	First, Last uint32
	Set         bool
}

// Route is a route of any table and type.
type Route struct {
	Table    uint32
	Dst      netip.Prefix
	From     netip.Prefix // IPv6 only: for packets with such a source; invalid: all
	TOS      uint8
	Type     uint8 // RTN_*
	Protocol uint8
	Metric   uint32
	Src      netip.Addr // preferred source; invalid: none
	Pref     uint8      // of a router advertisement: 0 medium, 1 high, 3 low
	Hops     []Hop
}

// Hop is a way that a route leads.
type Hop struct {
	Index           int        // of the device; 0: none
	Via             netip.Addr // invalid: on the link
	Dead, NoCarrier bool
}

// Link is a network device.
type Link struct {
	Name     string
	Index    int
	MAC      metadata.MAC
	Group    uint32
	Master   int // ifindex; 0: none
	Kind     string
	Loopback bool
	VRFTable uint32 // of a VRF
	Conf     Conf
}

// Conf are the sysctls of a device that routing depends on, as they are in effect: the kernel takes the
// larger of the device's and all's for those of RPFilter, ARPFilter and ARPIgnore, and either for the rest.
type Conf struct {
	RPFilter, RPFilterAll, RPFilterOwn int
	ARPFilter, ARPIgnore               int
	SrcValidMark, AcceptLocal          bool
	Forwarding                         bool // of IPv4, by the device
	Forwarding6                        bool // of IPv6, by the host
	SkipLinkDown                       bool // ignore_routes_with_linkdown
}

// link finds a device by its index.
func (f FIB) link(index int) Link {
	if i := slices.IndexFunc(f.Links, func(l Link) bool { return l.Index == index }); i >= 0 {
		return f.Links[i]
	}
	return Link{Index: index}
}

// Named finds a device by its name.
func (f FIB) Named(name string) (Link, bool) {
	if i := slices.IndexFunc(f.Links, func(l Link) bool { return l.Name == name }); i >= 0 {
		return f.Links[i], true
	}
	return Link{}, false
}

// owner is the device that an address of the host lies on, by the kernel's local routes: addresses that it
// answers for as a whole block are among them. Of several that have it, it is the one that the cloud grants it to.
func (f FIB) owner(a netip.Addr) (Link, bool) {
	all := f.owners(a)
	if len(all) == 0 {
		return Link{}, false
	}
	if index, ok := f.granted(a); ok && slices.Contains(all, index) {
		return f.link(index), true
	}
	return f.link(all[0]), true
}

// owners are all devices that have the address, in the kernel's order.
func (f FIB) owners(a netip.Addr) (out []int) {
	best := -1
	for _, r := range f.table(tableLocal) {
		if r.Type != typeLocal || !r.Dst.Contains(a) || len(r.Hops) == 0 || r.Dst.Bits() < best {
			continue
		}
		if r.Dst.Bits() > best {
			out, best = nil, r.Dst.Bits()
		}
		if index := r.Hops[0].Index; !slices.Contains(out, index) {
			out = append(out, index)
		}
	}
	return out
}

// localOf: it is one of the routes that the kernel makes for a device's own addresses.
func (r Route) localOf(index int) bool {
	return r.Table == tableLocal && r.Type == typeLocal && len(r.Hops) > 0 && r.Hops[0].Index == index
}

// granted is the device by which ec2net's own rule for an address leads: it follows what the cloud grants.
func (f FIB) granted(a netip.Addr) (index int, ok bool) {
	for _, r := range f.Rules {
		if !r.ours() || !r.From.IsValid() || !r.From.IsSingleIP() || r.From.Addr() != a {
			continue
		}
		for _, route := range f.table(r.Table) {
			if route.Dst.Bits() == 0 && route.Dst.Addr().Is6() == a.Is6() && len(route.Hops) > 0 && r.Table != tableMain {
				return route.Hops[0].Index, true
			}
		}
	}
	return 0, false
}
