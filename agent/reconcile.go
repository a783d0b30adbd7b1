package agent

import (
	"context"

	"ec2net/metadata"
	"ec2net/plumb"
)

// decisions bounds how often a reconciliation decides anew, because what it read last decides otherwise.
const decisions = 3

// reconcile reads the kernel, decides by that and all else that is known, and makes the kernel what was decided. A
// decision holds until the kernel is so; what has come up meanwhile is followed by another one.
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
		if r.Failed != nil || a.gatherFacts().mode() == a.mode {
			break
		}
	}
	r.Done = done
	return r
}

// decide moves on what has a course of its own, which is by which interface traffic leaves, and returns the facts that
// the next change is decided from.
func (a *Agent) decide() Facts {
	f := a.gatherFacts()
	a.mode = f.mode()
	if a.mode == modeManage && !a.record.Packets {
		a.record.Before.Note(a.snap)
	}
	if a.mode == modeManage || a.mode == modeRollBack {
		f.egress = a.electEgress(a.snap)
	}
	return f
}

// gatherFacts are all facts of now.
func (a *Agent) gatherFacts() Facts {
	if a.role == roleInterface {
		a.OwnedByOther(a.snap)
	}
	f := a.facts()
	if a.rolledBack != nil {
		f.rolledBack = &a.rolledBack.state
	}
	f.undecided = a.undecided()
	f.known, f.conflict = a.known(), a.conflict
	f.Lease, f.ownAddress = a.usableLease(), a.ownsAddress()
	if a.degraded || a.settled.MAC == (metadata.MAC{}) {
		f.granted, f.Lease = metadata.Interface{}, a.basis()
	}
	return f
}

// known: there is something to set up.
func (a *Agent) known() bool {
	return a.degraded || a.settled.MAC != (metadata.MAC{}) || a.hosting()
}

// changing is what plumb calls before each change.
func (a *Agent) changing(have plumb.Snapshot, want plumb.State, plan plumb.Plan) {
	a.updateSnapshot(have)
	a.recordAhead(want)
	a.check.changing(have, plan)
}

// recordAhead has the record say what is about to be there.
func (a *Agent) recordAhead(want plumb.State) {
	switch a.mode {
	case modeManage:
		a.writeAhead(want)
	case modeRelease, modeKeep:
		a.foundAhead(want)
	}
}
