package agent

import (
	"context"
	"errors"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// events are the sources that the loop waits on.
type events struct {
	readings chan reading
	changes  <-chan plumb.Change
	packets  <-chan plumb.Change // of the interface's nftables table; nil while it has none
	reload   <-chan struct{}     // SIGHUP
	reread   *time.Timer
	repair   *time.Timer
	egress   *time.Timer // for another look at the gateway of the interface that traffic leaves by
	look     time.Time   // when that will be
	tick     *time.Ticker
	reading  bool // a reading is under way
	again    bool // and was asked for when it had begun already
	armed    bool // the repair timer runs
}

// second is how often a waiting interface reports and looks at its deadlines. An interface that holds ticks
// only for systemd's watchdog.
const second = time.Second

// loop is the life of an interface: one event, one reconciliation, until done says that it is enough, the
// interface is gone (errGone), ctx ends, or limit has passed since the first question (0: none).
func (a *Agent) loop(ctx context.Context, limit time.Duration, reload <-chan struct{}, done func() (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := a.link.Watch(ctx)
	if err != nil {
		return err
	}
	a.startedAt, a.unconvergedSince = time.Now(), time.Now() // the machine may have taken long until here, and nobody was asked
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
	if a.asks() { // before all else: everybody else is faster
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
	respondNothing   response = iota // it has no news
	respondRepair                    // the kernel is looked at: what is changed there is a repair
	respondReconcile                 // something new is known
)

// next waits for one event, works it in, and responds.
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

// wait waits for one event and works it in.
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
	case <-ev.reload:
		ev.again = ev.reading
		a.retryNow()
		ev.reread.Reset(0)
		return respondNothing, nil
	case r := <-ev.readings:
		return a.onReading(ctx, ev, r), nil
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

// reread begins a reading of the metadata, unless one is under way.
func (a *Agent) reread(ctx context.Context, ev *events) {
	if !ev.reading && a.asks() {
		ev.reading = true
		a.ask(ctx, ev.readings)
	}
}

// onReading works a reading in, and sets the timer of the next one.
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

// onLeaseEvent works in what our DHCP client reports.
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

// onTick looks at deadlines.
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

// watchPackets begins to watch the interface's nftables table once there is one, and looks again at what was
// not watched before. Whoever sets an interface up once needs no watch.
func (a *Agent) watchPackets(ctx context.Context, ev *events) (err error) {
	if ev.packets != nil || !a.daemon || !a.record.Packets {
		return nil
	}
	ev.packets, err = a.link.WatchPackets(ctx)
	ev.armed = true
	ev.repair.Reset(burst)
	return err
}

// retryFailedApply has an interface that holds looked at once more when the last look failed. Nothing else may happen for
// long: what the kernel tells, it has told. An interface that is not converged is looked at each second anyway.
func (a *Agent) retryFailedApply(ev *events) {
	if a.applyFailed && a.converged && !ev.armed {
		ev.armed = true
		ev.repair.Reset(repairPause)
	}
}

// asks: the metadata has something to say on this interface.
func (n *NIC) asks() bool { return n.iface.Manage == config.Full || n.config.NeedsMetadata(n.keys) }

// adjustTick slows the tick down once nothing is waited for.
func (a *Agent) adjustTick(ev *events) {
	every := second
	if a.converged && !a.waiting() && a.daemon {
		every = watchdogInterval()
	}
	ev.tick.Reset(every)
}

// changed takes a hint from the kernel. The repair comes a moment later, when the burst that a
// single command makes is over, and later yet when somebody keeps undoing our work. What comes
// meanwhile does not put it off.
func (a *Agent) changed(ctx context.Context, c plumb.Change, ok bool, ev *events) error {
	if ctx.Err() != nil { // then the channel is closed, too
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
	moved := a.egress.moved || a.nat.moved // of its own accord: that is no repair
	if n := a.link.Written() - before; held && n > 0 && a.rolledBack == nil && !moved {
		a.record.Repairs++
		if text := a.repairs.made(time.Now()); text != "" {
			a.log.Warn(text)
		}
		a.dirty = true
	}
	return err
}

// waiting: something is still expected, so that deadlines have to be looked at.
func (a *Agent) waiting() bool {
	if a.iface.Manage != config.Full {
		return false
	}
	lacks := a.awaits()
	return !a.converged || (lacks != expectNothing && lacks != expectEgress) // egress has a timer of its own
}

// answers: the kernel does, for all that the interface has.
func (a *Agent) answers() bool { return len(a.snap.Unanswered()) == 0 }
