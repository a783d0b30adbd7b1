package agent

import (
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// NIC is the box "what is known" of the flow. An Agent embeds one and changes it with every event; plan and doctor
// make one, read the metadata into it and throw it away. What is decided from it is in decide.go.

// NIC is a network interface and all that is known of it, from the kernel, the metadata, the lease, the configuration
// and the records. None of its methods changes the kernel, a record or a lock.
type NIC struct {
	link  *plumb.Link
	where metadata.Cloud
	// cloud answers for the metadata; nil where noCloud says why it cannot be asked.
	cloud   metadata.Source
	noCloud error
	// config is the whole file, and iface the settings that apply to this interface. The latter may change with the
	// first reading, since a section can name an ENI or a device number, which only the metadata knows.
	config config.Config
	iface  config.Interface
	// keys are what sections of the configuration match by: name, MAC and driver, later the ENI and the numbers too.
	keys  config.Facts
	store state.Store
	// programs are Options.Programs.
	programs *dhcp.Programs
	log      logrus.FieldLogger
	// daemon is true if the process manages the interface until it is gone (run). It logs trouble as it comes and
	// goes; a one-shot command (up) reports it once, in its error.
	daemon bool

	// startedAt is when the metadata or DHCP was first asked. Deadlines count from it: Silence, ownerPatience and so
	// on.
	startedAt time.Time
	// snap is what the kernel held when it was last read.
	snap plumb.Snapshot
	// role is what the device is by that snapshot: an interface, a virtual function, or not known yet.
	role role

	// record becomes NAME.json in /run/ec2net; dirty: it has news that is not on disk yet.
	record state.Record
	dirty  bool
	// baselineUnsaved is true if no record on disk says how ec2net found the interface since it was plugged in
	// (record.Before).
	baselineUnsaved bool
	// oldNames are earlier names of the interface whose record files still exist.
	oldNames []string

	readings
	dhcpState

	// setUp is true if the interface has been converged at least once in this process. Before that, changes are the
	// set-up; afterwards they are repairs.
	setUp bool
	// degraded is true if the interface runs on a lease, or on another program's address, without the metadata. See
	// degraded.go.
	degraded bool
	// standing is what was last known of whether the interface is the primary one, while the metadata says nothing.
	standing   standing
	egress     egress
	nat        natPart
	logLimiter logLimiter
}

// Options are what a caller knows of the host and the command line; the agent itself knows no flags.
type Options struct {
	// Cloud is the one that the machine runs in, by its firmware or by --cloud.
	Cloud metadata.Cloud
	// Source is asked for the metadata; nil where NoSource says why that is impossible, as with a bad endpoint.
	Source   metadata.Source
	NoSource error
	Config   config.Config
	Store    state.Store
	// Known are the records in Store. The caller reads them once for all interfaces.
	Known state.Records
	Log   logrus.FieldLogger
	// Programs are what runs on the host. The caller reads them once for all interfaces; nil: they are read when it
	// counts, as by a process that lives long.
	Programs *dhcp.Programs
	// ShortHold is true if an address that the metadata no longer lists is dropped after confirmAfter, not after the
	// configured release. For commands that cannot wait so long, where no process of the interface is waiting either.
	ShortHold bool
}

// Close closes the netlink sockets.
func (n *NIC) Close() { n.link.Close() }

// Have is the last snapshot of the kernel.
func (n *NIC) Have() plumb.Snapshot { return n.snap }

// Settings are the configuration's settings for this interface, as far as it is known which sections match.
func (n *NIC) Settings() config.Interface { return n.iface }

// Granted is what the metadata grants the interface, including what is still in doubt: addresses that readings have
// left out for less than the configured release.
func (n *NIC) Granted() metadata.Interface { return n.settled }

// asks reports whether the metadata has a say in this interface: it is fully managed, or the metadata decides whether
// it is.
func (n *NIC) asks() bool { return n.iface.Manage == config.Full || n.config.NeedsMetadata(n.keys) }

// idle reports whether ec2net has nothing to do with the interface.
func (n *NIC) idle() bool { return n.iface.Manage == config.None || n.record.LeftTo != "" }

// roleOf is the role of the NIC's own device.
func (n *NIC) roleOf(s plumb.Snapshot) role {
	return roleOf(s, n.where.Traits().Twins, time.Since(n.startedAt) < ownerDecideTime, Driver, func(index int) bool {
		if index == s.Index {
			return n.setUp || len(n.record.Numbers) > 0
		}
		return wasSetUp(n.store.All(), index, s.MAC)
	})
}

// noIPv4 reports whether the cloud says that the interface has no IPv4 address, as in an IPv6-only subnet or on an
// interface for EFA alone. DHCP is then not waited for. A lease with a real address contradicts that: the metadata is
// late.
func (n *NIC) noIPv4() bool {
	real := n.held && !n.lease.Addr.Addr().IsLinkLocalUnicast()
	return n.settled.Addrs4.Status == metadata.Absent && !real
}

// foreignAddress is an IPv4 address on the interface that another program put there; "": there is none.
func (n *NIC) foreignAddress() string {
	for _, h := range n.snap.Addrs {
		if h.Foreign4() {
			return h.Prefix.String()
		}
	}
	return ""
}

// configuredBy is the program that does DHCP on the interface or manages its addresses, if there is one.
func (n *NIC) configuredBy() (dhcp.Owner, bool) {
	programs := n.programs
	if programs == nil {
		now := dhcp.ReadPrograms(os.DirFS("/"))
		programs = &now
	}
	return programs.Owner(n.snap.Name, n.snap.Index)
}

// hosting reports whether the host itself lives by what ec2net gives the interface. That is so where nobody else
// configures the interface, and it is the primary or, until the metadata has answered for the first time, may be.
func (n *NIC) hosting() bool {
	return n.hosts && (n.settled.Primary || (n.settled.MAC == (metadata.MAC{}) && n.leasesHost()))
}

// leasesHost reports whether there is a lease that a host can live by. In an IPv6-only subnet EC2's DHCP server
// leases a link-local address, which is none.
func (n *NIC) leasesHost() bool { return n.lease != nil && !n.lease.Addr.Addr().IsLinkLocalUnicast() }
