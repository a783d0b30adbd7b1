package doctor

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/plumb"
)

// ReadFIB reads rules, routes and devices of the calling thread's network namespace. It needs no rights.
func ReadFIB() (f FIB, err error) {
	if f.Links, err = readLinks(); err != nil {
		return f, err
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := &nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}
		rules, err := dump(unix.NETLINK_ROUTE, unix.RTM_GETRULE, unix.RTM_NEWRULE, header)
		if err != nil {
			return f, fmt.Errorf("list the policy rules: %w", err)
		}
		routes, err := dump(unix.NETLINK_ROUTE, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header)
		if err != nil {
			return f, fmt.Errorf("list the routes: %w", err)
		}
		if err := f.parse(rules, routes); err != nil {
			return f, err
		}
	}
	f.index()
	return f, nil
}

// parse adds the rules and routes of one family.
func (f *FIB) parse(rules, routes [][]byte) error {
	for _, m := range rules {
		r, err := parseRule(m)
		if err != nil {
			return err
		}
		f.Rules = append(f.Rules, r)
	}
	for _, m := range routes {
		r, cloned, err := parseRoute(m)
		if err != nil {
			return err
		}
		if !cloned {
			f.Routes = append(f.Routes, r)
		}
	}
	return nil
}

// dump reads a whole list.
func dump(proto, kind int, answer uint16, header nl.NetlinkRequestData) ([][]byte, error) {
	return plumb.Whole(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(kind, unix.NLM_F_DUMP)
		req.AddData(header)
		return req.Execute(proto, answer)
	})
}

// parseRule reads a struct fib_rule_hdr and its FRA_* attributes (linux/fib_rules.h). An attribute that is missing means that
// the rule does not ask for it; that of suppress_prefixlength is signed, and -1 then.
func parseRule(m []byte) (Rule, error) {
	a, err := parse(m, unix.SizeofRtMsg)
	if err != nil {
		return Rule{}, err
	}
	h := nl.DeserializeRtMsg(m) // struct fib_rule_hdr has the same shape: the type's place is the action's
	return Rule{
		Six: h.Family == unix.AF_INET6, Pref: a.u32(nl.FRA_PRIORITY), Not: h.Flags&ruleInvert != 0,
		From: a.prefix(nl.FRA_SRC, h.Src_len), To: a.prefix(nl.FRA_DST, h.Dst_len), TOS: h.Tos,
		IIF: a.text(nl.FRA_IIFNAME), OIF: a.text(nl.FRA_OIFNAME),
		Mark: a.u32(nl.FRA_FWMARK), Mask: a.u32(nl.FRA_FWMASK), TunnelID: a.be64(nl.FRA_TUN_ID),
		IPProto: a.u8(nl.FRA_IP_PROTO), SPort: a.ports(nl.FRA_SPORT_RANGE), DPort: a.ports(nl.FRA_DPORT_RANGE),
		UID: a.uids(nl.FRA_UID_RANGE), L3MDev: a.u8(nl.FRA_L3MDEV) != 0,
		Action: h.Type, Target: a.u32(nl.FRA_GOTO), Table: a.u32or(nl.FRA_TABLE, uint32(h.Table)),
		NoShorter: int(int32(a.u32or(nl.FRA_SUPPRESS_PREFIXLEN, ^uint32(0)))),
		NoGroup:   int64(int32(a.u32or(nl.FRA_SUPPRESS_IFGROUP, ^uint32(0)))),
		Protocol:  a.u8(nl.FRA_PROTOCOL),
	}, nil
}

const ruleInvert = 2 // FIB_RULE_INVERT

// parseRoute reads a struct rtmsg and its RTA_* attributes (rtnetlink(7)). cloned: it is a cached exception, such as a path
// MTU, and not a route. A route by a nexthop object (ip-nexthop(8)) has that one's devices in RTA_OIF or RTA_MULTIPATH,
// too.
func parseRoute(m []byte) (r Route, cloned bool, err error) {
	a, err := parse(m, unix.SizeofRtMsg)
	if err != nil {
		return r, false, err
	}
	h := nl.DeserializeRtMsg(m)
	r = Route{
		Table: a.u32or(unix.RTA_TABLE, uint32(h.Table)), Dst: a.prefix(unix.RTA_DST, h.Dst_len),
		From: a.prefix(unix.RTA_SRC, h.Src_len), TOS: h.Tos, Type: h.Type, Protocol: h.Protocol,
		Metric: a.u32(unix.RTA_PRIORITY), Src: a.addr(unix.RTA_PREFSRC), Pref: a.u8(unix.RTA_PREF),
	}
	if !r.Dst.IsValid() {
		r.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if h.Family == unix.AF_INET6 {
			r.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}
	if index := a.u32(unix.RTA_OIF); index != 0 {
		r.Hops = append(r.Hops, hopOf(int(index), uint32(h.Flags), a))
	}
	more, err := multipath(a[unix.RTA_MULTIPATH])
	r.Hops = append(r.Hops, more...)
	return r, h.Flags&unix.RTM_F_CLONED != 0, err
}

// hopOf is one way of a route. flags are RTNH_F_*: of the route itself, or of the struct rtnexthop.
func hopOf(index int, flags uint32, a attrs) Hop {
	via := a.addr(unix.RTA_GATEWAY)
	if b := a[unix.RTA_VIA]; len(b) > 2 { // IPv4 by an IPv6 gateway
		via, _ = netip.AddrFromSlice(b[2:])
	}
	return Hop{Index: index, Via: via, Dead: flags&unix.RTNH_F_DEAD != 0, NoCarrier: flags&unix.RTNH_F_LINKDOWN != 0}
}

// multipath takes a list of struct rtnexthop apart.
func multipath(b []byte) (out []Hop, err error) {
	for len(b) >= unix.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return out, fmt.Errorf("a next hop of %d bytes where %d are left", n, len(b))
		}
		a, err := parse(b[:n], unix.SizeofRtNexthop)
		if err != nil {
			return out, err
		}
		out = append(out, hopOf(int(int32(binary.NativeEndian.Uint32(b[4:]))), uint32(b[2]), a))
		b = b[min(len(b), (n+unix.RTNH_ALIGNTO-1)&^(unix.RTNH_ALIGNTO-1)):]
	}
	return out, nil
}

func readLinks() ([]Link, error) {
	list, err := plumb.Whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the network devices: %w", err)
	}
	out := make([]Link, 0, len(list))
	for _, l := range list {
		out = append(out, linkOf(l))
	}
	return out, nil
}

func linkOf(l netlink.Link) Link {
	a := l.Attrs()
	k := Link{
		Name: a.Name, Index: a.Index, Group: a.Group, Master: a.MasterIndex, Kind: l.Type(),
		Loopback: a.Flags&net.FlagLoopback != 0, Conf: readConf(a.Name),
	}
	if k.Kind == "device" { // the library's word for hardware
		k.Kind = ""
	}
	copy(k.MAC[:], a.HardwareAddr)
	if v, ok := l.(*netlink.Vrf); ok {
		k.VRFTable = v.Table
	}
	return k
}

// readConf reads a device's sysctls. One that is not there counts as 0, as an older kernel has it.
func readConf(name string) Conf {
	all := func(key string) int { return sysctl("ipv4/conf/all/" + key) }
	own := func(key string) int { return sysctl("ipv4/conf/" + name + "/" + key) }
	most := func(key string) int { return max(all(key), own(key)) }
	return Conf{
		RPFilter: most("rp_filter"), RPFilterAll: all("rp_filter"), RPFilterOwn: own("rp_filter"),
		ARPFilter: most("arp_filter"), ARPIgnore: most("arp_ignore"),
		SrcValidMark: most("src_valid_mark") != 0, AcceptLocal: most("accept_local") != 0, Forwarding: own("forwarding") != 0,
		Forwarding6:  sysctl("ipv6/conf/all/forwarding") != 0,
		SkipLinkDown: most("ignore_routes_with_linkdown") != 0,
	}
}

// sysctl reads a number below /proc/sys/net; one that cannot be read is 0.
func sysctl(key string) int {
	b, err := os.ReadFile("/proc/sys/net/" + key)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}
