package plumb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// Input is all that Want decides from.
type Input struct {
	Card  metadata.Interface // settled; the zero value when the metadata never answered
	Lease *dhcp.Lease        // nil while there is none
	Have  Snapshot           // the kernel's side
	// OwnAddress: the primary address is ec2net's to add. False while another program does DHCP on
	// the card: then routes and rules wait until it has put the address there.
	OwnAddress bool
	// MainTable: write the card's subnet and default route to main too, with metric T.
	MainTable bool
	// Gateway6 is where IPv6 leaves when no router advertisement named a router (EC2: fe80:ec2::1).
	Gateway6 netip.Addr
}

// ErrNoAddress says that nothing can be set up yet: neither the metadata nor a lease has named an
// address, or the program that owns the card has not added it.
var ErrNoAddress = errors.New("no address yet")

// Want is the state that the card should be in. The error names everything that had to be left out
// (errors.Join); the state holds all the same.
//
// Addresses: the metadata is the authority. An address that only the lease knows is used only while
// the metadata has never answered.
func Want(in Input) (State, error) {
	w := want{in: in, out: State{Name: in.Have.Name, Index: in.Have.Index, AltNames: in.Have.AltNames}}
	w.link()
	if in.Card.Primary {
		w.secondaries()
		return w.out, errors.Join(w.errs...)
	}
	w.family(in.Card.Addrs4.Value, w.subnets4(), in.Card.Prefixes4.Value, w.gateway4)
	w.family(in.Card.Addrs6.Value, in.Card.Subnets6.Value, in.Card.Prefixes6.Value, w.gateway6)
	w.altNames()
	return w.out, errors.Join(w.errs...)
}

// want is the state while it is being worked out.
type want struct {
	in   Input
	out  State
	errs []error
}

func (w *want) refuse(format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf(format, args...))
}

func (w *want) n() int {
	if w.in.Card.MAC == (metadata.MAC{}) {
		return DegradedN(w.in.Have.Index)
	}
	return w.in.Card.N()
}

// link keeps what the user set: a group other than 0, and the MTU unless a lease of ours names one.
func (w *want) link() {
	have := w.in.Have
	w.out.Link, w.out.Groups = have.Link, have.Groups
	if w.in.Card.Primary {
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
	if w.in.OwnAddress && w.in.Lease != nil && w.in.Lease.MTU != 0 {
		w.out.Link.MTU = w.mtu(w.in.Lease.MTU)
	}
}

func (w *want) mtu(leased int) int {
	if most := w.in.Have.MaxMTU; most != 0 && leased > most {
		w.refuse("the lease's MTU of %d is more than the card's driver can do (%d)", leased, most)
		return most
	}
	return leased
}

// secondaries is all that a primary card gets: whoever set up the host's first address keeps it.
func (w *want) secondaries() {
	for _, list := range [][]netip.Addr{w.in.Card.Addrs4.Value, w.in.Card.Addrs6.Value} {
		for i, a := range list {
			if i > 0 || !a.Is4() {
				w.addr(netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
}

func (w *want) subnets4() []netip.Prefix {
	if w.in.Card.Subnets4.Status != metadata.Present && w.in.Lease != nil {
		return []netip.Prefix{w.in.Lease.Addr.Masked()}
	}
	return w.in.Card.Subnets4.Value
}

// family writes everything of one address family. addrs[0] is the primary address.
func (w *want) family(addrs []netip.Addr, subnets, delegated []netip.Prefix, gateway func(netip.Prefix) netip.Addr) {
	if w.in.Card.MAC == (metadata.MAC{}) && len(subnets) == 1 {
		addrs = []netip.Addr{w.in.Lease.Addr.Addr()}
	}
	if len(addrs) == 0 || (addrs[0].Is6() && w.in.Have.NoIPv6) {
		return
	}
	primary := addrs[0]
	subnet, ok := containing(subnets, primary)
	if !ok {
		w.refuse("%s lies in no subnet of the card, left out", primary)
		return
	}
	if !w.in.OwnAddress && primary.Is4() && !w.in.Have.hasAddr(primary) {
		w.errs = append(w.errs, fmt.Errorf("%w: waiting for %s", ErrNoAddress, primary))
		return
	}
	for i, a := range addrs {
		p := netip.PrefixFrom(a, a.BitLen())
		if i == 0 && a.Is4() {
			p = netip.PrefixFrom(a, subnet.Bits())
		}
		w.addr(p)
	}
	w.routes(primary, subnet, gateway(subnet))
	w.rules(addrs, subnets, delegated)
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

func (w *want) routes(primary netip.Addr, subnet netip.Prefix, gw netip.Addr) {
	t := Table(w.n())
	link := Route{Table: t, Dst: subnet, Src: primary, Scope: scopeLink, Ours: true}
	def := Route{Table: t, Dst: netip.PrefixFrom(unspecified(primary), 0), Via: gw, Src: primary, Ours: true}
	def.OnLink = !subnet.Contains(gw)
	if primary.Is6() {
		link.Scope, link.Metric, def.Metric, def.OnLink = 0, metric6, metric6, false
	}
	for _, r := range w.in.Have.Routes {
		if c, ok := copied(r, t, subnet, primary.Is6()); ok {
			w.out.Routes = append(w.out.Routes, c)
		}
	}
	w.route(link)
	w.route(def)
	if w.in.MainTable {
		link.Table, link.Metric = tableMain, t
		def.Table, def.Metric = tableMain, t
		w.route(link)
		w.route(def)
	}
}

// route adds r unless the operator's own, copied from main, stands at its place already.
func (w *want) route(r Route) {
	for _, o := range w.out.Routes {
		if o.key() == r.key() {
			return
		}
	}
	w.out.Routes = append(w.out.Routes, r)
}

// copied is main's route r for table t: the operator's static routes through the card hold for the
// card's own addresses too (cloud-init #5249). The subnet itself and default routes are ours to
// write.
func copied(r Route, t uint32, subnet netip.Prefix, six bool) (Route, bool) {
	if r.Ours || r.Table != tableMain || r.isDefault() || r.Dst.Addr().Is6() != six {
		return r, false
	}
	if r.Dst == subnet && !r.Via.IsValid() {
		return r, false
	}
	r.Table, r.Ours = t, true
	return r, true
}

func (w *want) rules(addrs []netip.Addr, subnets, delegated []netip.Prefix) {
	guard, source := uint32(baseTable+w.n()), uint32(baseSource+w.n())
	used := map[netip.Prefix]bool{}
	var sources []Rule
	add := func(from netip.Prefix) {
		sources = append(sources, Rule{Pref: source, From: from, Table: Table(w.n())})
		g, ok := containing(subnets, from.Addr())
		if !ok {
			g = from // an address outside of every subnet has a guard of its own
		}
		if !used[g] {
			used[g] = true
			w.out.Rules = append(w.out.Rules, Rule{Pref: guard, From: g, Table: tableMain, Guard: true})
		}
	}
	for _, a := range addrs {
		add(netip.PrefixFrom(a, a.BitLen()))
	}
	for _, p := range delegated {
		add(p)
	}
	w.out.Rules = append(w.out.Rules, sources...)
}

func (w *want) altNames() {
	c := w.in.Card
	names := []string{}
	if c.ID != "" {
		names = append(names, c.ID)
	}
	if c.MAC != (metadata.MAC{}) {
		names = append(names, altDevice(c))
	}
	for _, n := range names {
		if !slices.Contains(w.out.AltNames, n) {
			w.out.AltNames = append(slices.Clone(w.out.AltNames), n)
		}
	}
}

// altDevice is the alternative name that says where the card is plugged in; the network card is
// named only when it is not the first.
func altDevice(c metadata.Interface) string {
	if c.NetworkCard == 0 {
		return fmt.Sprintf("device-number-%d", c.DeviceNumber)
	}
	return fmt.Sprintf("device-number-%d.%d", c.DeviceNumber, c.NetworkCard)
}

// gateway4 is the lease's router when it lies in the subnet, else the one that the metadata names,
// else the first address of the subnet, which is the router in every subnet of EC2 and Azure
// (docs.aws.amazon.com, VPC, "Subnet CIDR blocks").
func (w *want) gateway4(subnet netip.Prefix) netip.Addr {
	if l := w.in.Lease; l != nil && l.Router.IsValid() && subnet.Contains(l.Router) {
		return l.Router
	}
	if g := w.in.Card.Gateway4; g.IsValid() {
		return g
	}
	return subnet.Masked().Addr().Next()
}

// gateway6 is the router that the kernel learned from a router advertisement.
func (w *want) gateway6(netip.Prefix) netip.Addr {
	for _, r := range w.in.Have.Routes {
		if !r.Ours && r.Table == tableMain && r.isDefault() && r.Dst.Addr().Is6() && r.Via.IsValid() {
			return r.Via
		}
	}
	return w.in.Gateway6
}

func containing(list []netip.Prefix, a netip.Addr) (netip.Prefix, bool) {
	i := slices.IndexFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return list[i], true
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// Without is the state of a card that ec2net has left. before is how the card was when ec2net first
// touched it; nil when nobody wrote that down.
func Without(have Snapshot, before *Before) State {
	out := State{Name: have.Name, Index: have.Index, Link: have.Link, AltNames: have.AltNames, Groups: slices.Clone(have.Groups)}
	if before != nil {
		out.Link, out.AltNames = before.Link, before.AltNames
	} else if out.Link.Group == Group {
		out.Link.Group = 0
	}
	for i, g := range out.Groups {
		if g.Group == Group && !have.OthersManaged {
			out.Groups[i].Group = 0
		}
	}
	return out
}

// Before is how a card was before ec2net.
type Before struct {
	Link     LinkState `json:"link"`
	AltNames []string  `json:"altnames"`
}
