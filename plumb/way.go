package plumb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Way is where the kernel sends a packet. The zero value is nowhere.
type Way struct {
	Index   int        // of the device; 0: the kernel has no way
	Via     netip.Addr // the next hop; invalid: the destination itself
	Local   bool       // to the host itself
	Dropped bool       // and what comes back by it is dropped on the way in (reverse path filter)
}

// ok: packets get there, and answers back, as far as this host has a say in it.
func (w Way) ok() bool { return w.Index != 0 && !w.Local && !w.Dropped }

// way asks the kernel for the way of a flow. A refusal is an answer: the zero Way.
func (l *Link) way(f Flow) (Way, error) {
	w, err := l.rt.routeGet(f, 0)
	filtered := f.Local.IsValid() && !f.Remote.Addr().Is6() // for IPv6 the kernel has no rp_filter
	if err != nil || w.Index == 0 || w.Local || !filtered {
		return w, err
	}
	// What comes in by the same device, without the mark that only the socket's own packets have.
	in := Flow{Local: f.Remote, Remote: f.Local}
	back, err := l.rt.routeGet(in, w.Index)
	w.Dropped = back.Index == 0
	return w, err
}

// Plain is the way of a flow that has chosen this interface and no address: no source rule of ours has a say in it, nor
// has a table of another interface. So main tells.
func (l *Link) Plain(f Flow) (Way, error) {
	return l.way(Flow{Remote: f.Remote, Device: l.Index, Mark: f.Mark, UID: f.UID})
}

// routeGet is `ip route get`. With a device in, the packet is one that arrives there.
func (s *socket) routeGet(f Flow, in int) (Way, error) {
	msg := &nl.RtMsg{}
	dst := f.Remote.Addr()
	msg.Family, msg.Dst_len = uint8(familyOf(dst)), uint8(dst.BitLen())
	data := []nl.NetlinkRequestData{msg, attrIP(unix.RTA_DST, dst)}
	if src := f.Local.Addr(); src.IsValid() {
		msg.Src_len = uint8(src.BitLen())
		data = append(data, attrIP(unix.RTA_SRC, src))
	}
	if f.Mark != 0 {
		data = append(data, attr32(unix.RTA_MARK, f.Mark))
	}
	if in != 0 {
		data = append(data, attr32(unix.RTA_IIF, uint32(in)))
	} else {
		data = append(data, attr32(unix.RTA_UID, f.UID))
	}
	if f.Device != 0 {
		data = append(data, attr32(unix.RTA_OIF, uint32(f.Device)))
	}
	msgs, err := s.request(unix.RTM_GETROUTE, 0, append(data, ports(f)...)...).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if refused(err) {
		return Way{}, nil
	}
	if err != nil || len(msgs) != 1 {
		return Way{}, fmt.Errorf("look up the route of %s: %w", f, err)
	}
	return parseWay(msgs[0])
}

// ports are for rules that ask for them (ip_proto, sport and dport of ip-rule(8)).
func ports(f Flow) []nl.NetlinkRequestData {
	port := func(t int, p uint16) *nl.RtAttr { return nl.NewRtAttr(t, binary.BigEndian.AppendUint16(nil, p)) }
	data := []nl.NetlinkRequestData{
		nl.NewRtAttr(unix.RTA_IP_PROTO, nl.Uint8Attr(unix.IPPROTO_TCP)), port(unix.RTA_DPORT, f.Remote.Port()),
	}
	if f.Local.Port() != 0 {
		data = append(data, port(unix.RTA_SPORT, f.Local.Port()))
	}
	return data
}

// refused: the kernel answered that it has no way. Of a source address that is not the host's, and of
// a packet that the reverse path filter drops, it says EINVAL or EXDEV.
func refused(err error) bool {
	for _, e := range []error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL, unix.EXDEV, unix.ENODEV, unix.ENETDOWN, unix.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func parseWay(m []byte) (Way, error) {
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	if err != nil {
		return Way{}, err
	}
	return wayOf(nl.DeserializeRtMsg(m), a), nil
}

func wayOf(h *nl.RtMsg, a attrs) Way {
	w := Way{Index: int(a.u32(unix.RTA_OIF)), Via: a.via(), Local: h.Type == unix.RTN_LOCAL}
	if h.Type != unix.RTN_UNICAST && !w.Local {
		return Way{} // IPv6 says "unreachable" so
	}
	return w
}
