package plumb

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// message is a notification as the kernel writes it.
func message(header nl.NetlinkRequestData, attrs ...nl.NetlinkRequestData) []byte {
	b := header.Serialize()
	for _, a := range attrs {
		b = append(b, a.Serialize()...)
	}
	return b
}

func routeMessage(family, bits, protocol uint8) *nl.RtMsg {
	m := &nl.RtMsg{}
	m.Family, m.Dst_len, m.Src_len, m.Protocol, m.Type = family, bits, bits, protocol, unix.RTN_UNICAST
	return m
}

// FuzzParse: no bytes make a parser panic, and what it takes can be written, compared and planned.
func FuzzParse(f *testing.F) {
	four, six := netip.MustParseAddr("10.0.2.37"), netip.MustParseAddr("2001:db8::37")
	metrics := nl.NewRtAttr(unix.RTA_METRICS, nil)
	metrics.AddRtAttr(unix.RTAX_MTU, nl.Uint32Attr(1400))
	link := nl.NewIfInfomsg(unix.AF_UNSPEC)
	names := nl.NewRtAttr(unix.IFLA_PROP_LIST|unix.NLA_F_NESTED, nil)
	names.AddRtAttr(unix.IFLA_ALT_IFNAME, nl.ZeroTerminated("eni-0a1"))
	family := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	family.AddRtAttr(unix.AF_INET, nil).AddRtAttr(inetConf, make([]byte, 132))
	family.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(inet6Conf, make([]byte, 240))
	address := nl.NewIfAddrmsg(unix.AF_INET)
	address.Index, address.Prefixlen = 3, 24
	for _, b := range [][]byte{
		{}, {1}, make([]byte, 12), append(make([]byte, 12), 5, 0, 1, 0, 9), append(make([]byte, 16), 3, 0, 0, 0),
		message(routeMessage(unix.AF_INET, 24, Protocol), attr32(unix.RTA_TABLE, 10001), attr32(unix.RTA_OIF, 3), attrIP(unix.RTA_DST, four),
			attrIP(unix.RTA_GATEWAY, four), attrIP(unix.RTA_PREFSRC, four), metrics),
		message(routeMessage(unix.AF_INET6, 255, Protocol), attr32(unix.RTA_OIF, 3), attrIP(unix.RTA_DST, six), nl.NewRtAttr(unix.RTA_VIA, []byte{10, 0, 1})),
		message(routeMessage(unix.AF_INET, 32, 0), attrIP(nl.FRA_SRC, four), attr32(nl.FRA_PRIORITY, 20001), attr32(nl.FRA_TABLE, 10001),
			nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(Protocol)), attr32(nl.FRA_SUPPRESS_IFGROUP, Group)),
		message(address, attrIP(unix.IFA_LOCAL, four), attr32(unix.IFA_FLAGS, unix.IFA_F_NOPREFIXROUTE), nl.NewRtAttr(attrProto, nl.Uint8Attr(Protocol))),
		message(link, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("eth1")), names, family, nl.NewRtAttr(unix.IFLA_ADDRESS, make([]byte, 32))),
		userData(PacketRule{Kind: Masquerade, Dev: 3, From: netip.MustParsePrefix("172.22.5.128/26")}.comment()),
		userData(PacketRule{Kind: ReplyByInterface, Dev: 3, Mark: 0x2000000}.comment()), userData(PacketRule{Kind: ClampMSS, Dev: 3}.comment()),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := bare()
		if r, ok, err := parseRoute(b, 3); ok && err == nil {
			s.Routes = append(s.Routes, r)
		}
		if r, ok, err := parseRule(b); ok && err == nil {
			s.Rules = append(s.Rules, r)
		}
		if a, ok, err := parseAddr(b, 3); ok && err == nil {
			s.Addrs = append(s.Addrs, a)
		}
		_, _ = parseForeign(b)
		_, _, _ = parseNetconf(b)
		if w, err := parseWay(b); err == nil && w.Local && w.Via.IsValid() && len(b) < unix.SizeofRtMsg {
			t.Errorf("%d bytes are %+v", len(b), w)
		}
		if r := parsePacketComment(10001, comment(b)); r.Kind != altered && r.comment() != comment(b) {
			t.Errorf("%q is read as %+v", comment(b), r)
		}
		if a, err := parseAttrs(b, min(len(b), unix.SizeofIfInfomsg)); err == nil && len(b) >= unix.SizeofIfInfomsg {
			linkSnapshot(nl.DeserializeIfInfomsg(b), a)
		}
		state, _ := Want(Input{Interface: s.Granted(), Have: s, OwnAddress: true, MainTable: true})
		_ = Diff(s.State, state).String()
		_ = Diff(s.State, Detached(s, &Baseline{})).String()
	})
}
