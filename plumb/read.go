package plumb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrGone says that there is no such interface in this network namespace (any more).
var ErrGone = errors.New("no such network interface")

// Read takes a snapshot of what the kernel holds for the interface. It asks for all of it: nothing is
// remembered from the last time.
func (l *Link) Read() (Snapshot, error) {
	s, err := l.Look()
	if err != nil {
		return s, err
	}
	s.noAltNames = l.noAltNames
	steps := []func(*Snapshot) error{l.readAddrs, l.readPeers, l.readRoutes, l.readRivals, l.readRules, l.readPackets, l.readForwarding}
	for _, step := range steps {
		if err := step(&s); err != nil {
			return s, l.failed(err)
		}
	}
	return s, nil
}

// failed is the error of a question about the interface, which may have been unplugged since the last one.
func (l *Link) failed(err error) error {
	if errors.Is(err, unix.ENODEV) {
		if _, gone := l.Look(); gone != nil {
			return gone
		}
	}
	return fmt.Errorf("read the state of %s: %w", l.Name, err)
}

func (l *Link) readAddrs(s *Snapshot) (err error) {
	s.Addrs, err = l.addrs(s.Index)
	return err
}

// readPeers learns the addresses of the host's other cloud interfaces that have no rules which tell them.
func (l *Link) readPeers(s *Snapshot) error {
	for _, g := range s.Groups {
		list, err := l.addrs(g.Index)
		if err != nil && !errors.Is(err, unix.ENODEV) { // unplugged meanwhile
			return err
		}
		for _, a := range list {
			if ip := a.Prefix.Addr(); !ip.IsLinkLocalUnicast() {
				s.Taken = append(s.Taken, netip.PrefixFrom(ip, ip.BitLen()))
			}
		}
	}
	return nil
}

func (l *Link) addrs(index int) (out []Addr, err error) {
	msg := nl.NewIfAddrmsg(unix.AF_UNSPEC)
	msg.Index = uint32(index)
	msgs, err := l.rt.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, msg)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, m := range msgs {
		a, ok, err := parseAddr(m, index)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, a)
		}
	}
	return out, nil
}

// parseAddr takes the addresses of the interface index, for kernels that do not filter.
func parseAddr(m []byte, index int) (addr Addr, ok bool, err error) {
	a, err := parseAttrs(m, unix.SizeofIfAddrmsg)
	if err != nil {
		return addr, false, err
	}
	h := nl.DeserializeIfAddrmsg(m)
	ip := a.addr(unix.IFA_LOCAL)
	if !ip.IsValid() {
		ip = a.addr(unix.IFA_ADDRESS) // IPv6 has no local address beside a peer's
	}
	flags := a.u32or(unix.IFA_FLAGS, uint32(h.Flags))
	return Addr{
		Prefix:        netip.PrefixFrom(ip, int(h.Prefixlen)),
		NoPrefixRoute: flags&unix.IFA_F_NOPREFIXROUTE != 0,
		Ours:          oursAddr(a),
	}, int(h.Index) == index && ip.IsValid(), nil
}

// oursAddr: by protocol where the kernel keeps it (5.18), else by the metric.
func oursAddr(a attrs) bool {
	if p := a[attrProto]; len(p) > 0 && p[0] != 0 {
		return p[0] == Protocol
	}
	return a.u32(unix.IFA_RT_PRIORITY) == addrMetric
}

func (l *Link) readRoutes(s *Snapshot) error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		msgs, err := l.routes(family, s.Index)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			r, ok, err := parseRoute(m, s.Index)
			if err != nil {
				return err
			}
			if ok {
				s.Routes = append(s.Routes, r)
			} else if a, ok := parseOwn(m, s.Index); ok {
				s.Answered = append(s.Answered, a)
			}
		}
	}
	return nil
}

// parseOwn takes the kernel's local route to an IPv6 address of the interface.
func parseOwn(m []byte, index int) (own netip.Addr, ok bool) {
	h := nl.DeserializeRtMsg(m)
	if h.Family != unix.AF_INET6 || h.Type != unix.RTN_LOCAL || h.Dst_len != 128 || h.Protocol != unix.RTPROT_KERNEL {
		return own, false
	}
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	own = a.addr(unix.RTA_DST)
	return own, err == nil && own.IsValid() && int(a.u32(unix.RTA_OIF)) == index
}

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
