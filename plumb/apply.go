package plumb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Apply carries the plan out, in order, and returns the operations that took effect. It goes on
// after a failure, since one refused route is no reason to leave the other addresses dead, and
// joins the errors.
func (l *Link) Apply(p Plan, have Snapshot) (done Plan, err error) {
	var errs []error
	for _, o := range p {
		err := l.apply(o, have)
		if errors.Is(err, errAlready) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o, err))
			continue
		}
		done = append(done, o)
	}
	return done, errors.Join(errs...)
}

func (l *Link) apply(o Op, have Snapshot) error {
	switch x := o.obj.(type) {
	case Addr:
		return l.applyAddr(o.Verb, x, have)
	case Route:
		return l.applyRoute(o.Verb, x, have.Index)
	case Rule:
		return l.applyRule(o.Verb, x)
	case packetTable:
		return l.applyPackets(o.Verb, x)
	case altName:
		return l.applyAltName(o.Verb, string(x), have.Index)
	case linkUp:
		return l.setUp(have.Index, bool(x))
	case linkMTU:
		return l.setLink(have.Index, attr32(unix.IFLA_MTU, uint32(x)))
	case linkValidMark:
		_, errs := l.rt.execute(0, l.devconf(have.Index, devconfSrcValidMark, boolean(bool(x))))
		return errs[0]
	case linkForward:
		_, errs := l.rt.execute(0, l.devconf(have.Index, devconfForwarding, boolean(bool(x))))
		return errs[0]
	case linkGroup:
		return l.setLink(x.Index, attr32(unix.IFLA_GROUP, x.Group))
	}
	return errors.New("unknown operation")
}

// ignoreDone makes success of what the kernel says when an object is there already, or gone already.
func ignoreDone(v Verb, err error) error {
	switch {
	case v == Add && errors.Is(err, unix.EEXIST):
		return errAlready
	case v == Del && gone(err):
		return errAlready
	}
	return err
}

// gone says whether err is the kernel's for an object that is not there, or whose device is not.
func gone(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)
}

// applyAddr adds or removes an address (RTM_NEWADDR, RTM_DELADDR of rtnetlink(7)). It is added without the kernel's route for
// its subnet, whose metric and table could not be chosen, and with both of our marks: see Protocol and addrMetric.
func (l *Link) applyAddr(v Verb, a Addr, have Snapshot) error {
	ip := a.Prefix.Addr()
	msg := nl.NewIfAddrmsg(familyOf(ip))
	msg.Index, msg.Prefixlen = uint32(have.Index), uint8(a.Prefix.Bits())
	local := attrIP(unix.IFA_LOCAL, ip)
	if v == Del {
		// Only with IFA_ADDRESS does the kernel look at the prefix length: somebody else may hold the same
		// address with another one.
		return ignoreDone(v, l.removeAddr(a, have, l.rt.request(unix.RTM_DELADDR, unix.NLM_F_ACK, msg, local, attrIP(unix.IFA_ADDRESS, ip))))
	}
	// The cloud granted the address, so nobody else has it: no detection that would keep it unusable.
	flags := uint32(unix.IFA_F_NOPREFIXROUTE)
	if ip.Is6() {
		flags |= unix.IFA_F_NODAD
	}
	data := []nl.NetlinkRequestData{msg, local, attrIP(unix.IFA_ADDRESS, ip), attr32(unix.IFA_FLAGS, flags), attr32(unix.IFA_RT_PRIORITY, addrMetric)}
	if bits := a.Prefix.Bits(); ip.Is4() && bits < 31 {
		data = append(data, attrIP(unix.IFA_BROADCAST, broadcast(a.Prefix)))
	}
	if !l.onlyMetric {
		data = append(data, nl.NewRtAttr(attrProto, nl.Uint8Attr(Protocol)))
	}
	return ignoreDone(v, l.rt.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, data...))
}

// broadcast is the subnet's last address, which ip(8) and every DHCP client set too.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|host)
	return netip.AddrFrom4(b)
}

// applyRoute adds, replaces or removes a route (rtnetlink(7)). Without NLM_F_REPLACE and with NLM_F_EXCL an add does not take
// the place of another program's route of the same key; a removal names our protocol, so that it can hit only ours.
func (l *Link) applyRoute(v Verb, r Route, index int) error {
	msg := &nl.RtMsg{}
	msg.Family, msg.Dst_len = uint8(familyOf(r.Dst.Addr())), uint8(r.Dst.Bits())
	msg.Protocol, msg.Scope = Protocol, r.Scope
	msg.Type = unix.RTN_UNICAST
	if r.Local {
		msg.Type = unix.RTN_LOCAL
	}
	if r.OnLink {
		msg.Flags |= unix.RTNH_F_ONLINK
	}
	data := []nl.NetlinkRequestData{msg, attr32(unix.RTA_TABLE, r.Table), attr32(unix.RTA_OIF, uint32(index))}
	if !r.isDefault() {
		data = append(data, attrIP(unix.RTA_DST, r.Dst.Addr()))
	}
	if r.Metric != 0 {
		data = append(data, attr32(unix.RTA_PRIORITY, r.Metric))
	}
	data = append(data, viaAttrs(r)...)
	switch v {
	case Del:
		return ignoreDone(v, l.rt.do(unix.RTM_DELROUTE, 0, data...))
	case Set:
		return l.rt.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, data...)
	}
	return ignoreDone(v, l.rt.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, data...))
}

// viaAttrs are how a route leads and with which source: an IPv4 route by an IPv6 gateway has RTA_VIA
// (struct rtvia of linux/rtnetlink.h).
func viaAttrs(r Route) (data []nl.NetlinkRequestData) {
	if r.Via.IsValid() {
		if r.Via.Is4() == r.Dst.Addr().Is4() {
			data = append(data, attrIP(unix.RTA_GATEWAY, r.Via))
		} else { // struct rtvia: the family, then the address
			data = append(data, nl.NewRtAttr(unix.RTA_VIA, append(nl.Uint16Attr(uint16(familyOf(r.Via))), r.Via.AsSlice()...)))
		}
	}
	if r.Src.IsValid() {
		data = append(data, attrIP(unix.RTA_PREFSRC, r.Src))
	}
	if r.MTU != 0 {
		metrics := nl.NewRtAttr(unix.RTA_METRICS, nil)
		metrics.AddRtAttr(unix.RTAX_MTU, nl.Uint32Attr(r.MTU))
		data = append(data, metrics)
	}
	return data
}

// applyRule adds or removes a policy rule (linux/fib_rules.h). The kernel removes the first rule that has every attribute of the
// request (rule_find of net/core/fib_rules.c). The protocol is one, so that another program's rule of the same form stays.
func (l *Link) applyRule(v Verb, r Rule) error {
	msg := &nl.RtMsg{}
	msg.Family, msg.Src_len = uint8(familyOf(r.From.Addr())), uint8(r.From.Bits())
	msg.Type = unix.RTN_UNICAST
	if r.Refuse {
		msg.Type = unix.RTN_UNREACHABLE // FR_ACT_UNREACHABLE has the same number
	}
	data := []nl.NetlinkRequestData{
		msg,
		attr32(nl.FRA_PRIORITY, r.Pref),
		attr32(nl.FRA_TABLE, r.Table),
		nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(Protocol)),
	}
	if r.From.Bits() > 0 {
		data = append(data, attrIP(nl.FRA_SRC, r.From.Addr()))
	}
	if r.MinBits != 0 {
		data = append(data, attr32(nl.FRA_SUPPRESS_PREFIXLEN, r.MinBits-1))
	}
	if r.NoGroup {
		data = append(data, attr32(nl.FRA_SUPPRESS_IFGROUP, Group))
	}
	data = append(data, r.markAttrs()...)
	data = append(data, r.sharedAttrs(msg)...)
	if v == Del {
		if r.Table == 0 && !r.Refuse { // not ours to write: it refuses what it is for, or leads to another rule
			msg.Type = unix.RTN_UNSPEC // whatever it does
		}
		return ignoreDone(v, l.rt.do(unix.RTM_DELRULE, 0, data...))
	}
	return ignoreDone(v, l.rt.do(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, data...))
}

func (l *Link) setLink(index int, data ...nl.NetlinkRequestData) error {
	_, errs := l.rt.execute(0, l.rt.linkRequest(index, data...))
	return errs[0]
}

// setUp sets IFF_UP alone, or takes it away: ifi_change says which flags are meant.
func (l *Link) setUp(index int, up bool) error {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index, msg.Change = int32(index), unix.IFF_UP
	if up {
		msg.Flags = unix.IFF_UP
	}
	return l.rt.do(unix.RTM_SETLINK, 0, msg)
}

// applyAltName adds or removes an alternative name (RTM_NEWLINKPROP, Linux 5.5), which is of up to 127 bytes (ALTIFNAMSIZ).
func (l *Link) applyAltName(v Verb, name string, index int) error {
	kind, flags := unix.RTM_NEWLINKPROP, unix.NLM_F_EXCL|unix.NLM_F_CREATE|unix.NLM_F_APPEND
	if v == Del {
		kind, flags = unix.RTM_DELLINKPROP, 0
	}
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	list := nl.NewRtAttr(unix.IFLA_PROP_LIST|unix.NLA_F_NESTED, nil)
	list.AddRtAttr(unix.IFLA_ALT_IFNAME, nl.ZeroTerminated(name))
	err := l.rt.do(kind, flags, msg, list)
	if errors.Is(err, unix.EOPNOTSUPP) { // before Linux 5.5: the interface does without
		l.noAltNames = true
		return errAlready
	}
	return ignoreDone(v, err)
}

// sharedAttrs are the attributes that only shared and early rules have. The owner is written as a mark of which
// no bit is compared: it changes nothing, and every kernel keeps it.
func (r Rule) sharedAttrs(msg *nl.RtMsg) (data []nl.NetlinkRequestData) {
	if r.To.IsValid() {
		msg.Dst_len = uint8(r.To.Bits())
		data = append(data, attrIP(nl.FRA_DST, r.To.Addr()))
	}
	if r.owned() {
		data = append(data, attr32(nl.FRA_FWMARK, r.Mark|r.Owner), attr32(nl.FRA_FWMASK, r.Mask))
	}
	return data
}
