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
	return d.Rule && d.Table == r.Table && (d.Pref == 0 || d.Pref == r.Pref) && narrow(d.From) == narrow(r.From) && narrow(d.To) == narrow(r.To)
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
	if d.Leased {
		return table == r.Table && slices.Contains([]uint8{unix.RTPROT_DHCP, unix.RTPROT_RA}, r.Protocol)
	}
	return !d.Rule && table == r.Table && d.Dst == r.Dst &&
		(!d.Via.IsValid() || slices.ContainsFunc(r.Hops, func(h Hop) bool { return h.Via == d.Via }))
}

// wgQuick: the rule is one of the two that wg-quick writes: all that has not the tunnel's mark, whose number is the
// table's too, and main without its default routes, which others write as well.
func (f FIB) wgQuick(r Rule) bool {
	marked := func(o Rule) bool {
		return o.Not && o.Mask == ^uint32(0) && o.Mark != 0 && o.Mark == o.Table && o.Six == r.Six
	}
	bare := r.Table == tableMain && r.NoShorter == 0 && !r.From.IsValid() && !r.To.IsValid() && r.Mask == 0 && !r.ours()
	return marked(r) || bare && slices.ContainsFunc(f.Rules, marked)
}

// wireGuard names the tunnel's file, where there is one.
func (f FIB) wireGuard(r Rule) Origin {
	for _, route := range f.Routes {
		if route.Table != r.Table && r.Table != tableMain || route.Table == tableMain || route.Dst.Bits() != 0 || len(route.Hops) == 0 {
			continue
		}
		if name := f.name(route.Hops[0].Index); slices.Contains(f.Origins.WireGuard, name) {
			return Origin{Program: "wg-quick", File: "/etc/wireguard/" + name + ".conf"}
		}
	}
	return Origin{Program: "wg-quick", How: "recognised by a mark equal to the table's number"}
}
