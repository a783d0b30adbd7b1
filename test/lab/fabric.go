package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"ec2net/metadata"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// fabric is the VPC's router: a network namespace with one port for each interface and one for the internet.
// The routes say which interface has which address, and everything else follows from them: delivery, the ARP
// that the router answers for others, and the source check.
type fabric struct {
	node   *Node
	habits habits
	filter *filter
}

// port is the fabric's end of an interface's cable.
type port struct {
	name  string
	index int
	mac   metadata.MAC // of the interface, on the other end
}

const (
	portGroup     = 7      // interface group of all ports with interfaces
	firstPort     = 1000   // ifindex; not equal to the interface's, else the kernel defers the carrier by up to a second
	internetIndex = 900    // ifindex of the port to the client
	jumbo         = 9001   // bytes, MTU of the fabric
	internet      = "igw0" // name of that port
)

// nextHop4 stands for "the interface at the end of this cable". It is never seen on the wire: the neighbour
// entry is permanent, because a VPC knows where an address is and does not ask the instance.
var nextHop4 = netip.MustParseAddr("169.254.255.254")

// Addresses of the internet's side of the fabric, and what is reachable there.
var (
	igw4       = netip.MustParsePrefix("198.51.100.1/24")
	igw6       = netip.MustParsePrefix("2001:db8:ffff::1/64")
	world4     = netip.MustParsePrefix("0.0.0.0/0")
	world6     = netip.MustParsePrefix("::/0")
	forRouters = [][2]string{
		{"net/ipv4/ip_forward", "1"},
		{"net/ipv6/conf/all/forwarding", "1"},
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv4/conf/default/proxy_arp", "1"},
		{"net/ipv4/conf/all/send_redirects", "0"},
		{"net/ipv4/conf/default/send_redirects", "0"},
		{"net/ipv6/conf/default/proxy_ndp", "1"},
		{"net/ipv6/conf/default/forwarding", "1"},
		{"net/ipv6/conf/default/accept_dad", "0"},
		{"net/ipv4/icmp_ratelimit", "0"},
		pingRange,
	}
)

func newFabric(node, client *Node, cfg Config) (*fabric, error) {
	f := &fabric{node: node, habits: cfg.Cloud.habits()}
	if err := f.build(client, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("build the fabric: %w", err), f.close())
	}
	return f, nil
}

func (f *fabric) build(client *Node, cfg Config) (err error) {
	if err := f.node.sysctls(forRouters); err != nil {
		return err
	}
	if err := f.ownAddresses(cfg); err != nil {
		return err
	}
	if err := f.connectClient(client); err != nil {
		return err
	}
	// Nobody answers for an address that no interface has.
	for _, block := range append([]netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")}, cfg.VPC...) {
		if err := f.blackhole(block); err != nil {
			return err
		}
	}
	f.filter, err = newFilter(f.node, cfg)
	return err
}

func (f *fabric) blackhole(p netip.Prefix) error {
	if err := f.node.nl.RouteReplace(&netlink.Route{Dst: ipNet(p), Type: unix.RTN_BLACKHOLE}); err != nil {
		return fmt.Errorf("black hole for %s: %w", p, err)
	}
	return nil
}

// sysctls writes several values.
func (n *Node) sysctls(values [][2]string) error {
	return n.Do(func() error {
		for _, v := range values {
			if err := writeSysctl(v[0], v[1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// ownAddresses gives the fabric what it answers for itself: the gateways, the metadata server and the host.
func (f *fabric) ownAddresses(cfg Config) error {
	own := slices.Clone(f.habits.own())
	for _, s := range cfg.Subnets {
		if s.CIDR.IsValid() {
			own = append(own, s.Gateway4())
		}
	}
	lo := linkIndex(1)
	for _, a := range own {
		if err := addAddr(f.node.nl, lo, netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
	}
	return nil
}

// connectClient makes the internet: one cable, and a default route on the client.
func (f *fabric) connectClient(client *Node) error {
	quiet := [][2]string{{"net/ipv6/conf/default/accept_dad", "0"}, {"net/ipv6/conf/default/accept_ra", "0"}}
	if err := client.sysctls(append(quiet, pingRange)); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = internet, internetIndex
	attrs.Flags = net.FlagUp
	cable := netlink.NewVeth(attrs)
	cable.PeerName, cable.PeerNamespace = "eth0", netlink.NsFd(client.NetNS())
	cable.HardwareAddr = net.HardwareAddr{0x02, 0xfa, 0xb0, 0, 0, 1}
	cable.PeerHardwareAddr = net.HardwareAddr{0x02, 0xfa, 0xb0, 0, 0, 2}
	if err := f.node.nl.LinkAdd(cable); err != nil {
		return fmt.Errorf("connect the client: %w", err)
	}
	far, err := client.nl.LinkByName("eth0")
	if err == nil {
		err = client.nl.LinkSetUp(far)
	}
	if err != nil {
		return fmt.Errorf("set the client's interface up: %w", err)
	}
	near := linkIndex(internetIndex)
	return errors.Join(
		settle(f.node, internetIndex), settle(client, far.Attrs().Index),
		addAddr(f.node.nl, near, igw4), addAddr(f.node.nl, near, igw6),
		addAddr(client.nl, far, netip.PrefixFrom(ClientIP, igw4.Bits())),
		addAddr(client.nl, far, netip.PrefixFrom(ClientIP6, igw6.Bits())),
		client.nl.RouteAdd(&netlink.Route{LinkIndex: far.Attrs().Index, Dst: ipNet(world4), Gw: igw4.Addr().AsSlice()}),
		client.nl.RouteAdd(&netlink.Route{LinkIndex: far.Attrs().Index, Dst: ipNet(world6), Gw: igw6.Addr().AsSlice()}),
		// The client is all of the internet: give its lo another address, and it is reachable.
		f.node.nl.RouteAdd(&netlink.Route{LinkIndex: internetIndex, Dst: ipNet(world4), Gw: ClientIP.AsSlice()}),
		f.node.nl.RouteAdd(&netlink.Route{LinkIndex: internetIndex, Dst: ipNet(world6), Gw: ClientIP6.AsSlice()}),
	)
}

// plug makes an interface on its node and the port on the fabric.
func (f *fabric) plug(k *iface, number int) (port, error) {
	p := port{name: fmt.Sprintf("p%d", number), index: firstPort + number, mac: k.MAC}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = p.name, p.index
	attrs.Group, attrs.MTU = portGroup, jumbo
	attrs.Flags, attrs.HardwareAddr = net.FlagUp, f.habits.router(k.subnet, number)
	cable := netlink.NewVeth(attrs)
	cable.PeerName, cable.PeerNamespace = k.Name, netlink.NsFd(k.node.NetNS())
	cable.PeerHardwareAddr, cable.PeerMTU = k.MAC[:], 1500
	if err := f.node.nl.LinkAdd(cable); err != nil {
		return port{}, fmt.Errorf("plug interface %s into %s: %w", k.Name, k.node.Name, err)
	}
	if err := f.aim(p, k.subnet); err != nil {
		return port{}, errors.Join(err, f.unplug(p))
	}
	return p, nil
}

// aim teaches the port where its interface is, and makes it the IPv6 router of the interface's link.
func (f *fabric) aim(p port, s Subnet) error {
	for _, hop := range []netip.Addr{nextHop4, linkLocal(p.mac)} {
		n := &netlink.Neigh{LinkIndex: p.index, State: netlink.NUD_PERMANENT, IP: hop.AsSlice(), HardwareAddr: p.mac[:]}
		if err := f.node.nl.NeighSet(n); err != nil {
			return fmt.Errorf("neighbour %s on %s: %w", hop, p.name, err)
		}
	}
	err := f.node.sysctls([][2]string{ // else answers for others wait up to 0.8 s
		{"net/ipv4/neigh/" + p.name + "/proxy_delay", "0"},
		{"net/ipv6/neigh/" + p.name + "/proxy_delay", "0"},
	})
	if f.habits.lonely {
		err = errors.Join(err, f.alone(p, s))
	}
	// With the link's prefix: the router's address may be the one that the port makes of its MAC, in whose place it is.
	return errors.Join(err, addAddr(f.node.nl, linkIndex(p.index), netip.PrefixFrom(f.habits.gateway6(s), 64)))
}

// unplug removes the cable, and with it the interface and the routes to it.
func (f *fabric) unplug(p port) error {
	if err := f.node.nl.LinkDel(linkIndex(p.index)); err != nil {
		return fmt.Errorf("unplug port %s: %w", p.name, err)
	}
	return nil
}

// route is how the fabric reaches an interface.
func (p port) route(dst netip.Prefix) *netlink.Route {
	hop := nextHop4
	if dst.Addr().Is6() {
		hop = linkLocal(p.mac)
	}
	r := &netlink.Route{LinkIndex: p.index, Dst: ipNet(dst), Gw: hop.AsSlice()}
	r.SetFlag(netlink.FLAG_ONLINK)
	return r
}

// grant delivers a prefix to an interface, in place of whichever had it.
func (f *fabric) grant(p port, dst netip.Prefix) error {
	if err := f.node.nl.RouteReplace(p.route(dst)); err != nil {
		return fmt.Errorf("route %s to %s: %w", dst, p.name, err)
	}
	return nil
}

// revoke ends the delivery of a prefix to an interface.
func (f *fabric) revoke(p port, dst netip.Prefix) error {
	if err := f.node.nl.RouteDel(p.route(dst)); err != nil {
		return fmt.Errorf("remove route %s to %s: %w", dst, p.name, err)
	}
	return nil
}

// announce makes the router answer neighbour discovery for the interface's IPv6 addresses on the neighbours'
// links, and for theirs on the interface's. IPv4 needs none of this: proxy_arp follows the routes.
func (f *fabric) announce(k *iface, neighbours []*iface) error {
	for _, o := range neighbours {
		for _, a := range k.Addrs6 {
			if err := f.proxy(o.port, a); err != nil {
				return err
			}
		}
	}
	return f.listen(k, neighbours)
}

// listen makes the router answer for the neighbours on the interface's link.
func (f *fabric) listen(k *iface, neighbours []*iface) error {
	for _, o := range neighbours {
		for _, a := range o.Addrs6 {
			if err := f.proxy(k.port, a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fabric) proxy(p port, a netip.Addr) error {
	if f.habits.lonely {
		return nil
	}
	n := &netlink.Neigh{LinkIndex: p.index, Family: unix.AF_INET6, Flags: netlink.NTF_PROXY, IP: a.AsSlice()}
	if err := f.node.nl.NeighSet(n); err != nil {
		return fmt.Errorf("answer for %s on %s: %w", a, p.name, err)
	}
	return nil
}

// withdraw undoes announce for one address.
func (f *fabric) withdraw(a netip.Addr, neighbours []*iface) error {
	if a.Is4() {
		return nil
	}
	for _, o := range neighbours {
		n := &netlink.Neigh{LinkIndex: o.port.index, Family: unix.AF_INET6, Flags: netlink.NTF_PROXY, IP: a.AsSlice()}
		if err := f.node.nl.NeighDel(n); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("stop answering for %s on %s: %w", a, o.port.name, err)
		}
	}
	return nil
}

func (f *fabric) mapEIP(private, public netip.Addr) error { return f.filter.mapEIP(private, public) }
func (f *fabric) unmap(private, public netip.Addr) error  { return f.filter.unmap(private, public) }

func (f *fabric) close() error {
	if f.filter == nil {
		return nil
	}
	return f.filter.close()
}
