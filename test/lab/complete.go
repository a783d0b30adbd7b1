package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// complete fills in what an interface's description leaves out, and refuses what cannot be.
func (c *Cloud) complete(n *Node, spec Interface) (*iface, error) {
	k := &iface{Interface: spec, node: n}
	k.Interface = k.clone()
	h := c.cfg.Cloud.habits()
	setIf(&k.MTU, h.mtu, k.MTU == 0)
	if k.Name == "" {
		k.Name = c.freeName(n)
	}
	if k.DeviceNumber == 0 {
		k.DeviceNumber = c.freeDevice(n, k.NetworkCard)
	}
	if k.MAC == (metadata.MAC{}) {
		k.MAC = metadata.MAC{h.vendor[0], h.vendor[1], h.vendor[2], byte(c.made >> 8), byte(c.made), byte(k.DeviceNumber)}
		if h.mac != nil && len(k.Addrs4) > 0 {
			k.MAC = h.mac(k)
		}
	}
	if k.ID == "" {
		k.ID = fmt.Sprintf("%s%013x", h.id, c.made+1)
	}
	if err := c.place(k); err != nil {
		return nil, err
	}
	k.primary = !slices.ContainsFunc(c.ifaces, func(o *iface) bool { return o.node == n })
	return k, c.refuse(k)
}

// place finds the subnet of an interface.
func (c *Cloud) place(k *iface) error {
	var known bool
	if k.Subnet != "" {
		k.subnet, known = c.cfg.subnet(k.Subnet)
	} else if all := slices.Concat(k.Addrs4, k.Addrs6); len(all) > 0 {
		k.subnet, known = c.cfg.subnetOf(all[0])
	}
	if !known {
		return fmt.Errorf("interface %s: no subnet %q, and none that holds its addresses %v %v", k.Name, k.Subnet, k.Addrs4, k.Addrs6)
	}
	k.Subnet = k.subnet.ID
	return nil
}

func (c *Cloud) refuse(k *iface) error {
	var errs []error
	if len(k.Name) > 15 {
		errs = append(errs, fmt.Errorf("interface name %q is longer than 15 bytes", k.Name))
	}
	for _, o := range c.ifaces {
		switch {
		case o.MAC == k.MAC:
			errs = append(errs, fmt.Errorf("MAC %s is %s's", k.MAC, c.label(o)))
		case o.ID == k.ID:
			errs = append(errs, fmt.Errorf("%s is %s's", k.ID, c.label(o)))
		case o.node == k.node && o.Name == k.Name:
			errs = append(errs, fmt.Errorf("%s has an interface %s", k.node.Name, k.Name))
		case o.node == k.node && o.NetworkCard == k.NetworkCard && o.DeviceNumber == k.DeviceNumber:
			errs = append(errs, fmt.Errorf("device number %d is %s's", k.DeviceNumber, c.label(o)))
		}
	}
	for _, a := range slices.Concat(k.Addrs4, k.Addrs6) {
		errs = append(errs, c.free(k.subnet, a))
	}
	errs = append(errs, c.refuseOf(k))
	for private, public := range k.EIPs {
		if !slices.Contains(k.Addrs4, private) {
			errs = append(errs, fmt.Errorf("elastic IP %s: %s is not an address of the interface", public, private))
		}
	}
	return errors.Join(errs...)
}

// refuseOf says what the provider refuses in an interface.
func (c *Cloud) refuseOf(k *iface) error {
	h := c.cfg.Cloud.habits()
	for _, o := range c.ifaces {
		if h.apart && o.node == k.node && o.subnet.ID == k.subnet.ID {
			return fmt.Errorf("%s is in %s: each interface of a machine is in a network of its own", c.label(o), k.Subnet)
		}
	}
	for _, a := range k.Addrs6 {
		if p := netip.PrefixFrom(a, h.block6); h.block6 > 0 && p.Masked() != p {
			return fmt.Errorf("%s is not the first address of a /%d", a, h.block6)
		}
	}
	return nil
}

// free says why an address of a subnet cannot be given to an interface.
func (c *Cloud) free(s Subnet, a netip.Addr) error {
	linkLocal := a.Is4() && a.IsLinkLocalUnicast() // what an IPv6-only subnet leases
	switch {
	case !s.contains(a) && !s.hasAlias(netip.PrefixFrom(a, a.BitLen())) && !linkLocal:
		return fmt.Errorf("%s is not in %s (%s %s)", a, s.ID, s.CIDR, s.IPv6)
	case s.CIDR.IsValid() && a == s.Gateway4():
		return fmt.Errorf("%s is the gateway of %s", a, s.ID)
	}
	for _, o := range c.ifaces {
		if slices.Contains(o.Addrs4, a) || slices.Contains(o.Addrs6, a) {
			return fmt.Errorf("%s is %s's", a, c.label(o))
		}
	}
	return nil
}

func (c *Cloud) freeName(n *Node) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("eth%d", i)
		if !slices.ContainsFunc(c.ifaces, func(k *iface) bool { return k.node == n && k.Name == name }) {
			return name
		}
	}
}

func (c *Cloud) freeDevice(n *Node, networkCard int) int {
	taken := map[int]bool{}
	for _, k := range c.ifaces {
		if k.node == n && k.NetworkCard == networkCard {
			taken[k.DeviceNumber] = true
		}
	}
	d := 0
	for taken[d] {
		d++
	}
	return d
}
