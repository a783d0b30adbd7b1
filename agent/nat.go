package agent

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// [nat]: which interface forwards which subnets. natRoles is a pure function over all interfaces of the host, so the
// processes agree without talking to each other: each works out all roles from the records and takes its own.

// natInterface is what natRoles has to know of an interface.
type natInterface struct {
	name    string
	managed bool
	// set is true if the interface has been set up; only then is the rest known.
	set     bool
	primary bool
	subnets []netip.Prefix
}

// NATRole is an interface's part in forwarding.
type NATRole struct {
	// out are the ranges that leave by the interface and are translated there.
	out []plumb.NAT
	// in are the ranges that arrive by the interface.
	in []netip.Prefix
}

// natPart is the agent's own role, and what is wrong with the section.
type natPart struct {
	NATRole
	// refused are the errors of the section, with their place in the file.
	refused []error
	// moved is true if the role has changed since the last look; the changes that follow are then no repair.
	moved bool
}

// natRoles decides the roles of all interfaces. A range with an error gets no role at all: forwarding without
// translation would leave connections in conntrack that never work.
func natRoles(conf config.NAT, ifaces []natInterface) (roles map[string]NATRole, refused []error) {
	roles = map[string]NATRole{}
	if len(conf.From) == 0 {
		return roles, nil
	}
	out, err := natOut(conf.Out, ifaces)
	if err != nil {
		return roles, []error{err}
	}
	for _, r := range conf.From {
		in, err := natIn(conf, r, out, ifaces)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		o, i := roles[out.name], roles[in]
		o.out, i.in = append(o.out, plumb.NAT{From: r.Prefix, In: in}), append(i.in, r.Prefix)
		roles[out.name], roles[in] = o, i
	}
	return roles, refused
}

// NATRoles decides the roles of all interfaces from their records, for status.
func NATRoles(known state.Records, conf config.Config) (roles map[string]NATRole, refused []error) {
	return natRoles(conf.NAT, natInterfaces(known, conf))
}

// natOut is the interface that traffic leaves by.
func natOut(n config.Named, ifaces []natInterface) (natInterface, error) {
	c, err := natNamed(n, ifaces)
	switch {
	case err != nil:
		return c, err
	case c.primary:
		return c, fmt.Errorf("%s: [nat] %s is the primary interface, whose routes ec2net does not manage; name another interface", n.At, n.Name)
	case !c.set:
		return c, fmt.Errorf("%s: [nat] %s is not set up yet", n.At, n.Name)
	}
	return c, nil
}

// natNamed finds an interface that the section names.
func natNamed(n config.Named, ifaces []natInterface) (natInterface, error) {
	i := slices.IndexFunc(ifaces, func(c natInterface) bool { return c.name == n.Name })
	switch {
	case i < 0:
		return natInterface{}, fmt.Errorf("%s: [nat] there is no network interface %s here", n.At, n.Name)
	case !ifaces[i].managed:
		return ifaces[i], fmt.Errorf("%s: [nat] %s is not managed, so it cannot forward traffic", n.At, n.Name)
	}
	return ifaces[i], nil
}

// natIn is the interface that a range arrives by: the one that the key in names, else the one in whose subnet the
// range is.
func natIn(conf config.NAT, r config.Range, out natInterface, ifaces []natInterface) (string, error) {
	if i := slices.IndexFunc(out.subnets, r.Prefix.Overlaps); i >= 0 {
		return "", fmt.Errorf("%s: [nat] %s overlaps %s, the subnet of %s itself", r.At, r.Prefix, out.subnets[i], out.name)
	}
	if conf.In.Name != "" {
		c, err := natNamed(conf.In, ifaces)
		return c.name, err
	}
	for _, c := range ifaces {
		if c.managed && slices.ContainsFunc(c.subnets, func(s netip.Prefix) bool { return s.Bits() <= r.Prefix.Bits() && s.Contains(r.Prefix.Addr()) }) {
			return c.name, nil
		}
	}
	return "", fmt.Errorf("%s: [nat] no interface that is set up has a subnet that contains %s: name the interface that it arrives by with the key in", r.At, r.Prefix)
}

// natInterfaces are the interfaces that [nat] names or that have a record; if an interface has two records, the last
// one counts.
func natInterfaces(list state.Records, conf config.Config) (out []natInterface) {
	if len(conf.NAT.From) == 0 {
		return nil
	}
	devices, _ := net.Interfaces()
	for _, i := range devices {
		c := natInterface{name: i.Name}
		for _, r := range list {
			if r.Name == i.Name && r.MAC.String() == i.HardwareAddr.String() && r.Interface.MAC == r.MAC {
				c.set, c.primary = true, r.Interface.Primary
				c.subnets = r.Interface.Subnets4.Value
			}
		}
		if c.set || c.name == conf.NAT.Out.Name || c.name == conf.NAT.In.Name {
			c.managed = managed(conf, &i)
			out = append(out, c)
		}
	}
	return out
}

// hasRole reports whether the interface forwards anything.
func (r NATRole) hasRole() bool { return len(r.out)+len(r.in) > 0 }

// Text is the role for a person.
func (r NATRole) Text() string {
	var parts []string
	for _, n := range r.out {
		parts = append(parts, fmt.Sprintf("%s from %s leaves by this interface", n.From, n.In))
	}
	for _, p := range r.in {
		parts = append(parts, fmt.Sprintf("%s arrives by this interface", p))
	}
	return strings.Join(parts, ", ")
}

// managed reports whether the configuration has ec2net manage a device fully, or may once the metadata tells its ENI.
func managed(conf config.Config, i *net.Interface) bool {
	mac, err := metadata.ParseMAC(i.HardwareAddr.String())
	keys := config.Local(i.Name, mac, Driver(i.Name))
	return err == nil && (conf.NeedsMetadata(keys) || conf.For(keys).Manage == config.Full)
}
