package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a route of the user's own for a subnet: what its interfaces send to the prefix goes to the interface that has
// the next hop's address. EC2 calls it a route table's entry with a network interface as target.
type Route struct {
	Subnet  string       // Subnet.ID
	Prefix  netip.Prefix // IPv4
	NextHop netip.Addr   // of an interface that forwards (Interface.Forwarding); without one the packets vanish
}

func (r Route) String() string { return fmt.Sprintf("%s: %s via %s", r.Subnet, r.Prefix, r.NextHop) }

// Preference and tables of the subnets' own routes. The fabric's own addresses come before: the host's servers
// and the gateways are not subject to them.
const (
	udrPref  = 1000
	udrTable = 2000 // and the number of the subnet
)

// AddRoute gives a subnet a route. The longest prefix counts, the VPC's own blocks included; of two with the same
// prefix it is this one.
func (c *Cloud) AddRoute(r Route) error {
	defer c.altering()()
	if err := c.checkRoute(r); err != nil {
		return fmt.Errorf("add route %s: %w", r, err)
	}
	c.routes = append(c.routes, r)
	return c.steer()
}

func (c *Cloud) checkRoute(r Route) error {
	s, known := c.cfg.subnet(r.Subnet)
	same := func(o Route) bool { return o.Subnet == r.Subnet && o.Prefix == r.Prefix }
	switch {
	case !known:
		return fmt.Errorf("no subnet %q", r.Subnet)
	case !s.CIDR.IsValid() || !r.Prefix.IsValid() || !r.Prefix.Addr().Is4() || r.Prefix != r.Prefix.Masked():
		return errors.New("it takes an IPv4 prefix without host bits, in a subnet with IPv4")
	case !c.cfg.inVPC(netip.PrefixFrom(r.NextHop, r.NextHop.BitLen())):
		return errors.New("the next hop is not in the VPC")
	case slices.ContainsFunc(c.routes, same):
		return errors.New("the subnet has a route to that prefix")
	}
	return nil
}

// DeleteRoute takes a subnet's route to a prefix away.
func (c *Cloud) DeleteRoute(subnet string, p netip.Prefix) error {
	defer c.altering()()
	i := slices.IndexFunc(c.routes, func(r Route) bool { return r.Subnet == subnet && r.Prefix == p })
	if i < 0 {
		return fmt.Errorf("%s has no route to %s", subnet, p)
	}
	c.routes = slices.Delete(c.routes, i, i+1)
	table := c.tableOf(subnet)
	if err := c.fabric.nl.RouteDel(&netlink.Route{Dst: ipNet(p), Table: table}); err != nil {
		return fmt.Errorf("delete route to %s of %s: %w", p, subnet, err)
	}
	return c.steer()
}

// Routes lists the subnets' own routes.
func (c *Cloud) Routes() []Route {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.routes)
}

func (c *Cloud) tableOf(subnet string) int {
	return udrTable + slices.IndexFunc(c.cfg.Subnets, func(s Subnet) bool { return s.ID == subnet })
}

// steer brings the subnets' routes to where the interfaces are now. The caller holds the lock.
func (c *Cloud) steer() error {
	var errs []error
	for _, r := range c.routes {
		table := c.tableOf(r.Subnet)
		for _, block := range c.cfg.VPC {
			if block.Addr().Is4() && !c.routed(r.Subnet, block) {
				errs = append(errs, c.net.steer(&netlink.Route{Dst: ipNet(block), Table: table, Type: unix.RTN_THROW}))
			}
		}
		errs = append(errs, c.net.steer(c.toNextHop(r, table)))
		for _, k := range c.ifaces {
			if k.subnet.ID == r.Subnet {
				errs = append(errs, c.net.ask(k.port, table))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Cloud) routed(subnet string, p netip.Prefix) bool {
	return slices.ContainsFunc(c.routes, func(r Route) bool { return r.Subnet == subnet && r.Prefix == p })
}

// toNextHop is the route as the kernel has it: nowhere when no interface that forwards has the next hop's address.
func (c *Cloud) toNextHop(r Route, table int) *netlink.Route {
	i := slices.IndexFunc(c.ifaces, func(k *iface) bool { return k.Forwarding && slices.Contains(k.Addrs4, r.NextHop) })
	if i < 0 {
		return &netlink.Route{Dst: ipNet(r.Prefix), Table: table, Type: unix.RTN_BLACKHOLE}
	}
	out := c.ifaces[i].port.route(r.Prefix)
	out.Table = table
	return out
}

func (f *fabric) steer(r *netlink.Route) error {
	if err := f.node.nl.RouteReplace(r); err != nil {
		return fmt.Errorf("route %s in table %d: %w", r.Dst, r.Table, err)
	}
	return nil
}

// ask makes what comes by a port ask a table first.
func (f *fabric) ask(p port, table int) error {
	rule := netlink.NewRule()
	rule.Family, rule.IifName = netlink.FAMILY_V4, p.name
	rule.Priority, rule.Table = udrPref, table
	if err := f.node.nl.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rule of %s: %w", p.name, err)
	}
	return nil
}
