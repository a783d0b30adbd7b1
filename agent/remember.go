package agent

import (
	"errors"
	"slices"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
)

// The record (state.Record): what is written down before and after each change, for the process that comes next
// (open.go). The kernel is the truth; the record says what the kernel cannot, such as how the interface was
// found and whose a rule is whose interface is gone.

// writeAhead writes the record before a change that adds something to it. Rules outlive the interface, and only the
// record says whose they are. What is granted is on disk before the kernel has it, and off the disk before the kernel
// loses it, since the next process goes by the record. A full disk does not stop the change: while the interface is
// there, its routes tell as much.
func (a *Agent) writeAhead(w plumb.State) {
	added := a.baselineUnsaved
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
		a.writingAhead = true // the phase must not claim what is not set yet
		a.saveRecord()
		a.writingAhead, a.dirty = false, true
	}
}

// leasedAhead notes an MTU that is about to be set because the lease or the metadata says so, and drops the note once the MTU is
// restored. It reports whether the record has news.
func (a *Agent) leasedAhead(w plumb.State) bool {
	b, set := a.record.Baseline, 0
	named := w.Link.MTU == a.settled.MTU || (a.lease != nil && w.Link.MTU == a.lease.MTU)
	switch {
	case b == nil:
		return false
	case w.Link.MTU != a.snap.Link.MTU && named:
		set = w.Link.MTU
	case a.iface.DHCP != config.Off || b.Leased == 0 || b.Leased == a.snap.Link.MTU:
		return false
	}
	b.Leased = set
	return true
}

// foundAhead writes down how the interface was found before its link is set up.
func (a *Agent) foundAhead(w plumb.State) {
	if a.baselineUnsaved && w.Link != a.snap.Link {
		a.saveRecord()
	}
}

// saveRecord writes the record. A failure is logged, noted in the lock's file, and tried again with the next news.
func (a *Agent) saveRecord() {
	err := a.writeRecord()
	a.dirty, a.saveErr = err != nil, err
	a.baselineUnsaved = a.baselineUnsaved && err != nil
	a.warnOnce(fromDisk, errors.Join(err, a.signLock()))
	a.publish()
}

// writeRecord fills in the record from what is known and saves it under the present name, then removes the files of
// old names. In this order a process that is killed in between leaves two records, not none.
func (a *Agent) writeRecord() error {
	a.record.Interface = a.settled
	a.record.Interface.Problems = nil // they belong to one reading, and errors have no JSON
	a.record.Lease, a.record.DHCP = a.usableLease(), a.dhcpOwner
	f := a.phaseFacts()
	a.record.State = a.textOf(f)
	f.writing = a.writingAhead
	a.record.Enter(f.phase())
	a.record.Hosts = a.hosting()
	a.record.Primary = nil
	if a.settled.MAC == (metadata.MAC{}) {
		a.record.Primary = a.standing.recorded()
	}
	a.record.Awaits = a.awaited()
	a.record.RolledBack = a.rolledBack.record()
	a.record.Egress = a.egressStatus()
	if err := a.store.Save(a.record); err != nil {
		return err
	}
	for _, name := range a.oldNames { // after the new one: a process that is killed here leaves two, not none
		old, known := a.store.Load(name)
		if (known && old.MAC != a.record.MAC) || name == a.record.Name {
			continue // an interface that has the name now
		}
		if err := a.store.Remove(name); err != nil {
			return err
		}
	}
	a.oldNames = nil
	return nil
}

// forwardAhead notes in the record how net.ipv4.conf.IF.forwarding was before it is changed, and drops the note once
// it is restored. It reports whether the record has news. See Documentation/networking/ip-sysctl.rst for the setting.
func (a *Agent) forwardAhead(s plumb.Snapshot, w plumb.State) bool {
	b := a.record.Baseline
	switch {
	case b == nil:
		return false
	case a.nat.hasRole() && b.Forwarding == nil:
		was := s.Link.Forwarding
		b.Forwarding = &was
	case !a.nat.hasRole() && b.Forwarding != nil && s.Link.Forwarding == w.Link.Forwarding:
		b.Forwarding = nil
	default:
		return false
	}
	a.cover()
	return true
}

// publish has the metrics of all interfaces written anew; it does not wait.
func (a *Agent) publish() { a.metrics.Publish(a.store, a.config.MetricsFile) }

// forget removes the record of an interface on which nothing of ours is left.
func (a *Agent) forget() error {
	err := a.store.Remove(a.record.Name)
	a.publish()
	return err
}
