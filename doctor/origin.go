package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"ec2net/plumb"
)

// Origins is what files say of who writes rules and routes.
type Origins struct {
	Declared  []Declared
	Protocols map[uint8]string // names of rtnetlink protocols (rt_protos of iproute2)
	WireGuard []string         // interfaces of which wg-quick has a file
	Gone      map[int]string   // by ifindex: the file that systemd-networkd goes by and that is not there any more
}

// Declared is a rule or a route that a file asks for.
type Declared struct {
	Program string // that reads the file
	File    string
	Rule    bool
	Leased  bool // every route of a lease or a router advertisement that goes into the table
	// Of a rule; of a route Dst and Via. What is not valid, or 0, the file does not say.
	From, To, Dst netip.Prefix
	Via           netip.Addr
	Pref, Table   uint32
}

// Origin is who has written a rule or a route. The zero value: nobody knows.
type Origin struct{ Program, How, File string }

func (o Origin) String() string {
	switch {
	case o.Program == "":
		return ""
	case o.File != "":
		return o.Program + ", " + o.File
	}
	return o.Program + " (" + o.How + ")"
}

// written is the origin in brackets after the text of a rule or route.
func (o Origin) written(text string) string {
	if o == (Origin{}) {
		return text
	}
	return text + ", written by " + o.String()
}

// where says where something can be changed.
func (o Origin) where() string {
	switch {
	case o.File != "":
		return "in " + o.File
	case o.Program == handmade, o.Program == unmarked, o.Program == managed, o.Program == "":
		return "where it is configured"
	}
	return "in the configuration of " + o.Program
}

// Those that the protocol does not tell apart. `ip route` writes boot, and `ip rule` nothing, as do programs that use no
// other than the kernel's interface; static is what systemd-networkd and NetworkManager write.
const (
	handmade = "ip, by hand or a script"
	unmarked = "ip by hand, a script, or a program"
	managed  = "a network manager, or ip by hand"
)

// protocolNames are those of linux/rtnetlink.h and of iproute2's rt_protos that programs have for themselves.
func protocolNames() map[uint8]string {
	return map[uint8]string{
		unix.RTPROT_REDIRECT: "the kernel, by an ICMP redirect", unix.RTPROT_KERNEL: "the kernel",
		unix.RTPROT_GATED: "gated", unix.RTPROT_RA: "the kernel, by a router advertisement", unix.RTPROT_MRT: "mrt", unix.RTPROT_ZEBRA: "zebra (FRR)",
		unix.RTPROT_BIRD: "bird", unix.RTPROT_DNROUTED: "dnrouted", unix.RTPROT_XORP: "xorp", unix.RTPROT_NTK: "netsukuku", unix.RTPROT_DHCP: "a DHCP client",
		unix.RTPROT_MROUTED: "mrouted", unix.RTPROT_KEEPALIVED: "keepalived", unix.RTPROT_BABEL: "babeld", 84: "OVN", unix.RTPROT_OPENR: "openr",
		unix.RTPROT_BGP: "a BGP daemon", unix.RTPROT_ISIS: "an IS-IS daemon", unix.RTPROT_OSPF: "an OSPF daemon", unix.RTPROT_RIP: "a RIP daemon",
		unix.RTPROT_EIGRP: "an EIGRP daemon",
	}
}

// byProtocol is who writes with a protocol.
func (o Origins) byProtocol(p uint8) Origin {
	switch p {
	case plumb.Protocol:
		return Origin{}
	case unix.RTPROT_UNSPEC:
		return Origin{Program: unmarked, How: "no protocol"}
	case unix.RTPROT_BOOT:
		return Origin{Program: handmade, How: "protocol boot"}
	case unix.RTPROT_STATIC:
		return Origin{Program: managed, How: "protocol static"}
	}
	how := fmt.Sprintf("protocol %d", p)
	if name := protocolNames()[p]; name != "" {
		return Origin{Program: name, How: how}
	}
	if name := o.Protocols[p]; name != "" {
		return Origin{Program: name, How: how}
	}
	return Origin{Program: "an unknown program", How: how}
}

// ofRule is who wrote a rule: by a file that asks for it, by what only one program writes, or by its protocol.
func (f FIB) ofRule(r Rule) Origin {
	if i := slices.IndexFunc(f.Origins.Declared, func(d Declared) bool { return d.asksForRule(r) }); i >= 0 {
		return f.Origins.Declared[i].origin()
	}
	switch {
	case r.tailscale():
		return Origin{Program: "Tailscale", How: "recognised by the preferences 5210 to 5270"}
	case r.Table == 220:
		return Origin{Program: "strongSwan", How: "recognised by table 220"}
	case f.wgQuick(r):
		return f.wireGuard(r)
	}
	return f.Origins.byProtocol(r.Protocol)
}

// ofRoute is who wrote a route.
func (f FIB) ofRoute(r Route) Origin {
	if i := slices.IndexFunc(f.Origins.Declared, func(d Declared) bool { return d.asksForRoute(r) }); i >= 0 {
		return f.Origins.Declared[i].origin()
	}
	if file, gone := f.gone(r); gone {
		return Origin{Program: "systemd-networkd", How: "by " + file + ", which is gone"}
	}
	switch r.Table {
	case 52:
		return Origin{Program: "Tailscale", How: "recognised by table 52"}
	case 220:
		return Origin{Program: "strongSwan", How: "recognised by table 220"}
	}
	return f.Origins.byProtocol(r.Protocol)
}

func (d Declared) origin() Origin { return Origin{Program: d.Program, File: d.File} }

func (d Declared) asksForRule(r Rule) bool {
	pref := d.Pref == 0 || d.Pref == r.Pref
	if !d.Rule || d.Table != r.Table || !pref {
		return false
	}
	return narrow(d.From) == narrow(r.From) && narrow(d.To) == narrow(r.To)
}

// selects: the file says something of a rule that tells it from others.
func (d Declared) selects() bool {
	return d.Table != 0 || d.Pref != 0 || d.From.IsValid() || d.To.IsValid()
}

// prefixOf reads an address or a network; "all", "default" and what is none are none.
func prefixOf(s string) netip.Prefix {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, _ := netip.ParsePrefix(s)
	return p.Masked()
}

// narrow: what holds for all is no selector.
func narrow(p netip.Prefix) netip.Prefix {
	if p.Bits() <= 0 {
		return netip.Prefix{}
	}
	return p
}

func (d Declared) asksForRoute(r Route) bool {
	table := d.Table
	if table == 0 {
		table = tableMain
	}
	switch {
	case table != r.Table:
		return false
	case d.Leased:
		return slices.Contains([]uint8{unix.RTPROT_DHCP, unix.RTPROT_RA}, r.Protocol)
	case d.Rule || d.Dst != r.Dst:
		return false
	}
	return !d.Via.IsValid() || slices.ContainsFunc(r.Hops, func(h Hop) bool { return h.Via == d.Via })
}

// defaultOf: a default route by a gateway can be one of a family. networkd has names for those that are learnt.
func (d Declared) defaultOf(six bool, gateway string) bool {
	switch {
	case d.Via.IsValid() && d.Via.Is6() != six:
		return false
	case six:
		return gateway != "_dhcp4"
	}
	return gateway != "_ipv6ra"
}

// wgQuick: the rule is one of the two that wg-quick writes: all that has not the tunnel's mark, whose number is the
// table's too, and main without its default routes, which others write as well.
func (f FIB) wgQuick(r Rule) bool {
	marked := func(o Rule) bool { return o.Six == r.Six && o.sparesItsMark() }
	all := !r.From.IsValid() && !r.To.IsValid() && r.Mask == 0
	bare := r.Table == tableMain && r.NoShorter == 0 && all && !r.ours()
	return marked(r) || (bare && slices.ContainsFunc(f.Rules, marked))
}

// sparesItsMark: the rule is for all that has not a mark, whose number is the table's too.
func (r Rule) sparesItsMark() bool {
	return r.Not && r.Mask == ^uint32(0) && r.Mark != 0 && r.Mark == r.Table
}

// wireGuard names the tunnel's file, where there is one.
func (f FIB) wireGuard(r Rule) Origin {
	for _, route := range f.Routes {
		its := route.Table == r.Table || r.Table == tableMain // the rule of main does not name the tunnel's table
		if !its || route.Table == tableMain || route.Dst.Bits() != 0 || len(route.Hops) == 0 {
			continue
		}
		if name := f.name(route.Hops[0].Index); slices.Contains(f.Origins.WireGuard, name) {
			return Origin{Program: "wg-quick", File: "/etc/wireguard/" + name + ".conf"}
		}
	}
	return Origin{Program: "wg-quick", How: "recognised by a mark equal to the table's number"}
}
