package agent

import (
	"context"
	"errors"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// The event loop: wait for one event, update what is known, reconcile if that calls for it, report, and again. It is
// the only goroutine that touches the agent. Every wait ends with ctx; nothing in here sleeps, except where check.go
// waits a second at most for another process.

// events are what the loop waits for: channels, timers, and what is under way.
type events struct {
	readings chan reading
	// changes are the kernel's notifications (rtnetlink(7) groups) about links, addresses, routes and rules.
	changes <-chan plumb.Change
	// packets are those about the interface's nftables table; nil while it has none.
	packets <-chan plumb.Change
	// news are those that the cloud tells of by itself; nil before the first answer, and where it does not.
	news <-chan struct{}
	// reload is SIGHUP, from systemctl reload or from an `up` that finds this process managing the interface.
	reload <-chan struct{}
	// reread starts the next reading of the metadata.
	reread *time.Timer
	// repair starts a look at the kernel, some milliseconds after the first notification of a burst.
	repair *time.Timer
	// egress is for another look at the gateway of the interface that traffic leaves by; look is when it is due.
	egress *time.Timer
	look   time.Time
	// tick checks deadlines, which no event announces. See adjustTick.
	tick *time.Ticker
	// reading is true if a reading of the metadata is under way, again if another one was asked for after it had begun,
	// so its answer may be too old.
	reading bool
	again   bool
	// armed is true if the repair timer is running. Later notifications do not restart it, or a storm would put off
	// the repair.
	armed bool
}

// second is how often an interface that is still waiting reports and checks its deadlines. An interface that is set
// up ticks only for systemd's watchdog.
const second = time.Second

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

// response is what an event calls for.
type response uint8

const (
	// respondNothing means that there is no news.
	respondNothing response = iota
	// respondRepair has the kernel looked at. What is changed now counts as a repair of what somebody else did.
	respondRepair
	// respondReconcile means that something new is known, so the change is our own.
	respondReconcile
)

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

// reread starts a reading of the metadata, unless one is under way or the metadata has no say in this interface.
func (a *Agent) reread(ctx context.Context, ev *events) {
	if !ev.reading && a.asks() {
		ev.reading = true
		a.ask(ctx, ev.readings)
	}
}

// onReading takes a reading into account and sets the timer for the next one. A changed grant ends the wait after a
// rollback: the change that was rolled back is another one now.
func (a *Agent) onReading(ctx context.Context, ev *events, r reading) response {
	was := a.settled
	if a.daemon {
		a.clearOrphans(ctx)
	}
	wait := a.applyReading(r)
	if ev.again {
		wait = 0
	}
	ev.reading, ev.again = false, false
	ev.reread.Reset(wait)
	same := metadata.Same(was, a.settled)
	if !same {
		a.retryNow()
	}
	switch {
	case a.idle():
		return respondNothing
	case a.setUp && same:
		return respondRepair
	}
	return respondReconcile
}

// onLeaseEvent takes into account what our DHCP client reports. On a host that nobody else configures, the lease is
// the way to the metadata, which is then asked at once.
func (a *Agent) onLeaseEvent(ev *events, e dhcp.Event) response {
	was := a.lease
	a.onLease(e)
	if a.hosting() && !a.answered { // the lease is the way to the metadata
		ev.reread.Reset(0)
	}
	if a.setUp && sameLease(was, a.lease) {
		return respondRepair
	}
	return respondReconcile
}

// onTick checks the deadlines: whether the interface is to be degraded, and whether the kernel answers by now.
func (a *Agent) onTick(ev *events) response {
	a.adjustTick(ev)
	switch {
	case !a.setUp || a.degraded != a.shouldDegrade():
		return respondReconcile
	case a.converged && a.answers():
		return respondNothing
	}
	return respondRepair
}

// watchPackets starts to watch the interface's nftables table once there is one, and has the kernel looked at: what
// happened to the table before the watch went unnoticed. Only a daemon needs it.
func (a *Agent) watchPackets(ctx context.Context, ev *events) (err error) {
	if ev.packets != nil || !a.daemon || !a.record.Packets {
		return nil
	}
	ev.packets, err = a.link.WatchPackets(ctx)
	ev.armed = true
	ev.repair.Reset(burst)
	return err
}

// retryFailedApply has the kernel looked at again if the last change failed. Nothing else may happen for long, since
// the kernel has no further news. An interface that is not converged is looked at on each tick anyway.
func (a *Agent) retryFailedApply(ev *events) {
	if a.applyFailed && a.converged && !ev.armed {
		ev.armed = true
		ev.repair.Reset(repairPause)
	}
}

// adjustTick slows the ticker down once nothing is waited for: to the pace of systemd's watchdog.
func (a *Agent) adjustTick(ev *events) {
	every := second
	if a.converged && !a.waiting() && a.daemon {
		every = watchdogInterval()
	}
	ev.tick.Reset(every)
}

// changed takes a notification of the kernel. It is only a hint: the kernel is read anew. The repair comes 5 ms
// later, when the burst that a single command causes is over, and later in a fight with another program. Further
// notifications do not put it off.
func (a *Agent) changed(ctx context.Context, c plumb.Change, ok bool, ev *events) error {
	if ctx.Err() != nil { // with ctx the channel is closed, which is no error
		return nil
	}
	if !ok {
		return errors.New("the kernel's notifications have ended")
	}
	a.repairs.hint(c)
	if !ev.armed {
		ev.armed = true
		ev.repair.Reset(a.repairs.delay(time.Now()))
	}
	return nil
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
