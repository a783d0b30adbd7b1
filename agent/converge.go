package agent

import (
	"context"
	"errors"
	"time"

	"ec2net/plumb"
)

// converge is the one place that every event ends in (docs/architecture.md, "One flow"): the decisions about the whole
// host, a reconciliation, and the verdict on what it cut off.

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
