package agent

import (
	"net/netip"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// The decision: Facts go in, and mode and Want come out, both pure functions. Agent.gatherFacts fills the facts in
// for up and run, NIC.planned for plan, Recorded for status, NIC.ExpectedState for doctor, so that all five commands
// agree on what should be there.

// Facts are what is known of an interface at one moment, as far as what should be there depends on it. The zero value
// of a field means "not known" or "no".
type Facts struct {
	cloud    metadata.Cloud
	Settings config.Interface
	services []netip.Addr // the cloud's own servers, which stay on the primary interface
	role     role

	// ownedByOther is true if another program has the interface, such as a container network or the one that
	// ID_NET_MANAGED_BY names.
	ownedByOther bool
	// rolledBack is the state to hold after a rollback, until the change is tried again; nil: nothing was rolled
	// back.
	rolledBack *plumb.State
	// undecided is true if only the metadata can tell whether ec2net manages the interface, because a section of the
	// configuration names an ENI or a number. Until then nothing is changed.
	undecided bool
	// known is true if there is an address to set up, from the metadata or from a lease.
	known bool
	// conflict is true if another host answers for the leased address (RFC 5227), and the metadata has not confirmed
	// it.
	conflict bool

	// granted is what the metadata grants, in doubt or not; zero where the lease is all that is known (degraded).
	granted metadata.Interface
	// Lease is the lease; nil: there is none, or the metadata contradicts it.
	Lease *dhcp.Lease
	// primary is true if it is the primary interface, by what is known now or by the record.
	primary bool
	// hosts is true if nobody but ec2net configures the host, which lives by this interface (hosting.go). Its address
	// and default route then survive `down`.
	hosts bool
	// ownAddress is true if adding the primary address is ec2net's job, not that of another DHCP client.
	ownAddress bool
	// connected are the other ends of the host's open connections, as far as a grant could take their addresses.
	connected []netip.Addr
	egress    plumb.Egress
	nat       NATRole
	// before is how ec2net found the interface, which is what down restores; nil: nobody knows.
	before *plumb.Baseline
}

// mode is what is done with an interface. The order of the checks in Facts.mode is the order of precedence.
type mode uint8

const (
	// modeManage sets up all that is granted.
	modeManage mode = iota
	// modeKeep leaves everything as it is, but for the link, which has to be up for DHCP: nothing is known yet.
	modeKeep
	// modeWait changes nothing at all, not even the link: whether the interface is ours is not known.
	modeWait
	// modeRelease removes everything of ec2net's, as the configuration says; with manage = "link-up" the link stays
	// up.
	modeRelease
	// modeForeign removes everything of ec2net's, because another program has the interface, and leaves it the link.
	modeForeign
	// modeRollBack restores the state before the last change.
	modeRollBack
	// modeConflict removes the address, because another host has it; the link stays up for the next DISCOVER.
	modeConflict
	// modeNone removes everything: the device turned out to be part of another interface.
	modeNone
)

// mode decides what is done with the interface.
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

// Want is the state that should be there, given what the kernel has. It is pure. The error names what cannot be set
// up; the state is valid all the same, for the rest.
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
		return plumb.Released(have, f.before), nil
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

// released is the state of an interface that the configuration leaves alone (manage = false), or of which it wants
// the link up only: nothing of an earlier configuration stays. The link of the primary interface belongs to whoever
// configured it, so it is not taken down.
func (f Facts) released(have plumb.Snapshot) plumb.State {
	switch {
	case f.Settings.Manage == config.LinkUp:
		return plumb.LinkOnly(have, f.before)
	case f.primary:
		return plumb.Released(have, f.before)
	}
	return plumb.Detached(have, f.before)
}

// input translates the facts into what plumb.Want decides the details from.
func (f Facts) input(have plumb.Snapshot) plumb.Input {
	c, traits := f.Settings, f.cloud.Traits()
	return plumb.Input{
		Interface: f.granted, Lease: f.Lease, Have: have, OwnAddress: f.ownAddress, Host: f.hosts, Baseline: f.before,
		NoDHCP: c.DHCP == config.Off, MainTable: c.MainTable, Priority: c.Priority,
		ByInterface: c.Replies == config.ByInterface, Prefixes: delegation(c),
		Gateways: traits.Gateways, OffLink: traits.OffLink, Gateway6: traits.Gateway6, Servers: traits.Servers, Services: f.services, Connected: f.connected,
		Egress: f.egress, NAT: f.nat.out, Inside: f.nat.in,
	}
}

// delegation translates the setting prefixes for plumb, which does not know the configuration.
func delegation(c config.Interface) plumb.Delegation {
	return map[config.Prefixes]plumb.Delegation{
		config.PrefixRules: plumb.DelegateRules,
		config.PrefixLocal: plumb.DelegateLocal,
		config.PrefixOff:   plumb.DelegateOff,
	}[c.Prefixes]
}

// Recorded are the facts by an interface's record, for status, which compares the kernel with what the managing
// process has set up, not with what it should do next.
func Recorded(r state.Record, have plumb.Snapshot, conf config.Config, nat NATRole) Facts {
	f := Facts{
		cloud: r.Cloud, Settings: conf.For(config.Local(r.Name, r.MAC, Driver(r.Name)).Learn(r.Interface)),
		services: services(r.Cloud, conf), known: true, granted: r.Interface, Lease: r.Lease, primary: r.Interface.Primary,
		hosts: r.Hosts, ownAddress: assignsAddress(r.DHCP), egress: r.Egress.Wanted(), nat: nat, before: r.Baseline,
	}
	f.connected = connected(f.granted, f.Settings)
	if r.Degraded() {
		f.Lease = EffectiveLease(r, have)
	}
	return f
}
