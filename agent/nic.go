package agent

import (
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// NIC is a network interface and all that is known of it: by the kernel, the metadata, the lease, the configuration and
// the records. With it a plan is made and a host is examined; nothing that it does changes anything.
type NIC struct {
	link  *plumb.Link
	where metadata.Cloud
	cloud metadata.Source
	// noCloud is why there is none to be asked; nil: there is.
	noCloud error
	config  config.Config
	iface   config.Interface
	keys    config.Facts // by which sections of the configuration match it
	store   state.Store
	log     logrus.FieldLogger
	daemon  bool // run: somebody keeps the interface until it is gone

	startedAt time.Time // since when anybody is asked: the metadata, the lease
	snap      plumb.Snapshot
	role      role // by the last snapshot

	record          state.Record
	dirty           bool     // there is news for it
	baselineUnsaved bool     // none on disk says how the interface was found, since it was plugged in
	oldNames        []string // names that the interface is recorded under and has no more

	readings
	dhcpState

	setUp      bool // it has been converged in this process
	degraded   bool
	egress     egress
	nat        natPart
	logLimiter logLimiter
}

// Options are what is known of an interface beside the kernel. Of the command line they know nothing.
type Options struct {
	Cloud     metadata.Cloud  // that the machine runs in
	Source    metadata.Source // that is asked; nil: there is none
	NoSource  error           // why there is none
	Config    config.Config
	Store     state.Store
	Known     state.Records // that are in the store
	Log       logrus.FieldLogger
	ShortHold bool // there is no time to wait for the end of a doubt
}

// NewNIC looks an interface up, and what an earlier process has left of it. Nobody else is asked. Its link is to be closed.
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
	n.shortHold = o.ShortHold
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

// ManagerAsks reports whether the process that manages the interface asks the metadata, by what it has learned of it.
func (n *NIC) ManagerAsks() bool {
	if iface := n.record.Interface; iface.MAC == n.snap.MAC {
		n.keys = n.keys.Learn(iface)
		n.iface = n.config.For(n.keys)
	}
	return n.asks()
}

// Close frees the interface's sockets.
func (n *NIC) Close() { n.link.Close() }

// Have is the kernel's side, as it was read last.
func (n *NIC) Have() plumb.Snapshot { return n.snap }

// Settings are the configuration's for the interface.
func (n *NIC) Settings() config.Interface { return n.iface }

// Granted is what the metadata grants, with what readings leave out and is in doubt yet.
func (n *NIC) Granted() metadata.Interface { return n.settled }
