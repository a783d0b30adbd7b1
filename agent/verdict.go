package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/metadata"
	"ec2net/state"
)

// How `up` ends: when it stops waiting, and with which error.

// cannotProgress reports whether waiting longer would change nothing: there is nothing to do, or the metadata is
// switched off and an interface without a lease to run on has been given its chance.
func (a *Agent) cannotProgress() bool {
	if a.idle() {
		return true
	}
	off := metadata.Closed(a.readErr)
	return off && !a.degraded && a.leased() && time.Since(a.startedAt) > confirmAfter
}

// verdict turns the phase in which the loop of `up` ended into its error, and logs the last line.
func (a *Agent) verdict(err error, wait time.Duration) error {
	switch {
	case errors.Is(err, errGone):
		_, err := a.link.Leave(context.Background(), nil)
		return errors.Join(fmt.Errorf("%s was removed meanwhile", a.snap.Name), err)
	case err != nil:
		return err
	}
	switch a.phase() {
	case state.Unmanaged, state.LeftTo:
		return nil
	case state.Ambiguous:
		return fmt.Errorf("%s: gave up after %s: %w; nothing was changed", a.snap.Name, shorter(wait, a.startedAt), Ambiguous(a.snap))
	case state.RolledBack:
		return a.rolledBackErr()
	case state.LeaseOnly, state.Partial:
		return ErrorOf(ErrPartial, "%s: partly set up: %s", a.snap.Name, a.text())
	case state.LinkOnly, state.Ready:
		a.log.Infof("ready: %s", a.text())
		a.hint()
		return nil
	}
	return a.gaveUp(wait)
}

// gaveUp is the error of an `up` whose --wait was over before the interface was set up.
func (a *Agent) gaveUp(wait time.Duration) error {
	switch {
	case !a.answered && !a.known():
		return errors.Join(ErrorOf(ErrUnavailable, "%s: gave up after %s: %w; nothing was changed", a.snap.Name, shorter(wait, a.startedAt), a.lastErr()), a.undo())
	case a.readErr != nil:
		return ErrorOf(ErrUnavailable, "%s: gave up after %s: %w; what was set up stays", a.snap.Name, shorter(wait, a.startedAt), a.readErr)
	}
	a.warnOnce(fromCloud, errors.Join(a.settled.Problems...)) // report them now: this process will not see whether they last
	return ErrorOf(ErrPartial, "%s: gave up after %s: %s", a.snap.Name, shorter(wait, a.startedAt), a.text())
}

// undo restores an interface of which nothing became known: not even its link stays up. It does nothing where another
// program has the lease, since that program may be about to use the link.
func (a *Agent) undo() error {
	if a.link.Written() == 0 || !assignsAddress(a.dhcpOwner) {
		return nil
	}
	if _, err := a.link.Leave(context.Background(), a.record.Baseline); err != nil {
		return err
	}
	return a.forget()
}

// rolledBackErr is the error of an `up` whose change was rolled back; it names what the change cut off. If there was
// nothing of the interface before, its record goes too.
func (a *Agent) rolledBackErr() error {
	var err error
	if len(a.baseline.Numbers()) == 0 { // nothing of the interface was set up before
		err = a.forget()
	}
	why := a.rolledBack.why.String()
	if a.rolledBack.why.connection() {
		why += "; set up that connection's interface first (its unit then keeps its answers on it), or keep this interface out of the main table (main_table = false)"
	}
	return errors.Join(fmt.Errorf("%s: rolled back: with this interface set up, %s", a.snap.Name, why), err)
}

// shorter is how long up really waited: it may have stopped before its time was over.
func shorter(wait time.Duration, begun time.Time) time.Duration {
	return min(wait, time.Since(begun)).Round(time.Second / 10)
}
