package doctor

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/plumb"
)

const (
	tableDefault = unix.RT_TABLE_DEFAULT
	tableMain    = unix.RT_TABLE_MAIN
	tableLocal   = unix.RT_TABLE_LOCAL
	typeUnicast  = unix.RTN_UNICAST
	typeLocal    = unix.RTN_LOCAL
)

// The texts are those of ip(8).

func tableText(t uint32) string {
	switch t {
	case tableMain:
		return "main"
	case tableLocal:
		return "local"
	case tableDefault:
		return "default"
	}
	return strconv.FormatUint(uint64(t), 10)
}

func prefixText(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "all"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// String is the rule without its preference, in ip-rule(8)'s syntax.
func (r Rule) String() string {
	var b strings.Builder
	add := func(cond bool, format string, args ...any) {
		if cond {
			fmt.Fprintf(&b, format, args...)
		}
	}
	add(r.Not, "not ")
	fmt.Fprintf(&b, "from %s", prefixText(r.From))
	add(r.To.IsValid(), " to %s", prefixText(r.To))
	add(r.TOS != 0, " tos %#x", r.TOS)
	add(r.Mask != 0, " fwmark %s", markText(r.Mark, r.Mask))
	add(r.IIF != "", " iif %s", r.IIF)
	add(r.OIF != "", " oif %s", r.OIF)
	add(r.L3MDev, " l3mdev")
	add(r.UID.Set, " uidrange %d-%d", r.UID.First, r.UID.Last)
	add(r.IPProto != 0, " ipproto %s", protoText(r.IPProto))
	add(r.SPort != Ports{}, " sport %s", r.SPort)
	add(r.DPort != Ports{}, " dport %s", r.DPort)
	add(r.TunnelID != 0, " tun_id %d", r.TunnelID)
	b.WriteString(r.actionText())
	add(r.NoShorter >= 0, " suppress_prefixlength %d", r.NoShorter)
	add(r.NoGroup >= 0, " suppress_ifgroup %d", r.NoGroup)
	return b.String()
}

func (r Rule) actionText() string {
	switch r.Action {
	case nl.FR_ACT_TO_TBL:
		if r.L3MDev {
			return ""
		}
		return " lookup " + tableText(r.Table)
	case nl.FR_ACT_GOTO:
		return " goto " + strconv.FormatUint(uint64(r.Target), 10)
	case nl.FR_ACT_NOP:
		return " nop"
	case nl.FR_ACT_BLACKHOLE:
		return " blackhole"
	case nl.FR_ACT_UNREACHABLE:
		return " unreachable"
	case nl.FR_ACT_PROHIBIT:
		return " prohibit"
	}
	return " action " + strconv.Itoa(int(r.Action))
}

func (r Rule) ours() bool { return r.Protocol == plumb.Protocol }

// String is the range as ip(8) writes it.
func (p Ports) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

func markText(mark, mask uint32) string {
	if mask == ^uint32(0) {
		return fmt.Sprintf("%#x", mark)
	}
	return fmt.Sprintf("%#x/%#x", mark, mask)
}

func protoText(p uint8) string {
	switch p {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "ipv6-icmp"
	}
	return strconv.Itoa(int(p))
}

func typeText(t uint8) string {
	names := map[uint8]string{
		unix.RTN_UNICAST: "", unix.RTN_LOCAL: "local ", unix.RTN_BROADCAST: "broadcast ", unix.RTN_ANYCAST: "anycast ",
		unix.RTN_MULTICAST: "multicast ", unix.RTN_BLACKHOLE: "blackhole ", unix.RTN_UNREACHABLE: "unreachable ",
		unix.RTN_PROHIBIT: "prohibit ", unix.RTN_THROW: "throw ", unix.RTN_NAT: "nat ",
	}
	if s, ok := names[t]; ok {
		return s
	}
	return "type " + strconv.Itoa(int(t)) + " "
}

// text is the route in ip-route(8)'s syntax.
func (f FIB) text(r Route) string {
	var b strings.Builder
	b.WriteString(typeText(r.Type))
	if r.Dst.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(prefixText(r.Dst))
	}
	if r.From.IsValid() {
		b.WriteString(" from " + r.From.String())
	}
	for _, h := range r.Hops {
		if len(r.Hops) > 1 {
			b.WriteString(" nexthop")
		}
		b.WriteString(f.hop(h))
	}
	if r.Src.IsValid() {
		b.WriteString(" src " + r.Src.String())
	}
	if r.Metric != 0 {
		b.WriteString(" metric " + strconv.FormatUint(uint64(r.Metric), 10))
	}
	return b.String()
}

func (f FIB) hop(h Hop) string {
	s := ""
	if h.Via.IsValid() {
		s = " via " + h.Via.String()
	}
	if h.Index != 0 {
		s += " dev " + f.name(h.Index)
	}
	if h.Dead {
		s += " dead"
	}
	if h.NoCarrier {
		s += " linkdown"
	}
	return s
}

func (f FIB) name(index int) string {
	if l := f.link(index); l.Name != "" {
		return l.Name
	}
	return "device " + strconv.Itoa(index)
}
