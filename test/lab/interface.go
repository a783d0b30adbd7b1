package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Attach plugs an interface into the instance. It appears there down and bare, and the metadata and DHCP know it.
func (c *Cloud) Attach(spec Interface) error {
	if err := c.plug(c.Instance(), spec, false); err != nil {
		return fmt.Errorf("attach %s: %w", spec.Name, err)
	}
	return nil
}

// Detach unplugs an interface: it disappears from the host at once. Its addresses are free again.
func (c *Cloud) Detach(key string) error {
	defer c.altering()()
	k, err := c.find(key)
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	c.ifaces = slices.DeleteFunc(c.ifaces, func(o *iface) bool { return o == k })
	errs := []error{c.net.filter.forward(k.port.index, false), c.setPrimary(k, false), c.net.forget(k), c.net.unplugVF(k), c.net.unplug(k.port)} // takes the routes with it
	for private, public := range k.EIPs {
		errs = append(errs, c.net.unmap(private, public))
	}
	if err := errors.Join(append(errs, c.steer())...); err != nil {
		return fmt.Errorf("detach %s: %w", key, err)
	}
	return nil
}

// plug completes the description of an interface, attaches it to a node and, for an installed interface, configures
// it there.
func (c *Cloud) plug(n *Node, spec Interface, installed bool) error {
	defer c.altering()()
	k, err := c.complete(n, spec)
	if err != nil {
		return err
	}
	if k.port, err = c.net.plug(k, c.made); err != nil {
		return err
	}
	c.made++
	c.ifaces = append(c.ifaces, k)
	c.past[k.port.index] = c.label(k)
	c.publish(k)
	if err := c.connect(k); err != nil {
		return err
	}
	if !installed {
		return nil
	}
	return errors.Join(configureInstalled(k), settle(c.fabric, k.port.index))
}

// publish makes the metadata show the interface, when it is time. The caller holds the lock.
func (c *Cloud) publish(k *iface) {
	if k.hidden = k.Late > 0; !k.hidden {
		return
	}
	timer := time.AfterFunc(k.Late, func() {
		defer c.altering()()
		k.hidden = false
	})
	c.owned = append(c.owned, func() error { timer.Stop(); return nil })
}

// label is the shortest name that find knows an interface by.
func (c *Cloud) label(k *iface) string {
	if k.node.Name == instanceName {
		return k.Name
	}
	return k.node.Name + "/" + k.Name
}

// connect makes the fabric deliver everything that is the interface's.
func (c *Cloud) connect(k *iface) error {
	var errs []error
	for _, a := range slices.Concat(k.Addrs4, k.Addrs6) {
		errs = append(errs, c.net.grantAddr(k.port, a))
	}
	for _, p := range slices.Concat(k.Prefixes4, k.Prefixes6) {
		errs = append(errs, c.net.grant(k.port, p))
	}
	for _, p := range k.forwarded() {
		errs = append(errs, c.net.grantForwarded(k.port, p))
	}
	for private, public := range k.EIPs {
		errs = append(errs, c.net.mapEIP(private, public))
	}
	errs = append(errs, c.net.filter.join(k.port.index, c.portsOf(k.subnet)))
	if k.Forwarding {
		errs = append(errs, c.net.filter.forward(k.port.index, true))
	}
	if c.dhcp6 != nil {
		errs = append(errs, c.dhcp6.join(k.port))
	}
	errs = append(errs, c.setPrimary(k, true), c.steer(), c.net.announce(k, c.neighbours(k)))
	return errors.Join(errs...)
}

// setPrimary opens the host's servers to an interface that is its host's primary, or closes them.
func (c *Cloud) setPrimary(k *iface, on bool) error {
	if !k.primary {
		return nil
	}
	var source netip.Addr
	if len(k.Addrs4) > 0 {
		source = k.Addrs4[0]
	}
	return c.net.filter.setPrimary(k.port.index, source, on)
}

// portsOf lists the ports of a subnet's interfaces. The caller holds the lock.
func (c *Cloud) portsOf(s Subnet) (out []int) {
	for _, o := range c.ifaces {
		if o.subnet.ID == s.ID {
			out = append(out, o.port.index)
		}
	}
	return out
}

// neighbours are the other interfaces of the interface's subnet.
func (c *Cloud) neighbours(k *iface) (out []*iface) {
	for _, o := range c.ifaces {
		if o != k && o.subnet.ID == k.subnet.ID {
			out = append(out, o)
		}
	}
	return out
}

// altering takes the lock for a change of the interfaces, and returns what gives it back.
func (c *Cloud) altering() (done func()) {
	c.mu.Lock()
	c.changes++
	return func() {
		c.mu.Unlock()
		c.news.ring()
	}
}

// change finds an interface, changes what it has been granted, and tells the fabric.
func (c *Cloud) change(key, what string, fn func(*iface) error) error {
	defer c.altering()()
	k, err := c.find(key)
	if err == nil {
		err = errors.Join(fn(k), c.steer())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Assign grants addresses to an interface, after those that it has. The host is not touched.
func (c *Cloud) Assign(key string, addrs ...netip.Addr) error {
	return c.change(key, "assign to "+key, func(k *iface) error {
		for _, a := range addrs {
			if err := c.free(k.subnet, a); err != nil {
				return err
			}
			if err := c.net.grantAddr(k.port, a); err != nil {
				return err
			}
			k.add(a)
		}
		return c.net.announce(k, c.neighbours(k))
	})
}

func (k *iface) add(a netip.Addr) {
	if a.Is4() {
		k.Addrs4 = append(k.Addrs4, a)
	} else {
		k.Addrs6 = append(k.Addrs6, a)
	}
}

// Release takes secondary addresses from an interface, and the elastic IPs that were theirs.
func (c *Cloud) Release(key string, addrs ...netip.Addr) error {
	return c.change(key, "release from "+key, func(k *iface) error {
		for _, a := range addrs {
			if err := c.take(k, a); err != nil {
				return err
			}
			if err := c.net.revokeAddr(k.port, a); err != nil {
				return err
			}
			if public, ok := k.EIPs[a]; ok {
				delete(k.EIPs, a)
				if err := c.net.unmap(a, public); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// take removes a secondary address from an interface's lists and from the neighbours' proxies.
func (c *Cloud) take(k *iface, a netip.Addr) error {
	list := &k.Addrs4
	if a.Is6() {
		list = &k.Addrs6
	}
	i := slices.Index(*list, a)
	switch {
	case i < 0:
		return fmt.Errorf("%s is not an address of the interface", a)
	case i == 0 && a.Is4():
		return fmt.Errorf("%s is the primary address; detach the interface instead", a)
	}
	*list = slices.Delete(slices.Clone(*list), i, i+1)
	return c.net.withdraw(a, c.neighbours(k))
}

// Move takes a secondary address from one interface of a subnet and grants it to another, in one step: an
// elastic IP moves with it.
func (c *Cloud) Move(a netip.Addr, from, to string) error {
	return c.change(from, fmt.Sprintf("move %s", a), func(k *iface) error {
		target, err := c.find(to)
		if err != nil {
			return err
		}
		if target.subnet.ID != k.subnet.ID {
			return fmt.Errorf("%s is in %s and %s in %s", from, k.Subnet, to, target.Subnet)
		}
		if err := c.take(k, a); err != nil {
			return err
		}
		target.add(a)
		if public, ok := k.EIPs[a]; ok {
			delete(k.EIPs, a)
			target.EIPs = maps.Clone(target.EIPs)
			if target.EIPs == nil {
				target.EIPs = map[netip.Addr]netip.Addr{}
			}
			target.EIPs[a] = public
		}
		if err := c.net.grantAddr(target.port, a); err != nil {
			return err
		}
		return c.net.announce(target, c.neighbours(target))
	})
}
