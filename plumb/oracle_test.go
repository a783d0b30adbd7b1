package plumb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ec2net/dhcp"
)

// This is the table "What is ours" of the README once more, written without Want and Diff, and the
// kernel as another netlink library sees it. What both say is text, an object a line.

// cloudInterface is what the cloud grants an interface.
type cloudInterface struct {
	name       string
	n          int
	addrs      [2][]netip.Addr // IPv4 and IPv6; the first of each is the primary
	blocks     [2][]netip.Prefix
	subnets    [2]netip.Prefix
	router     netip.Addr // of the lease, if it lies in the subnet
	mtu        int        // of the lease; 0: none
	static     []dhcp.Route
	main       bool // main_table
	delegation Delegation
}

// sight is what another program sees: what has our mark, and the rest.
type sight struct {
	ours, others []string
	routes       []seenRoute // of others, in main and in the interfaces' tables
	addrs        map[string][]netip.Addr
	groups       map[string]uint32
	mtus         map[string]int
}

type seenRoute struct {
	netlink.Route
	dev string
}

const hostRoutes = 255 // the table local follows the addresses, in the kernel's own time

// look lists everything in the network namespace of h.
func look(h *netlink.Handle) (s sight, err error) {
	s.addrs, s.groups, s.mtus = map[string][]netip.Addr{}, map[string]uint32{}, map[string]int{}
	links, err := h.LinkList()
	if err != nil {
		return s, err
	}
	names := map[int]string{}
	for _, l := range links {
		a := l.Attrs()
		names[a.Index], s.groups[a.Name], s.mtus[a.Name] = a.Name, a.Group, a.MTU
		if err := s.link(h, l); err != nil {
			return s, err
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return s, err
		}
		for _, r := range routes {
			s.route(r, names[r.LinkIndex])
		}
		rules, err := h.RuleList(family)
		if err != nil {
			return s, err
		}
		for _, r := range rules {
			s.note(r.Protocol == 236, ruleLine(r.Priority, r.Src.String(), r.Table, r.SuppressPrefixlen, r.SuppressIfgroup))
		}
	}
	slices.Sort(s.ours)
	slices.Sort(s.others)
	return s, nil
}

func (s *sight) note(ours bool, line string) {
	if ours {
		s.ours = append(s.ours, line)
	} else {
		s.others = append(s.others, line)
	}
}

// link notes addresses, by the flag that the test's strangers do not use, and names.
func (s *sight) link(h *netlink.Handle, l netlink.Link) error {
	a := l.Attrs()
	if a.Name == "lo" || strings.HasPrefix(a.Name, "gw") {
		return nil
	}
	for _, n := range a.AltNames {
		s.note(true, a.Name+" also called "+n)
	}
	list, err := h.AddrList(l, unix.AF_UNSPEC)
	for _, addr := range list {
		ours := addr.Flags&unix.IFA_F_NOPREFIXROUTE != 0
		s.note(ours, a.Name+" addr "+addr.IPNet.String())
		if ip, _ := netip.AddrFromSlice(addr.IP); !ours {
			s.addrs[a.Name] = append(s.addrs[a.Name], ip.Unmap())
		}
	}
	return err
}

func (s *sight) route(r netlink.Route, dev string) {
	ours := r.Protocol == 236
	if (r.Table == hostRoutes && !ours) || strings.HasPrefix(dev, "gw") || dev == "lo" {
		return
	}
	if r.Protocol != unix.RTPROT_KERNEL { // of those, one of ours that stands before another's address decides
		s.note(ours, routeLine(r, dev))
	}
	if !ours {
		s.routes = append(s.routes, seenRoute{r, dev})
	}
}

func routeLine(r netlink.Route, dev string) string {
	return fmt.Sprintf("%s type %d table %d route %s via %s src %s metric %d scope %d onlink %v",
		dev, r.Type, r.Table, r.Dst, r.Gw, r.Src, r.Priority, r.Scope, r.Flags&unix.RTNH_F_ONLINK != 0)
}

func ruleLine(pref int, from string, table, prefixlen, group int) string {
	return fmt.Sprintf("rule %d from %s lookup %d suppress_prefixlength %d suppress_ifgroup %d", pref, from, table, prefixlen, group)
}

// expected is what the README says of the interfaces, given what others have.
func expected(ifaces []*cloudInterface, s sight) (out []string) {
	for _, c := range ifaces {
		e := expectation{cloudInterface: c, s: s, t: 10000 + c.n, beside: len(ifaces) > 1}
		e.addresses()
		for f := range 2 {
			if (c.n > 0 || e.beside) && (len(c.addrs[f]) > 0 || (len(c.blocks[f]) > 0 && c.delegation != DelegateOff)) {
				e.routing(f)
			}
			if c.delegation == DelegateLocal {
				e.local(f)
			}
		}
		if c.n > 0 {
			out = append(out, fmt.Sprintf("%s also called eni-%d", c.name, c.n), fmt.Sprintf("%s also called device-number-%d", c.name, c.n))
		}
		out = append(out, e.lines...)
	}
	slices.Sort(out)
	return out
}

type expectation struct {
	*cloudInterface
	s      sight
	t      int
	beside bool // other interfaces of the cloud are set up
	lines  []string
}

func (e *expectation) add(line string) { e.lines = append(e.lines, line) }

// addresses: the primary interface's first IPv4 address is not ours, and what another holds is his.
func (e *expectation) addresses() {
	for f, list := range e.addrs {
		for i, a := range list {
			bits := a.BitLen()
			if i == 0 && f == 0 {
				bits = e.subnets[f].Bits()
			}
			if (e.n > 0 || i > 0 || f > 0) && !slices.Contains(e.s.addrs[e.name], a) {
				e.add(fmt.Sprintf("%s addr %s/%d", e.name, a, bits))
			}
		}
	}
}

// routing is a family's table and rules.
func (e *expectation) routing(f int) {
	subnet := e.subnets[f]
	gw, primary := subnet.Addr().Next(), netip.Addr{} // none where there are but blocks
	if len(e.addrs[f]) > 0 {
		primary = e.addrs[f][0]
	}
	if e.router.IsValid() && e.n > 0 {
		gw = e.router
	}
	metric, scope := 0, unix.RT_SCOPE_LINK
	if f == 1 {
		gw, metric, scope = netip.MustParseAddr("fe80:ec2::1"), 1024, 0
	}
	e.copies(f)
	tables := map[int]int{e.t: metric} // the metric in each
	if e.main && e.n > 0 && primary.IsValid() {
		tables[254] = e.t
	}
	for table, metric := range tables {
		e.route(netlink.Route{Table: table, Priority: metric, Scope: netlink.Scope(scope)}, subnet, netip.Addr{}, primary)
		e.route(netlink.Route{Table: table, Priority: metric}, everywhere(gw.Is6()), gw, primary)
	}
	if f == 0 {
		e.leased(primary)
	}
	e.add(ruleLine(e.t, subnet.String(), 254, 7, 236))
	for _, a := range e.addrs[f] {
		e.add(ruleLine(e.t+10000, netip.PrefixFrom(a, a.BitLen()).String(), e.t, -1, -1))
	}
	if e.delegation == DelegateOff {
		return
	}
	for _, p := range e.blocks[f] {
		e.add(ruleLine(e.t+10000, p.String(), e.t, -1, -1))
	}
}

// route is ours, unless another program's stands there.
func (e *expectation) route(r netlink.Route, dst netip.Prefix, via, src netip.Addr) {
	r.Type = unix.RTN_UNICAST
	line := fmt.Sprintf("%s type %d table %d route %s via %s src %s metric %d scope %d onlink %v",
		e.name, r.Type, r.Table, dst, orNil(via), orNil(src), r.Priority, r.Scope, r.Flags&unix.RTNH_F_ONLINK != 0)
	for _, o := range e.s.routes {
		if o.Table == r.Table && o.Dst.String() == dst.String() && o.Priority == r.Priority {
			return
		}
	}
	e.add(line)
}

// orNil is how the library prints an address that is not there.
func orNil(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return "<nil>"
}

// copies are main's routes of others through the interface.
func (e *expectation) copies(f int) {
	for _, r := range e.s.routes {
		dst := netip.MustParsePrefix(r.Dst.String())
		if r.dev != e.name || r.Table != 254 || dst.Bits() == 0 || dst.Addr().Is6() != (f == 1) || (dst == e.subnets[f] && r.Gw == nil) {
			continue
		}
		via, _ := netip.AddrFromSlice(r.Gw)
		if slices.Contains(e.addrs[f], via.Unmap()) || slices.Contains(e.s.addrs[e.name], via.Unmap()) {
			continue // no gateway any more
		}
		src, _ := netip.AddrFromSlice(r.Src)
		e.route(netlink.Route{Table: e.t, Priority: r.Priority, Scope: r.Scope, Flags: r.Flags & unix.RTNH_F_ONLINK}, dst, via.Unmap(), src.Unmap())
	}
}

func (e *expectation) local(f int) {
	scope := 0
	if f == 0 {
		scope = unix.RT_SCOPE_HOST
	}
	for _, p := range e.blocks[f] {
		e.add(fmt.Sprintf("%s type %d table %d route %s via <nil> src <nil> metric %d scope %d onlink false", e.name, unix.RTN_LOCAL, hostRoutes, p, e.t, scope))
	}
}
