package main

import (
	"errors"
	"net"
	"slices"
	"time"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// remember takes over what an earlier process left: on disk what the kernel can not say, and from
// the kernel the last known good of the metadata. The records come first: they say what else than the interface's
// link to read.
func (a *agent) remember(known state.Records) (err error) {
	a.record = state.Record{Name: a.snap.Name, Index: a.snap.Index, MAC: a.snap.MAC, Cloud: a.where}
	for _, old := range known {
		a.inherit(old)
	}
	if a.snap, err = a.link.Read(); err != nil {
		return err
	}
	if a.record.Before == nil {
		a.record.Before, a.unwritten = plumb.Found(a.snap), true
		a.link.Forwards = a.record.Before.Forwarding != nil
	}
	a.last = a.lastGood(a.snap)
	if a.settled = a.last; a.last.MAC == (metadata.MAC{}) {
		a.last = a.snap.Held()
	}
	if l := a.record.Lease; l != nil {
		a.lease, a.held = l, l.Live(time.Now())
	}
	a.hosts = a.record.Hosts || a.snap.Hosts()
	a.record.Foreign = a.record.Foreign || a.foreignAddress() != ""
	return nil
}

// inherit takes what is of use from one record: of this interface, or of one that had its name before,
// whose rules may be left.
func (a *agent) inherit(old state.Record) {
	twin := slices.ContainsFunc(a.snap.Twins, func(t plumb.Twin) bool { return t.Index == old.Index })
	same := old.MAC == a.snap.MAC && !twin
	if old.Name != a.snap.Name && !same {
		return
	}
	if !same && here(old.MAC) { // under another name: what is left is for its own process to keep or to take away
		return
	}
	a.link.Numbers = append(a.link.Numbers, old.Numbers...)
	a.link.Packets = a.link.Packets || old.Packets
	a.record.Packets = a.record.Packets || a.link.Packets
	if same {
		a.record.Numbers, a.record.Lease = old.Numbers, old.Lease
		a.record.Peers, a.link.Peers = old.Peers, old.Peers
		a.record.Taken, a.unwritten = old.Taken, true
	}
	if same && old.Index == a.snap.Index {
		a.record.Before, a.record.Interface, a.record.ReadAt = old.Before, old.Interface, old.ReadAt
		a.record.Hosts, a.record.Foreign = old.Hosts, old.Foreign
		a.link.Forwards = old.Before != nil && old.Before.Forwarding != nil
		a.unwritten = false
	}
	if old.Name != a.snap.Name {
		a.formerly = append(a.formerly, old.Name)
	}
}

// here: an interface of this host has the MAC.
func here(mac metadata.MAC) bool {
	return slices.ContainsFunc(ownMACs(), func(m net.HardwareAddr) bool { return m.String() == mac.String() })
}

// lastGood is what the metadata granted last: by the record of this very interface, and what of it the kernel holds;
// without a record by the kernel alone. That a rule or a route is missing is drift, and takes no address away.
func (a *agent) lastGood(s plumb.Snapshot) metadata.Interface {
	if a.record.Interface.MAC == s.MAC {
		return metadata.Settle(s.Held(), a.record.Interface) // all of both
	}
	return s.Granted()
}

// writeAhead puts on disk which rules and tables are about to be this interface's, before the kernel gets them: a
// rule outlives the interface, and only the record says whose it was. A full disk is no reason to leave the interface
// dead; while the interface is there, its routes tell as much. What the interface is granted is there before the
// kernel has it, and gone before it is taken off: the next process goes by the record. How an interface was found
// that was plugged in again is written ahead too: what the disk says is how it was found the last time.
func (a *agent) writeAhead(w plumb.State) {
	added := a.unwritten
	for _, n := range w.Numbers() {
		if !slices.Contains(a.record.Numbers, n) {
			a.record.Numbers, added = append(a.record.Numbers, n), true
		}
	}
	if uses := len(w.Packets)+len(a.snap.Packets) > 0; uses != a.record.Packets {
		a.record.Packets, added = uses, true
	}
	added = added || !metadata.Same(a.record.Interface, a.settled)
	if a.leasedAhead(w) {
		added = true
	}
	if a.forwardAhead(a.snap, w) || added {
		a.ahead = true // of what is not set yet, whatever the last change was
		a.saved()
		a.ahead, a.unsaved = false, true
	}
}

// leasedAhead notes the MTU that is about to be set because a lease says so, and forgets it once it is given back.
func (a *agent) leasedAhead(w plumb.State) bool {
	b, set := a.record.Before, 0
	switch {
	case b == nil:
		return false
	case w.Link.MTU != a.snap.Link.MTU && a.lease != nil && w.Link.MTU == a.lease.MTU:
		set = w.Link.MTU
	case a.iface.DHCP != config.Off || b.Leased == 0 || b.Leased == a.snap.Link.MTU:
		return false
	}
	b.Leased = set
	return true
}

// foundAhead puts on disk how the interface was found, before its link is set up.
func (a *agent) foundAhead(w plumb.State) {
	if a.unwritten && w.Link != a.snap.Link {
		a.saved()
	}
}

// saved writes the record. What fails is said, and tried again with the next news.
func (a *agent) saved() {
	err := a.save()
	a.unsaved, a.unwritten, a.unsavedWhy = err != nil, a.unwritten && err != nil, err
	a.complain(fromDisk, errors.Join(err, a.signed()))
	a.publish()
}

func (a *agent) save() error {
	a.record.Interface, a.record.Lease, a.record.DHCP, a.record.Peers = a.settled, a.trusted(), a.leasing, a.link.Peers
	a.record.Interface.Problems = nil // of one reading, and no JSON
	f := a.phaseFacts()
	f.writing = a.ahead
	a.record.Enter(f.phase())
	a.record.State = a.text()
	a.record.Hosts = a.hosting()
	a.record.Undone = a.undone.recorded()
	a.record.Egress = a.way()
	if err := a.store.Save(a.record); err != nil {
		return err
	}
	for _, name := range a.formerly { // after the new one: a process that is killed here leaves two, not none
		old, known := a.store.Load(name)
		if known && old.MAC != a.record.MAC || name == a.record.Name {
			continue // an interface that has the name now
		}
		if err := a.store.Remove(name); err != nil {
			return err
		}
	}
	a.formerly = nil
	return nil
}
