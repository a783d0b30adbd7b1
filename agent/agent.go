// Package agent is the life of one network interface. It gathers what the metadata, the lease, the kernel, the
// configuration and the records say of it (Facts), decides from that what is done with the interface, has package plumb
// make the kernel so, and reports how far that has got (state.Phase).
//
// An Agent sets an interface up and manages it: Begin, then Up or Run. A NIC is what is known of an interface, for
// commands that only plan or examine. Removal takes everything away again. Errors are of the kinds ErrInvalid,
// ErrUnavailable, ErrPartial and ErrDenied, or none; the exit statuses that follow are the caller's.
package agent

import (
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

// This file is the agent's state. All that changes it runs on the goroutine of Agent.loop, so no field has a lock;
// readings of the metadata and the DHCP client have goroutines of their own and report by channels.

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
