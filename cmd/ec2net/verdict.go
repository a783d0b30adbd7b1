package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/metadata"
	"ec2net/state"
)

// The kinds of error that an interface ends with, beside errGone. What exit status each is, statusOf knows.
var (
	errDenied      = errors.New("this user may not change the network")
	errInvalid     = errors.New("what was asked for cannot be set up")
	errUnavailable = errors.New("the metadata has not said what is needed")
	errPartial     = errors.New("some is set up, the rest is not")
)

// kindError is an error of a kind; its text does not name it.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

func errorOf(kind error, format string, args ...any) error {
	return &kindError{kind, fmt.Errorf(format, args...)}
}

// begin makes the agent of an interface that is to be set up, and checks all that can be checked before anything is
// touched. A nil one means that there is nothing to do here.
func begin(ctx context.Context, name, command string, o options) (*agent, error) {
	a, err := newAgent(name, o)
	if err != nil {
		return nil, err
	}
	if a.idle() {
		defer a.close()
		return nil, a.release(ctx, command)
	}
	err = errors.Join(mayChange(command), o.noSource)
	if err == nil && a.yields(a.snap) {
		err = a.giveUp(ctx)
	}
	if err != nil || a.record.Yielded != "" {
		a.close()
		return nil, err
	}
	return a, nil
}

// hopeless: waiting longer would change nothing.
func (a *agent) hopeless() bool {
	if a.idle() {
		return true
	}
	off := errors.Is(a.readErr, metadata.ErrDisabled)
	return off && !a.degraded && a.leased() && time.Since(a.begun) > confirmAfter
}

// verdict is what `up` ends with, and what it says last.
func (a *agent) verdict(err error, wait time.Duration) error {
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
		return fmt.Errorf("%s: gave up after %s: %w; nothing was changed", a.snap.Name, shorter(wait, a.begun), unclear(a.snap))
	case state.RolledBack:
		return a.takenBack()
	case state.LeaseOnly, state.Partial:
		return errorOf(errPartial, "%s: partly set up: %s", a.snap.Name, a.text())
	case state.LinkOnly, state.Ready:
		a.log.Infof("ready: %s", a.text())
		a.hint()
		return nil
	}
	return a.gaveUp(wait)
}

// gaveUp is the end of an `up` whose time was over before the interface had all that is known of it.
func (a *agent) gaveUp(wait time.Duration) error {
	switch {
	case !a.answered && !a.known():
		return errors.Join(errorOf(errUnavailable, "%s: gave up after %s: %w; nothing was changed", a.snap.Name, shorter(wait, a.begun), a.lastErr()), a.undo())
	case a.readErr != nil:
		return errorOf(errUnavailable, "%s: gave up after %s: %w; what was set up stays", a.snap.Name, shorter(wait, a.begun), a.readErr)
	}
	a.complain(fromCloud, errors.Join(a.settled.Problems...)) // what lasts no longer than this process is news all the same
	return errorOf(errPartial, "%s: gave up after %s: %s", a.snap.Name, shorter(wait, a.begun), a.text())
}

// undo leaves an interface of which nothing became known as it was found: not even its link stays up.
func (a *agent) undo() error {
	if a.link.Written() == 0 || !owns(a.leasing) {
		return nil
	}
	if _, err := a.link.Leave(context.Background(), a.record.Before); err != nil {
		return err
	}
	return a.forget()
}

// takenBack is the end of an `up` whose change was undone.
func (a *agent) takenBack() error {
	var err error
	if len(a.origin.Numbers()) == 0 { // nothing of the interface was set up before
		err = a.forget()
	}
	why := a.undone.why.String()
	if a.undone.why.connection() {
		why += "; set up that connection's interface first (its unit then keeps its answers on it), or keep this interface out of the main table (main_table = false)"
	}
	return errors.Join(fmt.Errorf("%s: rolled back: with this interface set up, %s", a.snap.Name, why), err)
}

func (a *agent) lastErr() error {
	if a.readErr != nil {
		return a.readErr
	}
	return metadata.ErrUnavailable
}

func shorter(wait time.Duration, begun time.Time) time.Duration {
	return min(wait, time.Since(begun)).Round(time.Second / 10)
}
