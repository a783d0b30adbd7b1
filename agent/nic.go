package agent

import (
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

// NewNIC looks an interface up in the kernel, and reads its record. It asks neither the metadata nor DHCP. The caller
// has to Close it. ErrInvalid is for a device that is no interface of its own, or not there.
func NewNIC(name string, o Options) (*NIC, error) {
	link, snap, err := OpenInterface(name)
	if err != nil {
		return nil, err
	}
	n := &NIC{
		link: link, snap: snap, where: o.Cloud, cloud: o.Source, noCloud: o.NoSource, config: o.Config, keys: MatchKeys(snap), store: o.Store,
		log:        o.Log.WithField("interface", snap.Name),
		startedAt:  time.Now(),
		dhcpState:  dhcpState{leases: newLeases()},
		logLimiter: newLogLimiter(),
	}
	n.shortHold, n.programs = o.ShortHold, o.Programs
	n.iface = o.Config.For(n.keys)
	n.egress.rank = -1
	if err := n.remember(o.Known); err != nil {
		link.Close()
		return nil, ExplainGone(name, err)
	}
	if n.role = n.roleOf(n.snap); n.role == roleFunction {
		link.Close()
		return nil, notStandalone(n.snap)
	}
	return n, nil
}

// ManagerAsks reports whether the process that manages this interface reads the metadata. Its record may know the ENI
// that a section of the configuration names, which this process has not asked for.
func (n *NIC) ManagerAsks() bool {
	if iface := n.record.Interface; iface.MAC == n.snap.MAC {
		n.keys = n.keys.Learn(iface)
		n.iface = n.config.For(n.keys)
	}
	return n.asks()
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
