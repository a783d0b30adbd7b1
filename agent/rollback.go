package agent

import (
	"context"
	"net/netip"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
)

// Rollback: a change that cut something off is reverted at once and made again later, after FirstRetry and then
// after twice as long each time, or when something new is known. Meanwhile the interface is held in its state before
// the change (modeRollBack), so that a repair does not bring the change back.

const (
	// FirstRetry is the time until a change that was rolled back is made again; it doubles each time, up to
	// lastRetry.
	FirstRetry = time.Minute
	lastRetry  = time.Hour
	// followsMax bounds how often the interface follows what other programs change before its own change is judged.
	followsMax = 8
)

// checkChanges has each change of the agent checked.
func (a *Agent) checkChanges() {
	a.check = connectivityCheck{
		link: a.link, store: a.store, log: a.log,
		primary: func() bool { return a.settled.Primary },
		guessed: func() bool { return a.settled.MAC == (metadata.MAC{}) && a.standing.guessed() },
		silent:  func(have plumb.Snapshot) bool { return plumb.Unconfigured(have, a.settled) },
		server:  a.server,
	}
	a.check.dial = dialTCP
	a.link.Changing = a.changing
}

// server is the metadata's address for the connectivity check, and whether the metadata has answered lately.
func (a *Agent) server() (at netip.AddrPort, fresh bool) {
	return a.cloud.Server(), a.answered && a.readErr == nil
}

// confirm judges the change that was just made, and rolls it back if it cut something off ("commit confirmed"). `up`
// goes back to the state before the process began, since the user was told nothing yet; `run` to the state before
// this change. When ctx has ended, the rollback is made all the same.
func (a *Agent) confirm(ctx context.Context, done plumb.Plan) {
	why, done := a.confirmFollowing(ctx, done)
	if len(why) == 0 {
		if a.check.open {
			a.check.close()
		}
		if len(done) > 0 && a.rolledBack == nil { // during a rollback it was a repair of the held state
			a.rollbacks = 0
		}
		return
	}
	if len(done) == 0 { // an earlier process made the change and was killed
		done = plumb.Diff(a.check.before, a.snap.State)
	}
	pause := min(FirstRetry<<min(a.rollbacks, 10), lastRetry)
	a.rolledBack = &rollback{state: a.check.before, plan: done, why: why, until: time.Now().Add(pause)}
	if !a.daemon {
		a.rolledBack.state = a.baseline
	}
	a.rollbacks++
	back := a.reconcile(context.WithoutCancel(ctx))
	a.check.close()
	a.announce(back.Done)
	a.warnOnce(fromKernel, back.Err())
	a.log.Warnf("%s; the change was: %s", a.rolledBack.text(), planLine(done))
}

// confirmFollowing returns what a change has cut off, and the whole change. The interface's table copies other
// programs' routes of main. If those have changed meanwhile, following them may already mend the loss; what that
// changes belongs to the change that is judged.
func (a *Agent) confirmFollowing(ctx context.Context, done plumb.Plan) (why losses, all plumb.Plan) {
	for range followsMax {
		if why = a.check.cutOff(ctx); len(why) == 0 {
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

// expireHold ends the hold of a change once its time is over, so that the next reconciliation makes it again.
func (a *Agent) expireHold(now time.Time) {
	if a.rolledBack != nil && !now.Before(a.rolledBack.until) {
		a.rolledBack = nil
	}
}
