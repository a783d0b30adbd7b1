// Package agent is the life of one network interface: it gathers what the metadata, the lease, the kernel, the
// configuration and the records say of it (Facts), decides what is to become of it, has package plumb make the kernel so,
// and says how far that has got (state.Phase). Agent sets an interface up and keeps it; NIC is what is known of one, for
// who only plans or examines. Errors are of the kinds ErrInvalid, ErrUnavailable, ErrPartial and so on; what a program
// ends with, its caller knows.
package agent

import (
	"context"
	"errors"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

const (
	// Silence is how long the metadata may say nothing of the interface before a lease alone has to do.
	Silence = 10 * time.Second
	// leasePatience is how long an interface that the metadata knows waits for its lease before it counts
	// as set up without one: address and gateway are known, only the MTU may not be.
	leasePatience = 10 * time.Second
	// confirmAfter is when the metadata is first asked again about an address that it no longer lists.
	confirmAfter = time.Second
	// youthful interfaces are asked about every few seconds: that is when addresses are still arriving.
	startupTime, startupRefresh = time.Minute, 5 * time.Second
)

// Agent keeps one interface right: what the metadata, the lease and the kernel say comes in as events,
// and after each the kernel is reconciled. `up` and `run` are the same agent with another end.
type Agent struct {
	NIC
	lock *state.Lock // run's
	// progress is told the phase and its text, for systemd or a terminal.
	progress func(state.Phase, string)

	unconvergedSince time.Time // since when the interface is not converged
	saveErr          error     // why the record could not be written
	writingAhead     bool      // it is written before a change

	converged   bool
	applyFailed bool          // the kernel could not be asked, or did not do it all
	ifaces      state.Records // of the host's interfaces, as they were last on disk
	metrics     state.Publisher

	check      connectivityCheck
	baseline   plumb.State // of the interface when this process began
	rolledBack *rollback   // the change that is not made now, because it cut something off
	rollbacks  int         // in a row, which double the time until the next attempt
	repairs    repairs
	muted      bool // in a fight with another program: repairs are not logged
	mode       mode // by the last decision
}

// errGone ends the agent of an interface that was taken away.
var errGone = errors.New("the interface is gone")

// newAgent makes the agent of an interface, which takes over what an earlier process has left of it. Nothing is changed,
// and nobody is asked.
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

// updateSnapshot takes note of what the kernel says, and passes the carrier on to the DHCP client.
func (a *Agent) updateSnapshot(s plumb.Snapshot) {
	if s.Carrier != a.snap.Carrier {
		a.leases.signal(s.Carrier)
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

// converge reconciles the kernel and says what changed. Only an interface that is gone, or the end of
// ctx, is an error.
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
	case ctx.Err() != nil: // the end is no reason to leave behind what cuts the host off
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

// outcome says whether the interface is converged after a reconciliation. What Want refused is no
// hindrance: the rest holds. When the kernel could not be asked, nothing new is known.
func (a *Agent) outcome(r plumb.Result) bool {
	switch {
	case a.rolledBack != nil, errors.Is(r.Failed, plumb.ErrNotConverged), errors.Is(r.Refused, plumb.ErrNoAddress), errors.Is(r.Refused, errAmbiguous):
		return false
	case r.Failed == nil:
		return a.known()
	}
	return a.converged
}

// Name is the interface's name of now.
func (a *Agent) Name() string { return a.record.Name }

// StartedAt is since when anybody is asked.
func (a *Agent) StartedAt() time.Time { return a.startedAt }

// OnProgress has f told the phase and a text for a person, after each event.
func (a *Agent) OnProgress(f func(state.Phase, string)) { a.progress = f }
