package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

// Ending is why an interface is no longer managed.
type Ending uint8

const (
	EndStopped  Ending = iota // by a signal or by an error, or there is nothing to do; the kernel stays as it is
	EndGone                   // the interface was taken away, and what was left of it is cleared up
	EndEnslaved               // it belongs to another interface now, and everything of ours was taken off
)

// Run sets the interface up and manages it, until ctx ends, until it is gone, or until nothing of it is ours to do.
// name is what it was started under; a signal on reload has it read the metadata at once.
func (a *Agent) Run(ctx context.Context, name string, reload <-chan struct{}) (Ending, error) {
	if err := a.acquire(name); err != nil {
		if !state.NoSpace(err) {
			return EndStopped, err
		}
		a.warnOnce(fromDisk, err) // that is no reason to leave the interface dead
	}
	defer func() { a.lock.Release() }()
	a.daemon = true
	told := &notify{}
	a.progress = func(phase state.Phase, text string) { told.tell(text, phase.Settled()) }
	err := a.loop(ctx, 0, reload, func() (bool, error) { return a.idle(), nil })
	if err == nil {
		err = a.release(ctx, "run")
	}
	if err == nil {
		err = a.checkGone()
	}
	if IsNotStandalone(err) {
		a.log.Infof("%s; ec2net has removed everything of its own from it", OneLine(err))
		told.tell("not an interface of its own", true)
		return EndEnslaved, a.forget()
	}
	if errors.Is(err, errGone) {
		told.tell("the interface is gone", true) // to systemd, an end without READY is a failure
		return EndGone, a.cleanUpGone()
	}
	return EndStopped, err
}

// Up sets the interface up, and returns when it answers, when wait is over, or when waiting is vain. Its error says
// what is missing.
func (a *Agent) Up(ctx context.Context, wait time.Duration, giveUp func() bool) error {
	err := a.loop(ctx, wait, nil, func() (bool, error) {
		phase := a.phase()
		return phase.Settled() || phase == state.RolledBack || a.cannotProgress() || giveUp(), nil
	})
	if ctx.Err() != nil {
		return fmt.Errorf("%s: interrupted; to remove what was set up so far: ec2net down %s", a.snap.Name, a.snap.Name)
	}
	if err == nil {
		err = a.release(ctx, "up")
	}
	return a.verdict(err, wait)
}

// checkGone looks at the interface once more: systemd stops the unit at the moment that the interface goes, or gets
// another name, and may be faster than the kernel's message.
func (a *Agent) checkGone() error {
	switch s, err := a.link.Look(); {
	case errors.Is(err, plumb.ErrGone):
		return errGone
	case err == nil && s.Name != a.record.Name:
		a.renamed(s.Name)
		a.saveRecord()
	}
	return nil
}

// renamed follows an interface that got another name: record and lock have to be found under that one.
func (a *Agent) renamed(to string) {
	from := a.record.Name
	a.log = a.log.WithField("interface", to)
	a.log.Infof("renamed from %s to %s", from, to)
	a.record.Name, a.dirty = to, true
	a.oldNames = append(a.oldNames, from)
	if a.daemon {
		a.warnOnce(fromDisk, a.acquire(to))
	}
}

// cleanUpGone clears up after an interface that was taken away while we ran.
func (a *Agent) cleanUpGone() error {
	done, err := a.link.Leave(context.Background(), nil)
	a.announce(done)
	a.log.Info("the interface is gone; ec2net has removed everything it had set up for it")
	return errors.Join(err, a.forget())
}
