// Package plumb turns what the metadata and the lease say of an interface into kernel objects, and keeps
// the kernel equal to them.
//
// Want and Diff are pure. Link reads the kernel, as far as a Scope says, and applies a Plan; a Result says what came of it.
// Everything that is written carries rtnetlink protocol 236; that mark, and nothing else, says what is ours. What an operation,
// a rule or a loss is for, its Kind says: a text is for a person.
package plumb

import (
	"net/netip"
)

const (
	// Protocol marks every rule, route and address of ours (rtm_protocol, FRA_PROTOCOL, IFA_PROTO).
	// 236 is free in iproute2's rt_protos.
	Protocol = 236
	// Group is the interface group of the cloud's interfaces: the guard rules do not take main's answer
	// when it leads through one of them.
	Group = 236

	tableMain  = 254
	tableLocal = 255
	baseTable  = 10000 // table and guard preference: baseTable + N
	baseSource = 20000 // source rule preference: baseSource + N
	maxN       = 9999

	// addrMetric is the second mark of our addresses, as their IFA_RT_PRIORITY: kernels before 5.18
	// drop IFA_PROTO silently, while this one is kept since 4.18. It has no other effect, because an
	// address of ours has no prefix route that could take the metric.
	addrMetric = 23600000
)

// Table is the routing table of the interface with number n (see metadata.Interface.N).
func Table(n int) uint32 { return uint32(baseTable + n) }

// DegradedN is the number of an interface that runs on its lease alone, because the metadata never said
// its device number: 9000 + ifindex modulo 1000, out of the way of real ones.
func DegradedN(ifindex int) int { return degradedN + ifindex%1000 }

const degradedN = 9000

// State is what ec2net has, or wants, in the kernel for one interface.
type State struct {
	Name     string // of the interface
	Index    int
	Link     LinkState
	AltNames []string
	Groups   []IfGroup // of the host's other cloud interfaces
	Addrs    []Addr
	Routes   []Route
	Rules    []Rule
	Packets  []PacketRule
}

// LinkState is the part of an interface's own attributes that ec2net sets.
type LinkState struct {
	Up    bool   `json:"up"`
	MTU   int    `json:"mtu"` // bytes
	Group uint32 `json:"group"`
	// SrcValidMark: rp_filter looks the way back up with the packet's mark (net.ipv4.conf.IF.src_valid_mark).
	SrcValidMark bool `json:"src_valid_mark"`
	// Forwarding: IPv4 packets that come in by the interface are passed on (net.ipv4.conf.IF.forwarding).
	Forwarding bool `json:"forwarding"`
}

// IfGroup is the interface group of another interface.
type IfGroup struct {
	Name  string
	Index int
	Group uint32
}

// Addr is an address on the interface.
type Addr struct {
	Prefix        netip.Prefix // address and length, not masked
	NoPrefixRoute bool         // the kernel makes no route for the subnet (IFA_F_NOPREFIXROUTE)
	Ours          bool         // carries our mark
}

// Route is a unicast route through the interface, or one that makes a block of addresses the host's own.
type Route struct {
	Table  uint32
	Dst    netip.Prefix
	Via    netip.Addr // invalid: on the link
	Src    netip.Addr // preferred source; invalid: the kernel's choice
	Metric uint32     // IPv6 never reads back 0: the kernel makes it 1024
	MTU    uint32     // bytes; 0: the interface's
	OnLink bool       // Via need not lie in a subnet of the interface
	Scope  uint8      // RT_SCOPE_*; always 0 in IPv6
	Ours   bool
	Local  bool // the host answers for all of Dst (type local, which ip-route(8) calls AnyIP)
	// Advertised: the kernel made it of a router advertisement.
	Advertised bool
}

// Rule is a policy rule of ours, as the kernel has it; Kind says what it is for.
type Rule struct {
	Pref  uint32
	From  netip.Prefix
	To    netip.Prefix // invalid: to everywhere
	Iif   string       // the interface that the packet came in by; empty: whichever
	Table uint32
	// MinBits: the table's answer counts only if its prefix is at least this long (suppress_prefixlength
	// MinBits-1); 0: any does.
	MinBits uint32
	NoGroup bool // and only if it leads by no interface of the cloud's (suppress_ifgroup 236)
	Refuse  bool // no table is asked: the answer is that there is no way (type unreachable)

	Mark, Mask uint32 // Mask 0: the rule asks for no mark
	// Owner is the table of the interface that the rule belongs to, where neither Pref nor Table tells: see owned.
	Owner uint32
}

// key is what the kernel tells two routes apart by.
func (r Route) key() routeKey { return routeKey{r.Table, r.Dst, r.Metric} }

type routeKey struct {
	table  uint32
	dst    netip.Prefix
	metric uint32
}

func (r Route) isDefault() bool { return r.Dst.Bits() == 0 }

// The text of an element is what follows "ip rule add", "ip route add" and "ip addr add".

func everywhere(six bool) netip.Prefix {
	if six {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}
