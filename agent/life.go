package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// The life of an agent: what is checked before anything is touched (Begin), and the two ways to use it. Run is
// `ec2net run`, the daemon of the unit: it takes the interface's lock, reports to systemd and stays until the interface
// is gone. Up is `ec2net up`: the same loop until the interface is set up, with no lock (the command hands over to the
// daemon where one runs).

// Ending is why Run returned.
type Ending uint8

const (
	// EndStopped means a signal, an error, or nothing left to do. The kernel and the record stay as they are, so that an
	// upgrade interrupts nothing.
	EndStopped Ending = iota
	// EndGone means that the interface was removed, and so was what it left behind.
	EndGone
	// EndEnslaved means that the device became part of another interface, and everything of ours was removed from it.
	EndEnslaved
)

// Begin makes the agent of the interface called name and checks all that can be checked before anything is touched.
// It returns nil and no error when there is nothing to do: the configuration leaves the interface alone, or another
// program has it. What ec2net had set up on such an interface is then removed. command is "up" or "run", for
// messages. The errors are ErrDenied, ErrInvalid and those of the kernel. The caller has to Close the agent.
func Begin(ctx context.Context, name, command string, o Options) (*Agent, error) {
	a, err := newAgent(name, o)
	if err != nil {
		return nil, err
	}
	if a.idle() {
		defer a.Close()
		return nil, a.release(ctx, command)
	}
	err = errors.Join(MayChange(command), o.NoSource)
	if err == nil && a.OwnedByOther(a.snap) {
		err = a.releaseToOwner(ctx)
	}
	if err != nil || a.record.LeftTo != "" {
		a.Close()
		return nil, err
	}
	return a, nil
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

// Run sets the interface up and manages it until ctx ends, the interface is gone, or the configuration leaves it
// alone. name is the one that the process was started with; the lock goes by it. A value on reload (SIGHUP) has it
// read the metadata at once. A full disk does not stop it: without a lock file the interface works all the same.
func (a *Agent) Run(ctx context.Context, name string, reload <-chan struct{}) (Ending, error) {
	if err := a.acquire(name); err != nil {
		if !state.NoSpace(err) {
			return EndStopped, err
		}
		a.warnOnce(fromDisk, err) // a full disk must not leave the interface without its set-up
	}
	defer func() { a.lock.Release() }()
	a.daemon = true
	told := &notify{}
	a.progress = func(phase state.Phase, text string) {
		told.tell(text, started(phase, metadata.Closed(a.readErr), time.Since(a.startedAt)))
	}
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

// Up sets the interface up and returns when it answers, when wait is over, when nothing can be gained by waiting, or
// when giveUp says so (which is asked after every event). Its error says what is missing; nil: the interface is set
// up, or there is nothing to do.
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

// checkGone looks at the interface once more before Run returns. systemd stops the unit (BindsTo) the moment that the
// device goes or gets another name, and its SIGTERM may arrive before the kernel's notification.
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

// cleanUpGone removes what outlives a link that was removed: rules, nftables tables, the groups of other interfaces.
// Addresses and routes went with it. Then the record goes.
func (a *Agent) cleanUpGone() error {
	done, err := a.link.Leave(context.Background(), nil)
	a.announce(done)
	a.log.Info("the interface is gone; ec2net has removed everything it had set up for it")
	return errors.Join(err, a.forget())
}

// Close ends what the agent began: it waits a few seconds at most for the metrics and closes the sockets. What is set
// up stays.
func (a *Agent) Close() {
	a.warnOnce(fromMetrics, a.metrics.Finish())
	a.link.Close()
}
