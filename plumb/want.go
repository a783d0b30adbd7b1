package plumb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ec2net/metadata"
)

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

// contested says who holds the number that the metadata gives the interface.
func (w *want) contested() {
	iface, have := w.in.Interface, w.in.Have
	if iface.MAC == (metadata.MAC{}) || !have.taken(iface.N()) {
		return
	}
	holder, t := have.names[have.held[iface.N()]], Table(iface.N())
	if iface.Primary {
		w.refuse("%s holds table %d, which this interface needs: waiting until the table is free", holder, t)
		return
	}
	w.refuse("%s holds table %d, which the metadata's numbers give to this interface too: using table %d until the metadata tells the two apart",
		holder, t, Table(w.number))
}
