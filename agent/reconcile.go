package agent

import (
	"context"

	"ec2net/plumb"
)

// Reconciling: read the kernel, decide, and let plumb apply until the plan is empty. Before each change the record is
// written ahead and the connectivity check takes its baseline; both hang on the hook plumb.Link.Changing.

// decisions bounds how often a reconciliation decides anew because the snapshot after the change leads to another
// mode, as when a container network claims the interface in the middle. Two would do; a third one allows for a
// coincidence.
const decisions = 3

// reconcile reads the kernel, decides, and makes the kernel what was decided. One decision holds for all passes of
// ReconcileFrom, so that the goal does not move; if the new snapshot decides otherwise, another round follows. The
// result has the operations of all rounds.
func (a *Agent) reconcile(ctx context.Context) (r plumb.Result) {
	var done plumb.Plan
	for range decisions {
		have, err := a.link.Read()
		if err != nil {
			return plumb.Result{Done: done, Failed: err}
		}
		a.updateSnapshot(have)
		f := a.decide()
		r = a.link.ReconcileFrom(ctx, have, f.Want)
		a.updateSnapshot(r.Have)
		a.recordAhead(r.Want)
		done = append(done, r.Done...)
		if r.Failed != nil || len(r.Done) == 0 || a.gatherFacts().mode() == a.mode { // without a change the facts are those of a moment ago
			break
		}
	}
	r.Done = done
	return r
}

// decide returns the facts for the next change. It advances what has state of its own: the election of [egress], and
// what the record remembers of how the interface was found.
func (a *Agent) decide() Facts {
	f := a.gatherFacts()
	a.mode = f.mode()
	if a.mode == modeManage && !a.record.Packets {
		a.record.Baseline.Note(a.snap)
	}
	if a.mode == modeManage || a.mode == modeRollBack {
		f.egress = a.electEgress(a.snap)
	}
	return f
}

// changing is the hook that plumb calls before each change; have is the snapshot that plan was made from.
func (a *Agent) changing(have plumb.Snapshot, want plumb.State, plan plumb.Plan) {
	a.updateSnapshot(have)
	a.recordAhead(want)
	a.check.changing(have, plan)
}

// recordAhead writes the record before the kernel is changed. The rules of an interface outlive it; if the process is
// killed right after adding one, only the record says whose the rule is.
func (a *Agent) recordAhead(want plumb.State) {
	switch a.mode {
	case modeManage:
		a.writeAhead(want)
	case modeRelease, modeKeep:
		a.foundAhead(want)
	}
}

// updateSnapshot takes over a new snapshot of the kernel and updates what follows from it: the DHCP client learns of
// the carrier, a new name moves record and lock, and the first address of another program is recorded.
func (a *Agent) updateSnapshot(s plumb.Snapshot) {
	if s.Carrier != a.snap.Carrier {
		a.leases.signal(s.Carrier)
	}
	if s.OthersManaged && !a.snap.OthersManaged {
		a.retryNow() // beside others the primary has rules of its own: that is another change
	}
	if a.snap = s; a.record.Name != s.Name {
		a.renamed(s.Name)
	}
	a.role = a.roleOf(s)
	a.noteForeignLease()
	if a.foreignAddress() != "" && !a.record.Foreign {
		a.record.Foreign, a.dirty = true, true
	}
}
