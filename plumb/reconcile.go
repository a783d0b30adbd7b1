package plumb

import (
	"context"
	"errors"
	"fmt"
)

// Reconciling: want, diff and apply until the plan is empty.

// ErrNotConverged says that the kernel still differs after several attempts.
var ErrNotConverged = errors.New("the configuration does not stay in place; another program may be changing it")

// passes bounds Reconcile: one to change, one to see that nothing is left, and some for what others
// change meanwhile.
const passes = 5

// Result is what became of a reconciliation. Done may have operations whatever Failed says: what could be done is done.
type Result struct {
	Done Plan // in order, over all passes
	// Refused is what the want of the last pass left out, as things are (see Want); the rest of the state holds. Nil
	// where Failed says that the kernel could not be read, or that the context ended: nothing is known of that pass.
	Refused error
	// Failed says why the kernel may not be as wanted: it could not be read (ErrGone among others), an operation failed
	// or harmed something that is not ours, it does not keep what it is given (ErrNotConverged), or the context ended.
	Failed error
	// Have is the kernel's side as it was read last, and Want what the interface was to be by that: after a success
	// nothing of ours differs. Zero where the kernel could not be read at all.
	Have Snapshot
	Want State
}

// Err is all that is wrong, for a message.
func (r Result) Err() error { return errors.Join(r.Failed, r.Refused) }

// Reconcile makes the kernel what want says: read, decide, compare, apply, until nothing is left to
// do. want is asked on every pass, because it depends on what is there; its error is what it had to leave out.
//
// Calling it again is always safe, after a crash in the middle too.
func (l *Link) Reconcile(ctx context.Context, want func(Snapshot) (State, error)) Result {
	have, err := l.Read()
	if err != nil {
		return Result{Failed: err}
	}
	return l.ReconcileFrom(ctx, have, want)
}

// ReconcileFrom is Reconcile for a caller who has just read the kernel, and has decided by it.
func (l *Link) ReconcileFrom(ctx context.Context, have Snapshot, want func(Snapshot) (State, error)) (r Result) {
	var applied, harmed error
	var plan, last Plan
	r.Have = have
	for pass := range passes {
		if pass > 0 {
			now, err := l.Read()
			if err != nil {
				r.Refused, r.Failed = nil, errors.Join(err, applied, harmed)
				return r
			}
			r.Have = now
		}
		r.Want, r.Refused = want(r.Have)
		l.adopt(r.Want)
		l.publish()
		if plan = Diff(r.Have.State, r.Want); len(plan) == 0 {
			r.Failed = harmed
			return r
		}
		if err := ctx.Err(); err != nil {
			r.Refused, r.Failed = nil, err
			return r
		}
		if plan.String() == last.String() {
			break // the last pass changed nothing
		}
		if l.Changing != nil {
			l.Changing(r.Have, r.Want, plan)
		}
		var ops Plan
		ops, applied = l.Apply(plan, r.Have)
		if errors.Is(applied, errHarm) {
			harmed = errors.Join(harmed, applied)
		}
		r.Done, last = append(r.Done, ops...), plan
		l.written += len(ops)
	}
	r.Failed = errors.Join(fmt.Errorf("%s: %w: %s", l.Name, ErrNotConverged, plan.line()), applied, harmed)
	return r
}
