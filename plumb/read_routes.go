package plumb

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The routes that the kernel holds.

func (l *Link) routes(family, index int) ([][]byte, error) {
	return l.rt.routes(&unix.RtMsg{Family: uint8(family)}, attr32(unix.RTA_OIF, uint32(index)))
}

// routes lists the routes that are like the question. A kernel before 4.20 lists all routes of the family.
func (s *socket) routes(like *unix.RtMsg, more ...nl.NetlinkRequestData) ([][]byte, error) {
	msgs, err := s.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, append([]nl.NetlinkRequestData{&nl.RtMsg{RtMsg: *like}}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return msgs, nil
}

// eachRoute walks over the routes that are like the question, and over others on an old kernel; see routes.
func (s *socket) eachRoute(each func(h *nl.RtMsg, table uint32, a attrs), like *unix.RtMsg, more ...nl.NetlinkRequestData) error {
	msgs, err := s.routes(like, more...)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		a, err := parseAttrs(m, unix.SizeofRtMsg)
		if err != nil {
			return err
		}
		h := nl.DeserializeRtMsg(m)
		each(h, a.u32or(unix.RTA_TABLE, uint32(h.Table)), a)
	}
	return nil
}

// mainRoutes walks over table main's routes of one family, of every type.
func (s *socket) mainRoutes(family int, each func(h *nl.RtMsg, a attrs)) error {
	return s.eachRoute(func(h *nl.RtMsg, table uint32, a attrs) {
		if h.Flags&unix.RTM_F_CLONED == 0 && table == tableMain {
			each(h, a)
		}
	}, &unix.RtMsg{Family: uint8(family)}, attr32(unix.RTA_TABLE, tableMain))
}

// marked walks over the routes of ours.
func (s *socket) marked(each func(table uint32, a attrs)) error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		err := s.eachRoute(func(h *nl.RtMsg, table uint32, a attrs) {
			if h.Protocol == Protocol {
				each(table, a)
			}
		}, &unix.RtMsg{Family: uint8(family), Protocol: Protocol})
		if err != nil {
			return err
		}
	}
	return nil
}

// parseRoute takes what Want and Diff can use: unicast routes with a single next hop through the
// interface, in any table but local, and of the table local what is ours.
func parseRoute(m []byte, index int) (r Route, ok bool, err error) {
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	if err != nil {
		return r, false, err
	}
	h := nl.DeserializeRtMsg(m)
	table := a.u32or(unix.RTA_TABLE, uint32(h.Table))
	local := h.Type == unix.RTN_LOCAL && table == tableLocal && h.Protocol == Protocol
	unicast := h.Type == unix.RTN_UNICAST && table != tableLocal
	here := h.Flags&unix.RTM_F_CLONED == 0 && h.Tos == 0 && int(a.u32(unix.RTA_OIF)) == index
	if !here || (!local && !unicast) {
		return r, false, nil
	}
	dst := a.addr(unix.RTA_DST)
	if !dst.IsValid() {
		dst = everywhere(h.Family == unix.AF_INET6).Addr()
	}
	return Route{
		Table:  table,
		Dst:    netip.PrefixFrom(dst, int(h.Dst_len)),
		Via:    a.via(),
		Src:    a.addr(unix.RTA_PREFSRC),
		Metric: a.u32(unix.RTA_PRIORITY),
		MTU:    a.nested(unix.RTA_METRICS).u32(unix.RTAX_MTU),
		OnLink: h.Flags&unix.RTNH_F_ONLINK != 0,
		Scope:  h.Scope,
		Ours:   h.Protocol == Protocol,
		Local:  local,
		// Of a prefix that was advertised the kernel says protocol kernel, and when it expires.
		Advertised: h.Protocol == unix.RTPROT_RA || (h.Protocol == unix.RTPROT_KERNEL && expires(a)),
	}, true, nil
}

// expires: the route goes by itself (struct rta_cacheinfo, third word).
func expires(a attrs) bool {
	b := a[unix.RTA_CACHEINFO]
	return len(b) >= 12 && binary.NativeEndian.Uint32(b[8:]) != 0
}
