package main

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// moveDefault does on the machine what seed 001's author types: cards 2 and 3 up, the default route by eth2.
func (d *egressStory) moveDefault() error {
	for card, addr := range map[string]netip.Addr{"eth2": vmOutside, "eth3": vmInside} {
		if err := d.bringUp(card, addr); err != nil {
			return err
		}
	}
	h := d.cloud.Instance().Netlink()
	l, err := h.LinkByName("eth2")
	if err != nil {
		return err
	}
	world := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	return errors.Join(
		h.RouteDel(&netlink.Route{Dst: world}),
		h.RouteAdd(&netlink.Route{Dst: world, Gw: net.IPv4(172, 22, 5, 1).To4(), LinkIndex: l.Attrs().Index}),
	)
}

func (d *egressStory) bringUp(card string, a netip.Addr) error {
	h := d.cloud.Instance().Netlink()
	l, err := h.LinkByName(card)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(a.String() + "/26")
	if err != nil {
		return err
	}
	return errors.Join(h.LinkSetUp(l), d.cloud.Settle(card), h.AddrAdd(l, addr))
}
