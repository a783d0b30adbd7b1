package agent

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

const (
	// A change that was undone is made again after a minute, and then after twice as long each time.
	FirstRetry = time.Minute
	lastRetry  = time.Hour
	// followsMax is how often an interface follows what others change, before its own change is judged.
	followsMax = 8
)

// undone is a change that cut something off and was taken back.
type undone struct {
	state plumb.State // to which the interface was taken back
	plan  plumb.Plan  // the change
	why   losses
	until time.Time // when it is tried again
}

// text is for STATUS and for status.
func (u *undone) text() string {
	return fmt.Sprintf("rolled back, because %s; next attempt at %s, or on reload", u.why, Clock(u.until))
}

// onTrial makes the agent prove each of its changes.
func (a *Agent) onTrial() {
	a.trial = trial{
		link: a.link, store: a.store, log: a.log,
		primary: func() bool { return a.settled.Primary },
		silent:  func(have plumb.Snapshot) bool { return plumb.Unconfigured(have, a.settled) },
		server:  a.server,
	}
	a.trial.dial = dialTCP
	a.link.Changing = a.changing
}

// server is the metadata's, fresh when its last answer was a good one: what does not answer anyway can
// not be cut off.
func (a *Agent) server() (at netip.AddrPort, fresh bool) {
	return a.cloud.Server(), a.answered && a.readErr == nil
}

// judge undoes what was done when it cut something off. For `up` all that this process did is undone.
func (a *Agent) judge(ctx context.Context, done plumb.Plan) {
	why, done := a.proved(ctx, done)
	if len(why) == 0 {
		if a.trial.open {
			a.trial.close()
		}
		if len(done) > 0 && a.undone == nil { // else it is a repair of what the interface was taken back to
			a.setbacks = 0
		}
		return
	}
	if len(done) == 0 { // an earlier process has made it
		done = plumb.Diff(a.trial.before, a.snap.State)
	}
	pause := min(FirstRetry<<min(a.setbacks, 10), lastRetry)
	a.undone = &undone{state: a.trial.before, plan: done, why: why, until: time.Now().Add(pause)}
	if !a.stays {
		a.undone.state = a.origin
	}
	a.setbacks++
	back := a.reconcile(context.WithoutCancel(ctx))
	a.trial.close()
	a.announce(back.Done)
	a.complain(fromKernel, back.Err())
	a.log.Warnf("%s; the change was: %s", a.undone.text(), inLine(done))
}

// proved says what a change has cut off. The interface follows other programs' routes of main: what of them has changed
// since it was set up is followed first, and belongs to the change.
func (a *Agent) proved(ctx context.Context, done plumb.Plan) (why losses, all plumb.Plan) {
	for range followsMax {
		if why = a.trial.cuts(ctx); len(why) == 0 {
			return nil, done
		}
		more := a.reconcile(ctx)
		a.announce(more.Done)
		if more.Err() != nil || len(more.Done) == 0 {
			return why, done
		}
		done = append(done, more.Done...)
	}
	return why, done
}

// reconsider ends the time in which an undone change is not tried again.
func (a *Agent) reconsider(now time.Time) {
	if a.undone != nil && !now.Before(a.undone.until) {
		a.undone = nil
	}
}

// hurry tries an undone change again at once.
func (a *Agent) hurry() {
	if a.undone != nil {
		a.undone.until = time.Time{}
	}
}

// recorded is what the record says of a change that is undone.
func (u *undone) recorded() *state.Rollback {
	if u == nil {
		return nil
	}
	r := &state.Rollback{Why: u.why.texts(), Until: u.until, Plan: []string{}}
	for _, o := range u.plan {
		r.Plan = append(r.Plan, o.String())
	}
	return r
}
