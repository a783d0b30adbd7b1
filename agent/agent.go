// Package agent is the life of one network interface. It gathers what the metadata, the lease, the kernel, the
// configuration and the records say of it (Facts), decides from that what is done with the interface, has package plumb
// make the kernel so, and reports how far that has got (state.Phase).
//
// An Agent sets an interface up and manages it: Begin, then Up or Run. A NIC is what is known of an interface, for
// commands that only plan or examine. Removal takes everything away again. Errors are of the kinds ErrInvalid,
// ErrUnavailable, ErrPartial and ErrDenied, or none; the exit statuses that follow are the caller's.
package agent

import (
	"context"
	"errors"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

// This file is the agent itself: its state, the snapshot that it is told, and converge, the one place that every
// event ends in (docs/architecture.md, "One flow"). All of it runs on the goroutine of Agent.loop, so no field has a
// lock; readings of the metadata and the DHCP client have goroutines of their own and report by channels.

// Agent sets one interface up and manages it. Metadata, lease and kernel report events; after each the agent
// reconciles the kernel with what should be there. `up` and `run` are the same agent: Up returns when the interface
// is set up, Run when the interface is gone.
type Agent struct {
	NIC
	// lock makes this process the interface's manager. Only run takes it, and holds it until the process ends; nil in
	// up.
	lock *state.Lock
	// progress is told the phase and its text after each event: for systemd (run) or for a terminal (up).
	progress func(state.Phase, string)

	// unconvergedSince is when the interface was last found not to be converged; STATUS shows it.
	unconvergedSince time.Time
	// saveErr is why the record could not be written, nil if it was. The lock file passes it on to other commands,
	// which would otherwise take the old record for the truth.
	saveErr error
	// writingAhead is set while the record is written before a change. The record then claims no more than
	// state.Settling: should the process be killed in the middle, the next one must not believe that all is set up.
	writingAhead bool

	// converged is true if the kernel holds all that is known, as of the last reconciliation.
	converged bool
	// applyFailed is true if the kernel could not be read, or refused a change. No event announces that it would work
	// now, so retryFailedApply tries again after a pause.
	applyFailed bool
	// ifaces are the records of the host's interfaces, as they were last on disk. They stand in for records that
	// somebody has deleted along with their folder.
	ifaces  state.Records
	metrics state.Publisher

	// check, baseline, rolledBack and rollbacks belong to the connectivity check, see check.go and rollback.go.
	check connectivityCheck
	// baseline is the interface's state when this process began, or before the change that a killed process left
	// without a verdict. A rollback of up restores it.
	baseline plumb.State
	// rolledBack is the change that is held back at the moment, because it cut something off; nil: none is.
	rolledBack *rollback
	// rollbacks counts rollbacks in a row. Each doubles the time until the next attempt.
	rollbacks int
	repairs   repairs
	// muted is true if another program keeps undoing our changes, so repairs are no longer logged. Set during a
	// repair only.
	muted bool
	// mode is the last decision. The hooks that run before a change (changing) go by it.
	mode mode
}

// newAgent makes the agent of an interface and takes over what an earlier process left: its record, and a change that
// was not confirmed yet. It reads the kernel and the records; it changes nothing and asks neither cloud nor DHCP.
func newAgent(name string, o Options) (*Agent, error) {
	n, err := NewNIC(name, o)
	if err != nil {
		return nil, err
	}
	a := &Agent{NIC: *n, unconvergedSince: n.startedAt, baseline: n.snap.State, progress: func(state.Phase, string) {}}
	a.checkChanges()
	if before, ok := a.check.resume(a.snap); ok {
		a.baseline = before
	}
	return a, nil
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

// converge decides anew, reconciles the kernel and logs what changed. The order matters: the decisions about the
// whole host (degrade, egress, NAT) come first, because reconcile reads the kernel for as much as they need; the
// verdict on what was cut off comes last, because it looks at the result. Failures of the kernel are logged and tried
// again; only errGone and errNotStandalone's kinds are returned. When ctx ends in the middle, what was changed is
// still checked.
func (a *Agent) converge(ctx context.Context) error {
	a.reviewHosting()
	a.degrade()
	a.expireHold(time.Now())
	others := a.others()
	a.refreshEgress(others)
	a.updateNATRole(others)
	a.cover()
	before := a.egress.candidates
	r := a.reconcile(ctx)
	switch {
	case errors.Is(r.Failed, plumb.ErrGone):
		return errGone
	case ctx.Err() != nil: // an interrupted change is still checked: it may have cut the host off
		a.confirm(context.WithoutCancel(ctx), r.Done)
		return nil
	}
	a.applyFailed = r.Failed != nil
	a.announce(r.Done)
	if a.role == roleFunction {
		return errors.Join(notStandalone(a.snap), r.Err())
	}
	if a.record.LeftTo != "" {
		a.warnOnce(fromKernel, r.Err())
		a.reportOwner()
		return nil
	}
	a.confirm(ctx, r.Done)
	was := a.converged
	a.converged = a.outcome(r)
	if was && !a.converged {
		a.unconvergedSince = time.Now()
	}
	a.setUp = a.setUp || a.converged
	a.reportEgress(before)
	a.warnOnce(fromKernel, r.Err())
	a.warnOnce(fromDHCP, a.leaseMismatch())
	a.dirty = a.dirty || len(r.Done) > 0 || was != a.converged
	return nil
}

// outcome reports whether the interface is converged after a reconciliation. What Want left out (r.Refused) does not
// count against it, except where nothing can be set up at all: the rest holds. If the kernel could not be read,
// nothing new is known, and the last answer stands.
func (a *Agent) outcome(r plumb.Result) bool {
	switch {
	case a.rolledBack != nil, errors.Is(r.Failed, plumb.ErrNotConverged), errors.Is(r.Refused, plumb.ErrNoAddress), errors.Is(r.Refused, errAmbiguous):
		return false
	case r.Failed == nil:
		return a.known()
	}
	return a.converged
}

// Name is the interface's name at present; the kernel may have renamed it since the start.
func (a *Agent) Name() string { return a.record.Name }

// StartedAt is when the agent first asked the metadata or DHCP; all its deadlines count from there.
func (a *Agent) StartedAt() time.Time { return a.startedAt }

// OnProgress has f called after each event, with the phase and one line of text for a person. f runs on the agent's
// own goroutine and must not block.
func (a *Agent) OnProgress(f func(state.Phase, string)) { a.progress = f }

// retryNow has the next event make the change again: the operator asked for it (SIGHUP), or the metadata now grants
// something else.
func (a *Agent) retryNow() {
	if a.rolledBack != nil {
		a.rolledBack.until = time.Time{}
	}
}
