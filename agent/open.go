package agent

import (
	"slices"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// How a NIC begins: it is looked up in the kernel, and takes over what an earlier process has left in the record.

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

// remember takes over what an earlier process left: from the records what the kernel cannot tell, and from the kernel
// the last known good answer of the metadata. The records come first, since they say what to read beside the
// interface's link.
func (n *NIC) remember(known state.Records) (err error) {
	n.record = state.Record{Name: n.snap.Name, Index: n.snap.Index, MAC: n.snap.MAC, Cloud: n.where}
	for _, old := range known {
		n.inherit(old)
	}
	n.cover()
	if n.snap, err = n.link.Read(); err != nil {
		return err
	}
	if n.record.Baseline == nil {
		n.record.Baseline, n.baselineUnsaved = plumb.BaselineOf(n.snap), true
		n.cover()
	}
	n.last = n.lastGood(n.snap)
	if n.settled = n.last; n.last.MAC == (metadata.MAC{}) {
		n.last = n.snap.Held()
	}
	if l := n.record.Lease; l != nil {
		n.lease, n.held = l, l.Live(time.Now())
	}
	n.hosts = n.record.Hosts || n.snap.Hosts()
	n.record.Foreign = n.record.Foreign || n.foreignAddress() != ""
	return nil
}

// inherit takes from one record what is of use: from a record of this interface (the same MAC) nearly all, as long as
// it was not unplugged meanwhile (the same index) also how it was found; from a record of an interface that had this
// name before, only which rules may be left.
func (n *NIC) inherit(old state.Record) {
	twin := slices.ContainsFunc(n.snap.Twins, func(t plumb.Twin) bool { return t.Index == old.Index })
	same := old.MAC == n.snap.MAC && !twin
	if old.Name != n.snap.Name && !same {
		return
	}
	if !same && onThisHost(old.MAC) { // that interface has another name now; its own process sees to its rules
		return
	}
	n.link.Cover(plumb.Scope{Numbers: old.Numbers})
	n.record.Packets = n.record.Packets || old.Packets
	if same {
		n.record.Numbers, n.record.Lease = old.Numbers, old.Lease
		n.record.Peers = old.Peers
		n.record.Claimed, n.baselineUnsaved = old.Claimed, true
	}
	if same && old.Index == n.snap.Index {
		n.record.Baseline = old.Baseline
		n.record.Interface, n.record.ReadAt = old.Interface, old.ReadAt
		n.record.Hosts, n.record.Foreign = old.Hosts, old.Foreign
		n.baselineUnsaved = false
	}
	if old.Name != n.snap.Name {
		n.oldNames = append(n.oldNames, old.Name)
	}
}

// lastGood is what the metadata granted last. With a record of this interface it is the union of the record and what
// the kernel holds: a rule that is missing is drift, and takes no address away. Without one the kernel alone tells.
func (n *NIC) lastGood(s plumb.Snapshot) metadata.Interface {
	if n.record.Interface.MAC == s.MAC {
		return metadata.Settle(s.Held(), n.record.Interface) // the union
	}
	return s.Granted()
}
