package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"ec2net/metadata"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linkIndex is a link of which only the index is known, which is all that netlink needs.
func linkIndex(i int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: i}}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// addAddr adds an address that is usable at once.
func addAddr(h *netlink.Handle, l netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(l, a); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s: %w", p, err)
	}
	return nil
}

// delAddr removes an address.
func delAddr(h *netlink.Handle, l netlink.Link, p netip.Prefix) error {
	if err := h.AddrDel(l, &netlink.Addr{IPNet: ipNet(p)}); err != nil {
		return fmt.Errorf("remove address %s: %w", p, err)
	}
	return nil
}

// linkLocal is the address that an interface gives itself (RFC 4291 appendix A).
func linkLocal(m metadata.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// pingRange lets everybody on a node open ICMP echo sockets, as distributions do. Only group 0 is sure
// to exist in a user namespace.
var pingRange = [2]string{"net/ipv4/ping_group_range", "0 0"}

// prepareHost sets what an installed host's kernel has set before any interface is there.
func prepareHost(n *Node, rpFilter int, dad bool) error {
	rp := fmt.Sprint(rpFilter)
	values := [][2]string{
		{"net/ipv4/conf/all/rp_filter", rp},
		{"net/ipv4/conf/default/rp_filter", rp},
		pingRange,
	}
	if !dad {
		values = append(values, [2]string{"net/ipv6/conf/default/accept_dad", "0"})
	}
	return n.sysctls(values)
}

// rtprotDHCP marks routes from DHCP, rtprotRA those from router advertisements (rtnetlink.h).
const rtprotDHCP, rtprotRA = unix.RTPROT_DHCP, unix.RTPROT_RA

// installedMetric is what NetworkManager gives the first interface (seed 002).
const installedMetric = 100

// configureInstalled leaves an interface as the installer's DHCP client would: up, its primary addresses, the
// subnet's route and the default route.
func configureInstalled(k *iface) error {
	h := k.node.nl
	l, err := h.LinkByName(k.Name)
	if err != nil {
		return fmt.Errorf("find %s: %w", k.Name, err)
	}
	if err := errors.Join(h.LinkSetMTU(l, k.MTU), h.LinkSetUp(l)); err != nil {
		return fmt.Errorf("set %s up: %w", k.Name, err)
	}
	err = settle(k.node, l.Attrs().Index)
	if len(k.Addrs4) > 0 && k.subnet.CIDR.IsValid() {
		err = errors.Join(err, configure4(k, l))
	}
	if len(k.Addrs6) > 0 {
		err = errors.Join(err, configure6(k, l))
	}
	return err
}

func configure4(k *iface, l netlink.Link) error {
	src, index := k.Addrs4[0].AsSlice(), l.Attrs().Index
	h := k.node.cloud.cfg.Cloud.habits()
	addr := &netlink.Addr{IPNet: ipNet(k.leased4()), Flags: unix.IFA_F_NOPREFIXROUTE}
	if err := k.node.nl.AddrAdd(l, addr); err != nil {
		return fmt.Errorf("add %s to %s: %w", addr.IPNet, k.Name, err)
	}
	var routes []*netlink.Route
	if !h.lonely {
		routes = append(routes, &netlink.Route{
			LinkIndex: index, Dst: ipNet(k.subnet.CIDR.Masked()), Src: src, Scope: netlink.SCOPE_LINK, Protocol: unix.RTPROT_KERNEL, Priority: installedMetric,
		})
	}
	for _, r := range h.leased(k) {
		route := &netlink.Route{LinkIndex: index, Dst: ipNet(r.Dst), Protocol: rtprotDHCP, Priority: installedMetric}
		if r.Via.IsUnspecified() {
			route.Scope = netlink.SCOPE_LINK
		} else {
			route.Gw = r.Via.AsSlice()
		}
		routes = append(routes, route)
	}
	return addRoutes(k, routes...)
}

// leased4 is the interface's primary address as a lease has it: with the subnet that is on the link.
func (k *iface) leased4() netip.Prefix {
	if k.node.cloud.cfg.Cloud.habits().lonely {
		return netip.PrefixFrom(k.Addrs4[0], 32)
	}
	return netip.PrefixFrom(k.Addrs4[0], k.subnet.CIDR.Bits())
}

func configure6(k *iface, l netlink.Link) error {
	index := l.Attrs().Index
	if err := addAddr(k.node.nl, l, netip.PrefixFrom(k.Addrs6[0], 128)); err != nil {
		return err
	}
	h := k.node.cloud.cfg.Cloud.habits()
	var routes []*netlink.Route
	if !h.lonely {
		routes = append(routes, &netlink.Route{LinkIndex: index, Dst: ipNet(k.subnet.IPv6.Masked()), Protocol: rtprotRA, Priority: installedMetric})
	}
	return addRoutes(k, append(routes,
		&netlink.Route{LinkIndex: index, Dst: ipNet(world6), Gw: h.gateway6(k.subnet).AsSlice(), Protocol: rtprotRA, Priority: installedMetric},
	)...)
}

func addRoutes(k *iface, routes ...*netlink.Route) error {
	for _, r := range routes {
		if err := k.node.nl.RouteAdd(r); err != nil {
			return fmt.Errorf("add route %s on %s: %w", r.Dst, k.Name, err)
		}
	}
	return nil
}
