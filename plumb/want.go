package plumb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// Input is all that Want decides from.
type Input struct {
	Interface metadata.Interface // settled; the zero value when the metadata never answered
	Lease     *dhcp.Lease        // nil while there is none
	Have      Snapshot           // the kernel's side
	// OwnAddress: the primary address is ec2net's to add. False while another program does DHCP on
	// the interface: then routes and rules wait until it has put the address there.
	OwnAddress bool
	// Host: nobody else configures the interface, and the host itself is to leave by it: it is the primary, or may
	// be, as long as the metadata has not said which is.
	Host bool
	// NoDHCP: there is to be no lease, so that the MTU of an earlier one is given back.
	NoDHCP bool
	// MainTable: write the interface's subnet and default route to main too, with metric T.
	MainTable bool
	// Gateways are where an interface's IPv4 gateway is looked for, in this order; nil: metadata.UsualGateways.
	Gateways []metadata.GatewaySource
	// OffLink: the interface's subnet is reached by its gateway, which is the only one on the link (metadata.Traits).
	OffLink bool
	// Gateway6 is where IPv6 leaves when neither a router advertisement nor the metadata named a router (EC2: fe80:ec2::1).
	Gateway6 netip.Addr
	// ByInterface: an interface also answers the connections that came in by it and were passed on to another
	// address of the host's, such as a container's.
	ByInterface bool
	// Priority is the preference at which the rules for the host's interfaces begin; 0: each has preferences of its own.
	Priority uint32
	// Baseline is how the interface was found, for what is given back while the interface stays; or nil.
	Baseline *Baseline
	// Prefixes says what becomes of the blocks that are delegated to the interface.
	Prefixes Delegation
	// Egress: what no source rule caught leaves by this interface.
	Egress Egress
	// NAT are ranges of other hosts that leave by this interface, and Inside those that arrive by it.
	NAT    []NAT
	Inside []netip.Prefix
	// Servers are the cloud's own servers, which the host asks by the primary interface: no lease of another one leads there.
	Servers []netip.Addr
	// Services are the cloud's own servers, which stay reachable by the primary interface when traffic leaves
	// by another one. Any at all give the primary interface its table and its rules even where it is alone.
	Services []netip.Addr
}

// ErrNoAddress says that nothing can be set up yet: neither the metadata nor a lease has named an
// address, or the program that owns the interface has not added it.
var ErrNoAddress = errors.New("no address yet")

// Want is the state that the interface should be in. The error names everything that had to be left out
// (errors.Join); the state holds all the same.
//
// Addresses: the metadata is the authority. An address that only the lease knows is used only while
// the metadata has never answered. What could not be asked stays as the kernel has it.
func Want(in Input) (State, error) {
	w := want{in: in, out: State{Name: in.Have.Name, Index: in.Have.Index, AltNames: in.Have.AltNames}}
	w.number = in.Have.Number(in.Interface)
	w.link()
	w.contested()
	w.boundLease()
	if in.Interface.Primary || (in.Host && in.Interface.MAC == (metadata.MAC{})) {
		w.primary()
		w.inside()
		w.replies()
		w.arrange()
		return w.out, errors.Join(w.errs...)
	}
	w.family(false, w.addrs4(), w.subnets4(), w.delegated(false, in.Interface.Prefixes4), w.gateway4)
	w.family(true, in.Interface.Addrs6, in.Interface.Subnets6, w.delegated(true, in.Interface.Prefixes6), w.gateway6)
	w.egress()
	w.nat()
	w.inside()
	w.altNames()
	w.replies()
	w.arrange()
	return w.out, errors.Join(w.errs...)
}

// want is the state while it is being worked out.
type want struct {
	in   Input
	out  State
	errs []error

	number int // that the table and the rules go by

	places map[routeKey]bool // of out.Routes, of which the first seen are in it
	seen   int
	others map[routeKey][]Route // of other programs
}

func (w *want) refuse(format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf(format, args...))
}

func (w *want) n() int { return w.number }

// link keeps what the user set: a group other than 0, and the MTU unless a lease of ours names one.
func (w *want) link() {
	have := w.in.Have
	w.out.Link, w.out.Groups = have.Link, have.Groups
	w.out.Link.Forwarding = w.in.Baseline.forwarding(have)
	if w.in.Interface.Primary || (w.in.Host && w.in.Interface.MAC == (metadata.MAC{})) {
		if have.Link.Group == Group && !have.OthersManaged {
			w.out.Link.Group = 0 // whoever asked for it is gone, and was killed before it could say so
		}
		return
	}
	w.out.Link.Up = true
	if w.out.Link.Group == 0 {
		w.out.Link.Group = Group
	}
	w.out.Groups = slices.Clone(have.Groups)
	for i := range w.out.Groups {
		if w.out.Groups[i].Group == 0 {
			w.out.Groups[i].Group = Group
		}
	}
	w.namedMTU()
}

// addrs4 is the lease's address while the metadata has never answered.
func (w *want) addrs4() metadata.Answer[[]netip.Addr] {
	if w.in.Interface.MAC == (metadata.MAC{}) && w.in.Lease != nil {
		if a := w.in.Lease.Addr.Addr(); !a.IsLinkLocalUnicast() { // that is all that an IPv6-only subnet leases
			return metadata.Is([]netip.Addr{a})
		}
	}
	return w.in.Interface.Addrs4
}

func (w *want) subnets4() metadata.Answer[[]netip.Prefix] {
	if w.in.Interface.Subnets4.Status != metadata.Present && w.in.Lease != nil {
		return metadata.Is([]netip.Prefix{w.in.Lease.Addr.Masked()})
	}
	return w.in.Interface.Subnets4
}

// family writes everything of one address family. The first of addrs is the primary address.
func (w *want) family(six bool, addrs metadata.Answer[[]netip.Addr], subnets metadata.Answer[[]netip.Prefix],
	delegated []netip.Prefix, gateway func(netip.Prefix) netip.Addr) {
	if six && w.in.Have.NoIPv6 {
		return
	}
	if addrs.Status == metadata.Unavailable {
		w.unknown(six)
		return
	}
	anchor, ok := anchor(addrs.Value, delegated)
	if !ok {
		return
	}
	subnet, ok := containing(subnets.Value, anchor)
	switch {
	case !ok && subnets.Status == metadata.Unavailable:
		w.keep(six)
		w.refuse("the metadata did not give the subnet of %s: its configuration stays as it is", anchor)
	case !ok:
		w.refuse("%s is in none of the interface's subnets: left out", anchor)
	case !w.in.OwnAddress && !six && len(addrs.Value) > 0 && !w.in.Have.hasAddr(anchor):
		w.keep(six)
		w.refuse("%w: waiting for %s", ErrNoAddress, anchor)
	default:
		w.set(addrs.Value, subnet, subnets.Value, delegated, gateway(subnet))
	}
}

// anchor is the address that tells the subnet: the primary, or one of a block where an interface has only
// blocks, as an interface for containers may.
func anchor(addrs []netip.Addr, delegated []netip.Prefix) (netip.Addr, bool) {
	switch {
	case len(addrs) > 0:
		return addrs[0], true
	case len(delegated) > 0:
		return delegated[0].Addr(), true
	}
	return netip.Addr{}, false
}

// unknown is a family whose addresses could not be asked. An interface without any IPv4 that is known has
// to wait; IPv6 need not be there.
func (w *want) unknown(six bool) {
	w.keep(six)
	if !six && len(w.out.Rules) == 0 {
		w.refuse("%w: neither the metadata nor a lease has named one", ErrNoAddress)
	}
}

// keep leaves one family as the kernel has it.
func (w *want) keep(six bool) {
	w.keepAddrs(six)
	w.keepRouting(six)
}

func (w *want) keepRouting(six bool) {
	for _, r := range w.in.Have.Routes {
		if r.Ours && r.Dst.Addr().Is6() == six {
			w.out.Routes = append(w.out.Routes, r)
		}
	}
	for _, r := range w.in.Have.Rules {
		if kind := r.Kind(); r.From.Addr().Is6() == six && (kind == RuleGuard || kind == RuleSource) { // what has a mark is for the setting to say
			w.out.Rules = append(w.out.Rules, r)
		}
	}
}

func (w *want) keepAddrs(six bool) {
	for _, a := range w.in.Have.Addrs {
		if a.Ours && a.Prefix.Addr().Is6() == six {
			w.out.Addrs = append(w.out.Addrs, a)
		}
	}
}

func (w *want) set(addrs []netip.Addr, subnet netip.Prefix, subnets, delegated []netip.Prefix, gw netip.Addr) {
	var primary netip.Addr
	if len(addrs) > 0 {
		primary = addrs[0]
	}
	for i, a := range addrs {
		p := netip.PrefixFrom(a, a.BitLen())
		if i == 0 && a.Is4() {
			p = w.onLink(a, subnet)
		}
		w.addr(p)
	}
	w.routes(primary, subnet, gw)
	w.rules(addrs, subnets, delegated)
	w.local(delegated)
}

// onLink is the primary IPv4 address with the length of what is on the link with it.
func (w *want) onLink(a netip.Addr, subnet netip.Prefix) netip.Prefix {
	if w.in.OffLink {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.PrefixFrom(a, subnet.Bits())
}

func (w *want) addr(p netip.Prefix) {
	if p.Addr().Is6() && w.in.Have.NoIPv6 {
		return
	}
	if i := slices.IndexFunc(w.in.Have.Addrs, func(a Addr) bool { return !a.Ours && a.Prefix.Addr() == p.Addr() }); i >= 0 {
		return // somebody else's; ours to add only when they take it away
	}
	w.out.Addrs = append(w.out.Addrs, Addr{Prefix: p, NoPrefixRoute: true, Ours: true})
}

// altNames are names by what the metadata says: which interface it is, and where it is plugged in.
func (w *want) altNames() {
	if w.in.Have.noAltNames {
		return
	}
	c := w.in.Interface
	names := []string{}
	if c.ID != "" {
		names = append(names, c.ID)
	}
	if c.MAC != (metadata.MAC{}) && c.Number == 0 {
		names = append(names, w.place()...)
	}
	for _, n := range names {
		if !slices.Contains(w.out.AltNames, n) {
			w.out.AltNames = append(slices.Clone(w.out.AltNames), n)
		}
	}
}

// place is the name by where the interface is plugged in, none while its number is another interface's. One by
// another place is an earlier number's, and may be another interface's by now: it goes.
func (w *want) place() (names []string) {
	if c := w.in.Interface; w.n() == c.N() {
		names = []string{altDevice(c)}
	}
	before := w.in.Baseline
	w.out.AltNames = slices.DeleteFunc(slices.Clone(w.out.AltNames), func(n string) bool {
		found := before == nil || slices.Contains(before.AltNames, n) // by somebody else
		return strings.HasPrefix(n, altDevicePrefix) && !found && !slices.Contains(names, n)
	})
	return names
}

// altDevice is the alternative name that says where the interface is plugged in; the network interface is
// named only when it is not the first.
func altDevice(c metadata.Interface) string {
	if c.NetworkCard == 0 {
		return fmt.Sprintf(altDevicePrefix+"%d", c.DeviceNumber)
	}
	return fmt.Sprintf(altDevicePrefix+"%d.%d", c.DeviceNumber, c.NetworkCard)
}
