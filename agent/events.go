package agent

import (
	"context"
	"errors"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// The events that the loop waits for, and what each of them calls for. Each is taken into account here; what follows
// from it is decided in converge.go.

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

// wakeForEgress sets the timer for the next look at the candidates, and starts a reading of the metadata after a
// move, to verify it.
func (a *Agent) wakeForEgress(ev *events, now time.Time) {
	if a.egress.rank < 0 {
		return
	}
	if a.egress.verify {
		a.egress.verify = false
		a.cloud.Close() // an open connection stays on the interface that it began on, and would verify nothing
		ev.again = ev.reading
		ev.reread.Reset(0)
	}
	next := time.Duration(0)
	for i := range a.egress.candidates {
		if p := a.egress.candidates[i].pause(now, a.egress.facts[i]); p > 0 && (next == 0 || p < next) {
			next = p
		}
	}
	if due := now.Add(next); next > 0 && (ev.look.Before(now) || due.Before(ev.look)) {
		ev.look = due
		ev.egress.Reset(next)
	}
}

// watchCloud starts to wait for what the cloud tells of by itself, once the metadata has answered. Readings go on at
// their pace all the same: what is not told is found by them.
func (a *Agent) watchCloud(ctx context.Context, ev *events) {
	if ev.news != nil || !a.daemon || !a.answered || !a.asks() {
		return
	}
	news := make(chan struct{})
	ev.news = news
	go awaitNews(ctx, a.cloud, news)
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
