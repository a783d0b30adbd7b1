package agent

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"ec2net/config"
	"ec2net/plumb"
	"ec2net/state"
)

// natInterface is what is known of one of the host's interfaces, to decide who passes traffic on.
type natInterface struct {
	name    string
	managed bool
	set     bool // it was set up: what follows is known
	primary bool
	subnets []netip.Prefix
}

// NATRole is one interface's part in passing traffic on.
type NATRole struct {
	out []plumb.NAT    // ranges that leave by the interface
	in  []netip.Prefix // ranges that arrive by it
}

// natPart is what the agent knows of its interface's role.
type natPart struct {
	NATRole
	refused []error // what of [nat] can not be meant
	moved   bool    // the role is another one than at the last look
}

// natRoles decides the roles of all interfaces from what is known of them. A range that can not be meant is
// refused with its place in the file, and has no role: not half of one either.
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

// NATRoles decides them from the interfaces' records.
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

// natIn is the interface that a range arrives by: the one that the file names, or the one in whose subnet it lies.
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

// natInterfaces are the host's interfaces that [nat] names or the records know; of two records of an interface the
// last counts.
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

// updateNATRole works out the interface's part in passing traffic on, and what is refused.
func (n *NIC) updateNATRole(others state.Records) {
	if len(n.config.NAT.From) == 0 {
		return
	}
	now := state.Record{Name: n.snap.Name, MAC: n.snap.MAC, Interface: n.settled} // newer than what is on disk
	roles, refused := NATRoles(append(slices.Clip(others), now), n.config)
	role := roles[n.snap.Name]
	n.nat = natPart{role, refused, !reflect.DeepEqual(role, n.nat.NATRole)}
}

// hasRole tells whether the interface has one.
func (r NATRole) hasRole() bool { return len(r.out)+len(r.in) > 0 }

// Text is for a person.
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

// forwardAhead notes how the interface's forwarding was before it is changed, and forgets it once it is given
// back. It returns whether the record has news.
func (a *Agent) forwardAhead(s plumb.Snapshot, w plumb.State) bool {
	b := a.record.Before
	switch {
	case b == nil:
		return false
	case a.nat.hasRole() && b.Forwarding == nil:
		was := s.Link.Forwarding
		b.Forwarding = &was
	case !a.nat.hasRole() && b.Forwarding != nil && s.Link.Forwarding == w.Link.Forwarding:
		b.Forwarding = nil
	default:
		return false
	}
	a.cover()
	return true
}
