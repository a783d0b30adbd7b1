package lab

import (
	"fmt"
	"net/netip"
	"slices"
)

// AssignPrefix delegates a prefix (/28 or /80 on EC2) to an interface.
func (c *Cloud) AssignPrefix(key string, p netip.Prefix) error {
	return c.change(key, "delegate to "+key, func(k *iface) error {
		if p != p.Masked() || (!k.subnet.contains(p.Addr()) && !k.subnet.hasAlias(p)) {
			return fmt.Errorf("%s is no prefix of %s", p, k.Subnet)
		}
		list := k.prefixes(p.Addr())
		if slices.Contains(*list, p) {
			return fmt.Errorf("%s is delegated already", p)
		}
		*list = append(*list, p)
		return c.net.grant(k.port, p)
	})
}

// ReleasePrefix takes a delegated prefix from an interface.
func (c *Cloud) ReleasePrefix(key string, p netip.Prefix) error {
	return c.change(key, "take back from "+key, func(k *iface) error {
		list := k.prefixes(p.Addr())
		i := slices.Index(*list, p)
		if i < 0 {
			return fmt.Errorf("%s is not delegated to the interface", p)
		}
		*list = slices.Delete(slices.Clone(*list), i, i+1)
		return c.net.revoke(k.port, p)
	})
}

func (k *iface) prefixes(family netip.Addr) *[]netip.Prefix {
	if family.Is4() {
		return &k.Prefixes4
	}
	return &k.Prefixes6
}

// FreeAddr finds an IPv4 address of a subnet that no interface has. EC2 keeps the first four and the last for
// itself, and delegated prefixes are taken as a whole.
func (c *Cloud) FreeAddr(subnet string) (netip.Addr, error) {
	s, ok := c.cfg.subnet(subnet)
	if !ok || !s.CIDR.IsValid() {
		return netip.Addr{}, fmt.Errorf("no subnet %q with IPv4", subnet)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	a := s.CIDR.Masked().Addr()
	for range 4 {
		a = a.Next()
	}
	for ; s.CIDR.Contains(a.Next()); a = a.Next() {
		delegated := slices.ContainsFunc(c.ifaces, func(k *iface) bool {
			return slices.ContainsFunc(k.Prefixes4, func(p netip.Prefix) bool { return p.Contains(a) })
		})
		if !delegated && c.free(s, a) == nil {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no free address in %s", s.CIDR)
}

// AssociateEIP maps an elastic IP to a private address of an interface, in place of the one that it had.
// An elastic IP that belongs to another address moves.
func (c *Cloud) AssociateEIP(private, public netip.Addr) error {
	defer c.altering()()
	owner := slices.IndexFunc(c.ifaces, func(k *iface) bool { return slices.Contains(k.Addrs4, private) })
	if owner < 0 {
		return fmt.Errorf("associate %s: no interface has the address %s", public, private)
	}
	if err := c.release(public); err != nil {
		return fmt.Errorf("associate %s: %w", public, err)
	}
	k := c.ifaces[owner]
	if old, ok := k.EIPs[private]; ok {
		if err := c.net.unmap(private, old); err != nil {
			return fmt.Errorf("associate %s: %w", public, err)
		}
	}
	if k.EIPs == nil {
		k.EIPs = map[netip.Addr]netip.Addr{}
	}
	k.EIPs[private] = public
	return c.net.mapEIP(private, public)
}

// DisassociateEIP takes an elastic IP away from whatever address it belongs to.
func (c *Cloud) DisassociateEIP(public netip.Addr) error {
	defer c.altering()()
	return c.release(public)
}

// release unmaps an elastic IP; one that is not mapped is released already.
func (c *Cloud) release(public netip.Addr) error {
	for _, k := range c.ifaces {
		for private, p := range k.EIPs {
			if p == public {
				delete(k.EIPs, private)
				return c.net.unmap(private, public)
			}
		}
	}
	return nil
}

// Forward lets an interface send packets that are not from its own addresses, or not any more: EC2's
// source/destination check off, Azure's IP forwarding on.
func (c *Cloud) Forward(key string, on bool) error {
	return c.change(key, "switch forwarding of "+key, func(k *iface) error {
		k.Forwarding = on
		return c.net.filter.forward(k.port.index, on)
	})
}
