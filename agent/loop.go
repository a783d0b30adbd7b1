package agent

import (
	"context"
	"time"

	"ec2net/plumb"
)

// The event loop: wait for one event, update what is known, reconcile if that calls for it, report, and again. It is
// the only goroutine that touches the agent. Every wait ends with ctx; nothing in here sleeps, except where check.go
// waits a second at most for another process.

// loop runs the agent until done says that it is enough, the interface is gone (errGone), ctx ends, or limit has
// passed since the first question (0: no limit). The kernel is watched before it is read, so that no change between
// the two is missed. The first reading of the metadata starts before all else, because everything else is faster.
func (a *Agent) loop(ctx context.Context, limit time.Duration, reload <-chan struct{}, done func() (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := a.link.Watch(ctx)
	if err != nil {
		return err
	}
	a.startedAt, a.unconvergedSince = time.Now(), time.Now() // a busy machine may have needed long to get here; deadlines count from the first question
	if limit > 0 {
		ctx, cancel = context.WithDeadline(ctx, a.startedAt.Add(limit))
		defer cancel()
	}
	ev := events{
		readings: make(chan reading, 1), changes: changes, reload: reload,
		reread: time.NewTimer(0), repair: time.NewTimer(0), tick: time.NewTicker(second), armed: true,
		egress: time.NewTimer(time.Hour),
	}
	defer ev.tick.Stop()
	defer a.egress.close()
	if a.asks() { // first of all: nothing else takes as long
		ev.reread.Stop()
		ev.reading = true
		a.ask(ctx, ev.readings)
	}
	for {
		a.chooseDHCP(ctx)
		a.report()
		if end, err := done(); end || err != nil {
			return err
		}
		a.watchCloud(ctx, &ev)
		if err := a.watchPackets(ctx, &ev); err != nil {
			return err
		}
		if err := a.next(ctx, &ev); err != nil || ctx.Err() != nil {
			return err
		}
		a.retryFailedApply(&ev)
	}
}

// next waits for one event and responds to it.
func (a *Agent) next(ctx context.Context, ev *events) error {
	a.wakeForEgress(ev, time.Now())
	respond, err := a.wait(ctx, ev)
	switch {
	case err != nil:
		return err
	case respond == respondRepair:
		return a.repair(ctx, ev)
	case respond == respondReconcile:
		return a.converge(ctx)
	}
	return nil
}

// wait waits for one event and takes it into account. Whether the kernel has to be looked at is its answer: after
// most events it has, and the timers and reload only start a reading.
func (a *Agent) wait(ctx context.Context, ev *events) (response, error) {
	select {
	case <-ctx.Done():
		return respondNothing, nil
	case <-ev.egress.C:
		a.probeGateways(time.Now())
		return respondRepair, nil
	case <-ev.reread.C:
		a.reread(ctx, ev)
		return respondNothing, nil
	case <-ev.news:
		ev.again = ev.reading
		ev.reread.Reset(0)
		return respondNothing, nil
	case <-ev.reload:
		ev.again = ev.reading
		a.retryNow()
		ev.reread.Reset(0)
		return respondNothing, nil
	case r := <-ev.readings:
		return a.onReading(ctx, ev, r), nil
	case h := <-a.await.heard:
		a.onHeard(h)
		return respondNothing, nil
	case e := <-a.leases.events:
		return a.onLeaseEvent(ev, e), nil
	case c, ok := <-ev.changes:
		return respondNothing, a.changed(ctx, c, ok, ev)
	case c, ok := <-ev.packets:
		return respondNothing, a.changed(ctx, c, ok, ev)
	case <-ev.repair.C:
		return respondRepair, nil
	case <-ev.tick.C:
		return a.onTick(ev), nil
	}
}

// repair looks at the kernel and puts back what differs. It counts as a repair only if the interface had been set up,
// something was written, and the agent did not change anything on purpose (a moved egress or NAT role, a rollback).
func (a *Agent) repair(ctx context.Context, ev *events) error {
	ev.armed = false
	for _, more := range []<-chan plumb.Change{ev.changes, ev.packets} {
		for len(more) > 0 {
			a.repairs.hint(<-more)
		}
	}
	held, before := a.setUp, a.link.Written()
	a.muted = a.repairs.fighting(time.Now())
	err := a.repairs.measure(func() error { return a.converge(ctx) })
	a.muted = false
	moved := a.egress.moved || a.nat.moved // our own decision, not a repair
	if n := a.link.Written() - before; held && n > 0 && a.rolledBack == nil && !moved {
		a.record.Repairs++
		if text := a.repairs.made(time.Now()); text != "" {
			a.log.Warn(text)
		}
		a.dirty = true
	}
	return err
}

// report runs before each wait: it saves the record if it has news, and tells systemd or the terminal the phase. The
// record is written once for all that an event has changed, and also when only time has changed the phase.
func (a *Agent) report() {
	f := a.phaseFacts()
	phase := f.phase()
	if (a.dirty && !a.idle()) || (a.setUp && a.record.Phase != phase) {
		a.saveRecord()
	}
	a.warnOnce(fromMetrics, a.metrics.Err())
	a.progress(phase, a.textOf(f))
}
