package agent

import (
	"net/netip"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// Facts are what is known of an interface at one moment, as far as what should be there hangs on it. Whoever sets up,
// plans, compares or examines an interface fills them in from what it has; what follows from them is one function.
type Facts struct {
	cloud    metadata.Cloud
	Settings config.Interface
	services []netip.Addr // the cloud's own servers, which stay on the primary interface
	role     role

	ownedByOther bool         // to another program
	rolledBack   *plumb.State // its last change was, to this
	undecided    bool         // whether ec2net manages the interface hangs on what the metadata has not said yet
	known        bool         // there is something to set up
	conflict     bool         // another host has the leased address

	// granted is what the metadata grants, in doubt or not; zero where the lease is all that is known.
	granted    metadata.Interface
	Lease      *dhcp.Lease // nil: none, or one that is not to be trusted
	primary    bool        // it is the primary interface, by what is known now or was before
	hosts      bool        // the host itself lives by what ec2net gives the interface
	ownAddress bool        // the primary address is ec2net's to add
	egress     plumb.Egress
	nat        NATRole
	before     *plumb.Before // how the interface was found; nil: nobody knows
}

// mode is what is done with an interface.
type mode uint8

const (
	modeManage   mode = iota // all that is granted is set up
	modeKeep                 // what is there stays, and the link is up: nothing is known yet
	modeWait                 // nothing is changed
	modeRelease              // of ec2net there is nothing, or the link alone, as configured
	modeForeign              // another program has the interface: all of ec2net's goes, and the link is as it is
	modeRollBack             // everything is as it was before the last change
	modeConflict             // the address goes, because another host has it
	modeNone                 // the device is part of another interface: all goes
)

// mode decides it.
func (f Facts) mode() mode {
	switch {
	case f.role == roleFunction:
		return modeNone
	case f.role == roleAmbiguous:
		return modeWait
	case f.ownedByOther:
		return modeForeign
	case f.rolledBack != nil:
		return modeRollBack
	case f.undecided:
		return modeWait
	case f.Settings.Manage != config.Full:
		return modeRelease
	case f.known:
		return modeManage
	case f.conflict:
		return modeConflict
	}
	return modeKeep
}

// Want is what should be there beside what the kernel has. It reads nothing but its arguments. The error names what
// has to be left out.
func (f Facts) Want(have plumb.Snapshot) (plumb.State, error) {
	switch f.mode() {
	case modeNone:
		return plumb.Bare(have, f.before), nil
	case modeWait:
		if f.role == roleAmbiguous {
			return have.State, Ambiguous(have)
		}
		return have.State, nil
	case modeForeign:
		return plumb.Yielded(have, f.before), nil
	case modeRollBack:
		return plumb.Restored(have, *f.rolledBack).Leading(f.egress), nil
	case modeRelease:
		return f.released(have), nil
	case modeConflict:
		w := plumb.Bare(have, f.before)
		w.Link.Up = true
		return w, nil
	case modeKeep:
		return plumb.Keep(have), nil
	}
	return plumb.Want(f.input(have))
}

// released is the state of an interface that the configuration leaves alone, or of which it wants the link up only:
// nothing of an earlier configuration stays. The link of the primary one is its owner's.
func (f Facts) released(have plumb.Snapshot) plumb.State {
	switch {
	case f.Settings.Manage == config.LinkUp:
		return plumb.LinkOnly(have, f.before)
	case f.primary:
		return plumb.Yielded(have, f.before)
	}
	return plumb.Without(have, f.before)
}

// input is what plumb decides the details from.
func (f Facts) input(have plumb.Snapshot) plumb.Input {
	c := f.Settings
	return plumb.Input{
		Interface: f.granted, Lease: f.Lease, Have: have, OwnAddress: f.ownAddress, Host: f.hosts, Before: f.before,
		NoDHCP: c.DHCP == config.Off, MainTable: c.MainTable, Priority: c.Priority,
		ByInterface: c.Replies == config.ByInterface, Prefixes: delegation(c),
		Gateway6: Gateway6(f.cloud), Servers: servers(f.cloud), Services: f.services,
		Egress: f.egress, NAT: f.nat.out, Inside: f.nat.in,
	}
}

// delegation is the setting in plumb's terms.
func delegation(c config.Interface) plumb.Delegation {
	return map[config.Prefixes]plumb.Delegation{
		config.PrefixRules: plumb.DelegateRules,
		config.PrefixLocal: plumb.DelegateLocal,
		config.PrefixOff:   plumb.DelegateOff,
	}[c.Prefixes]
}

// facts are the facts as far as the interface itself tells them.
func (n *NIC) facts() Facts {
	return Facts{
		cloud: n.where, Settings: n.iface, services: services(n.where, n.config), role: n.role,
		ownedByOther: n.record.LeftTo != "", granted: n.settled, known: n.settled.MAC != (metadata.MAC{}),
		primary: n.settled.Primary || n.record.Interface.Primary,
		hosts:   n.hosting(), nat: n.nat.NATRole, before: n.record.Before,
	}
}

// Recorded are the facts by an interface's record, for whoever compares the kernel with that.
func Recorded(r state.Record, have plumb.Snapshot, conf config.Config, nat NATRole) Facts {
	f := Facts{
		cloud: r.Cloud, Settings: conf.For(config.Local(r.Name, r.MAC, Driver(r.Name)).Learn(r.Interface)),
		services: services(r.Cloud, conf), known: true, granted: r.Interface, Lease: r.Lease, primary: r.Interface.Primary,
		hosts: r.Hosts, ownAddress: assignsAddress(r.DHCP), egress: r.Egress.Wanted(), nat: nat, before: r.Before,
	}
	if r.Degraded() {
		f.Lease = EffectiveLease(r, have)
	}
	return f
}
