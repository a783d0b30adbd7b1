package plumb

import (
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// Snapshot is what the kernel holds for one interface: our objects and, in the same lists but without
// Ours, everybody else's that Want and Diff have to know of.
type Snapshot struct {
	State
	MAC           metadata.MAC
	Carrier       bool   // the link has a signal
	MaxMTU        int    // bytes; 0: the driver names none
	Kind          string // rtnetlink kind ("bridge", "vlan", …); empty for hardware
	Master        int    // ifindex of the interface that this one is enslaved to; 0: none
	Loopback      bool
	NoIPv6        bool           // IPv6 is switched off on the interface (disable_ipv6)
	OthersManaged bool           // another interface of this host needs our interface group: it is in it, or has a guard rule
	Twins         []Twin         // other devices with the interface's MAC
	Taken         []netip.Prefix // what other interfaces of this host answer for: sources of their rules, addresses of Peers
	Claimed       string         // the container network plugin that has taken the host's interfaces, and how it shows; empty: none
	TakenTables   []uint32       // routing tables for which another program has the nftables table of our name

	// Leaving are the rules of other interfaces of this host by which traffic leaves that no source rule
	// caught.
	Leaving []Rule

	// Answered are the IPv6 addresses that the kernel answers for on the interface. It lists an address before that.
	Answered []netip.Addr

	Networks []netip.Prefix // IPv4 networks that other devices are in, by main; read along with Competing

	Competing []CompetingDefault // default routes beside the interface's own; empty for the only cloud interface that has one

	held  map[int]int    // the numbers whose tables lead by other interfaces, each with the lowest index of those
	names map[int]string // of the host's other devices, by index

	mine map[int]bool // the numbers whose rules and nftables tables belong to the interface

	siblings []int // ifindexes of the other devices in our interface group

	unable bool // the kernel can not do what nftables tables of ours need

	Marks map[uint32]int // of other interfaces of this host, each with the lowest number of an interface that has it

	forwardsAll bool // ip_forward, read when the Scope says Forwarding

	promote    bool // the interface's promote_secondaries
	noAltNames bool // the kernel has turned out to know none
}

// Twin is a device that has the MAC of an interface: its virtual function, or what it is the function of. What
// is made of software, as a bridge or a VLAN on the interface, is none.
type Twin struct {
	Name   string
	Index  int
	Master int // ifindex of the device that it is enslaved to; 0: none
}

func (s Snapshot) hasAddr(a netip.Addr) bool {
	for _, h := range s.Addrs {
		if h.Prefix.Addr() == a {
			return true
		}
	}
	return false
}

// Unanswered are the addresses of ours that the kernel does not answer for yet: it makes its local route to an IPv6
// address later than it takes the address, also where nothing is to be detected (addrconf_dad_work).
func (s Snapshot) Unanswered() (out []netip.Addr) {
	for _, h := range s.Addrs {
		if a := h.Prefix.Addr(); h.Ours && a.Is6() && !slices.Contains(s.Answered, a) {
			out = append(out, a)
		}
	}
	return out
}

// IsSibling: the device is another of the host's interfaces that ec2net has set up, by its interface group.
func (s Snapshot) IsSibling(index int) bool { return slices.Contains(s.siblings, index) }

// ours is the address as ec2net put it on the interface.
func (s Snapshot) ours(a netip.Addr) (Addr, bool) {
	i := slices.IndexFunc(s.Addrs, func(h Addr) bool { return h.Ours && h.Prefix.Addr() == a })
	if i < 0 {
		return Addr{}, false
	}
	return s.Addrs[i], true
}

// routed are the interface numbers (see metadata.Interface.N) that our routes through the interface belong
// to: where a process that starts finds what an earlier one left.
func (s Snapshot) routed() []int {
	var out []int
	seen := map[int]bool{}
	for _, r := range s.Routes {
		n := int(r.Table) - baseTable
		if r.Table == tableMain {
			n = int(r.Metric) - baseTable
		}
		if r.Ours && n >= 0 && n <= maxN && !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

// Held are the addresses that ec2net put on the interface, the primary one first: an address stands there until ec2net
// takes it off, whatever becomes of the rules. They say nothing of the interface's number, so it is good for
// metadata.Settle and not for Want.
func (s Snapshot) Held() metadata.Interface {
	g := metadata.Interface{MAC: s.MAC}
	for _, primary := range []bool{true, false} { // which alone has the length of its subnet
		for _, a := range s.Addrs {
			switch ip := a.Prefix.Addr(); {
			case !a.Ours, primary == a.Prefix.IsSingleIP():
			case ip.Is4():
				grant(&g.Addrs4, ip)
			default:
				grant(&g.Addrs6, ip)
			}
		}
	}
	return g
}

// Granted is what the kernel still holds of an earlier reading of the metadata: the last known good after a
// restart, where no record tells it. It is meant as the first argument of metadata.Settle. Of where the interface is
// plugged in it tells no more than the number. What a lease alone set up was no reading.
//
// The number is one that a route of ours through the interface tells, not a rule alone: rules outlive their
// interface, and may be those of another one that had this one's name. A rule that is missing takes no address away.
func (s Snapshot) Granted() metadata.Interface {
	var g metadata.Interface
	for _, n := range s.routed() {
		if n < degradedN && (g.MAC == metadata.MAC{} || s.ruled(n)) {
			g.MAC = s.MAC
			g.Number, g.Primary = n, n == 0
		}
	}
	if g.MAC == (metadata.MAC{}) {
		return g
	}
	for _, r := range s.Rules {
		if s.isSource(r, g.N()) {
			grantFrom(r.From, &g)
		}
	}
	held := s.Held()
	grantMore(&g.Addrs4, held.Addrs4.Value)
	grantMore(&g.Addrs6, held.Addrs6.Value)
	for _, primary := range []bool{true, false} { // which address is the primary says whose the subnet is
		for _, r := range s.Routes {
			if r.Ours && r.Table == Table(g.N()) && r.Src.IsValid() && r.isDefault() == primary {
				grantRoute(r, &g)
			}
		}
	}
	return g
}

// isSource: the rule sends what comes from an address or a block of the interface with number n to its table.
func (s Snapshot) isSource(r Rule, n int) bool {
	return r.Kind() == RuleSource && r.Table == Table(n) && (r.early() || r.Pref == uint32(baseSource+n))
}

// ruled: there is a source rule with the number.
func (s Snapshot) ruled(n int) bool {
	return slices.ContainsFunc(s.Rules, func(r Rule) bool { return s.isSource(r, n) })
}

func grantFrom(from netip.Prefix, g *metadata.Interface) {
	four := from.Addr().Is4()
	switch {
	case from.IsSingleIP() && four:
		grant(&g.Addrs4, from.Addr())
	case from.IsSingleIP():
		grant(&g.Addrs6, from.Addr())
	case four:
		grant(&g.Prefixes4, from)
	default:
		grant(&g.Prefixes6, from)
	}
}

// grantMore adds the addresses that no rule tells.
func grantMore(a *metadata.Answer[[]netip.Addr], held []netip.Addr) {
	for _, ip := range held {
		if !slices.Contains(a.Value, ip) {
			grant(a, ip)
		}
	}
}

// grantRoute learns from the table which address is the primary, because a rule that was put back
// stands behind the others, and which subnet is the interface's. A default route of ours has no other source, whether
// or not a rule tells of it; another route may be a copy of the operator's.
func grantRoute(r Route, g *metadata.Interface) {
	addrs, subnets := &g.Addrs4, &g.Subnets4
	if r.Dst.Addr().Is6() {
		addrs, subnets = &g.Addrs6, &g.Subnets6
	}
	switch {
	case r.isDefault():
		rest := slices.DeleteFunc(addrs.Value, func(a netip.Addr) bool { return a == r.Src })
		*addrs = metadata.Is(slices.Insert(rest, 0, r.Src))
	case slices.Contains(addrs.Value, r.Src) && !r.Via.IsValid() && r.Dst.Contains(r.Src):
		grant(subnets, r.Dst)
	}
}

func grant[T any](a *metadata.Answer[[]T], v T) {
	a.Status = metadata.Present
	a.Value = append(a.Value, v)
}

// CompetingDefault is a default route in main that does not lead through the interface.
type CompetingDefault struct {
	Metric    uint32
	Interface bool // another program's, through another of the host's cloud interfaces
	Six       bool // IPv6
	Ours      bool // through another of the host's cloud interfaces
}

// Gateway is where one family leaves by the interface's own table; invalid when it does not.
func (s Snapshot) Gateway(six bool) netip.Addr { return s.gateway(six).Via }

// gateway is the route behind Gateway.
func (s Snapshot) gateway(six bool) Route {
	for _, r := range s.Routes {
		if r.Ours && r.Table != tableMain && r.isDefault() && r.Dst.Addr().Is6() == six {
			return r
		}
	}
	return Route{}
}

func hasDefault(list []Route, table uint32, six bool) bool {
	return slices.ContainsFunc(list, func(r Route) bool {
		return r.Ours && r.Table == table && r.isDefault() && r.Dst.Addr().Is6() == six
	})
}
