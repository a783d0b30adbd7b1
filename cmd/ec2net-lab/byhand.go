package main

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"ec2net/test/lab"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
)

// moveDefault does on the machine what seed 001's author types: interfaces 2 and 3 up, the default route by eth2,
// address translation for the third subnet there, and forwarding.
func (d *egressStory) moveDefault() error {
	l, _, err := d.bringUp("eth2", netip.PrefixFrom(vmOutside, 26))
	if err != nil {
		return err
	}
	if _, _, err := d.bringUp("eth3", netip.PrefixFrom(vmInside, 26)); err != nil {
		return err
	}
	n := d.cloud.Instance()
	h := n.Netlink()
	world := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	return errors.Join(
		h.RouteDel(&netlink.Route{Dst: world}),
		h.RouteAdd(&netlink.Route{Dst: world, Gw: net.IPv4(172, 22, 5, 1).To4(), LinkIndex: l.Attrs().Index}),
		n.Sysctl("net/ipv4/ip_forward", "1"),
		masquerade(n, l.Attrs().Index),
	)
}

// bringUp sets an interface up with an address, by hand.
func (d *demo) bringUp(iface string, p netip.Prefix) (netlink.Link, *netlink.Addr, error) {
	h := d.cloud.Instance().Netlink()
	l, err := h.LinkByName(iface)
	if err != nil {
		return nil, nil, err
	}
	addr, err := netlink.ParseAddr(p.String())
	if err != nil {
		return nil, nil, err
	}
	return l, addr, errors.Join(h.LinkSetUp(l), d.cloud.Settle(iface), h.AddrAdd(l, addr))
}

// masquerade is: nft add rule ip seed postrouting oif eth2 ip saddr 172.22.5.128/26 masquerade.
func masquerade(n *lab.Node, out int) error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.NetNS())))
	if err != nil {
		return err
	}
	t := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "seed"})
	c := conn.AddChain(&nftables.Chain{
		Table: t, Name: "postrouting", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, uint32(out))},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(26, 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{172, 22, 5, 128}},
		&expr.Masq{},
	}})
	return conn.Flush()
}
