package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// Bridge is a bridge on a host with containers behind it, as Docker sets one up: the containers' own
// traffic gets the address of the interface that it leaves by, and a published port leads to a container.
type Bridge struct {
	Name string
	node *Node
	nets []netip.Prefix // of the containers; the host has the first address of each
	used int            // containers
}

// Bridge makes a bridge with a subnet of each family, and has the host forward. nft(8) is needed.
func (n *Node) Bridge(name string, nets ...netip.Prefix) (*Bridge, error) {
	b := &Bridge{Name: name, node: n, nets: nets}
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := n.nl.LinkAdd(link); err != nil {
		return nil, fmt.Errorf("make the bridge %s on %s: %w", name, n.Name, err)
	}
	// Its own link-local address would come at a time of the kernel's choice.
	errs := []error{n.Sysctl("net/ipv6/conf/"+name+"/addr_gen_mode", "1"), n.nl.LinkSetUp(link)}
	for _, p := range append([]netip.Prefix{netip.MustParsePrefix("fe80::/64")}, nets...) { // IPv6 needs one on the link
		errs = append(errs, addAddr(n.nl, link, netip.PrefixFrom(p.Masked().Addr().Next(), p.Bits())))
	}
	errs = append(errs, n.Sysctl("net/ipv4/ip_forward", "1"), n.Sysctl("net/ipv6/conf/all/forwarding", "1"), b.writeTable())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("set up the bridge %s on %s: %w", name, n.Name, err)
	}
	return b, nil
}

// writeTable makes the nftables table that Docker would: published ports, and masquerade.
func (b *Bridge) writeTable() error {
	var masquerade []string
	for _, p := range b.nets {
		masquerade = append(masquerade, fmt.Sprintf("%s saddr %s oifname != %q masquerade", word(p.Addr()), p, b.Name))
	}
	return b.node.nft(fmt.Sprintf(`table inet %[1]s {
	map published4 { type inet_service : ipv4_addr . inet_service; }
	map published6 { type inet_service : ipv6_addr . inet_service; }
	chain published {
		iifname %[1]q return
		fib daddr type local dnat ip to tcp dport map @published4
		fib daddr type local dnat ip6 to tcp dport map @published6
	}
	chain prerouting { type nat hook prerouting priority dstnat; jump published; }
	chain output { type nat hook output priority -100; ip daddr != 127.0.0.0/8 jump published; }
	chain postrouting {
		type nat hook postrouting priority srcnat
		%[2]s
	}
}
`, b.Name, strings.Join(masquerade, "\n\t\t")))
}

func word(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// Publish leads a TCP port of all the host's own addresses to one of a container's.
func (b *Bridge) Publish(port uint16, to netip.AddrPort) error {
	family := 4
	if to.Addr().Is6() {
		family = 6
	}
	return b.node.nft(fmt.Sprintf("add element inet %s published%d { %d : %s . %d }\n", b.Name, family, port, to.Addr(), to.Port()))
}

// Container is a host behind a bridge.
type Container struct {
	*Node
	Addrs []netip.Addr // one of each of the bridge's subnets
}

// Container starts a container, with a default route by the bridge in each family.
func (b *Bridge) Container(name string) (*Container, error) {
	n, err := newNode(b.node.cloud, name)
	if err != nil {
		return nil, err
	}
	c := &Container{Node: n}
	if err := b.join(c); err != nil {
		return nil, errors.Join(fmt.Errorf("container %s: %w", name, err), n.close())
	}
	b.node.cloud.mu.Lock()
	defer b.node.cloud.mu.Unlock()
	b.node.cloud.peers = append(b.node.cloud.peers, n)
	return c, nil
}

// join plugs the container's cable into the bridge and configures its end.
func (b *Bridge) join(c *Container) error {
	b.used++
	// Its addresses are usable at once, and it may ping.
	if err := errors.Join(c.Sysctl("net/ipv6/conf/default/accept_dad", "0"), c.Sysctl(pingRange[0], pingRange[1])); err != nil {
		return err
	}
	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("%.8s-%d", b.Name, b.used)},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(c.NetNS()),
	}
	if err := b.node.nl.LinkAdd(cable); err != nil {
		return err
	}
	bridge, err := b.node.nl.LinkByName(b.Name)
	if err != nil {
		return err
	}
	eth0, err := c.nl.LinkByName("eth0")
	if err != nil {
		return err
	}
	err = errors.Join(b.node.Sysctl("net/ipv6/conf/"+cable.Name+"/disable_ipv6", "1"), b.node.nl.LinkSetMaster(cable, bridge), b.node.nl.LinkSetUp(cable), c.nl.LinkSetUp(eth0))
	if err != nil {
		return err
	}
	if err := b.node.awaitUp(b.Name); err != nil {
		return err
	}
	for _, p := range b.nets {
		gateway := p.Masked().Addr().Next()
		a := gateway
		for range b.used {
			a = a.Next()
		}
		c.Addrs = append(c.Addrs, a)
		if err := addAddr(c.nl, eth0, netip.PrefixFrom(a, p.Bits())); err != nil {
			return err
		}
		if err := c.nl.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
			return fmt.Errorf("default route by %s: %w", gateway, err)
		}
	}
	return nil
}

// awaitUp waits until the kernel has told a device's signal, and made the routes that hang on it.
func (n *Node) awaitUp(device string) error {
	for range 500 {
		link, err := n.nl.LinkByName(device)
		if err != nil || link.Attrs().OperState == netlink.OperUp {
			return err
		}
		time.Sleep(10 * time.Millisecond) // the kernel's link watch, up to a second
	}
	return fmt.Errorf("%s has no signal", device)
}

// nft runs commands of nft(8) on the host.
func (n *Node) nft(commands string) error {
	cmd := n.Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = bytes.NewReader([]byte(commands))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on %s: %w\n%s", n.Name, err, out)
	}
	return nil
}
