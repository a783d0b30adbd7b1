package dhcp

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errDue ends a step whose time is over.
var errDue = errors.New("due")

// machine is the state machine of one Run: what next and timing decide, carried out.
type machine struct {
	iface *Client
	timing
	report func(Event)

	lease *Lease   // valid now, or nil
	born  bootTime // lease.Start
	fresh bool     // the address was not in use before

	x     *exchange // from SELECTING to REQUESTING
	offer reply
	watch *watch

	why             error // of the last step's end, for the next event
	pause           time.Duration
	naks, conflicts int // since the last lease, and at all
}

// adopt takes over a lease from an earlier life, if it is alive.
func (m *machine) adopt(prior *Lease) {
	if now := time.Now(); prior != nil && prior.Live(now) {
		l := *prior
		m.lease, m.born = &l, bootNow()-bootTime(now.Round(0).Sub(l.Start.Round(0)))
	}
}

// session goes from state to state until the link is lost, ctx ends, or the interface is gone.
func (m *machine) session(ctx context.Context, l *link) error {
	ctx, stop := l.guard(ctx)
	defer stop()
	defer m.rest()
	s := Init
	if m.lease != nil {
		s = InitReboot
	}
	for {
		m.enter(s)
		o, err := m.step(ctx, s)
		if err != nil {
			return err
		}
		m.settle(o)
		s = next(s, o)
	}
}

// rest closes what must not outlive a session.
func (m *machine) rest() {
	m.dropExchange()
	m.watch.stop()
	m.watch = nil
}

func (m *machine) dropExchange() {
	if m.x != nil {
		m.x.close()
		m.x = nil
	}
}

// enter reports a state, and why the last one was left.
func (m *machine) enter(s State) {
	m.note(s, m.why)
	m.why = nil
}

// note reports a state with a copy of the lease: the receiver may keep it.
func (m *machine) note(s State, err error) {
	e := Event{State: s, Err: err, At: time.Now()}
	if m.lease != nil {
		l := *m.lease
		e.Lease = &l
	}
	m.report(e)
}

// step does the work of one state, at most to the end of the lease.
func (m *machine) step(ctx context.Context, s State) (outcome, error) {
	ctx, stop, err := m.lifetime(ctx)
	if err != nil {
		return 0, err
	}
	defer stop()
	o, err := m.act(ctx, s)
	if errors.Is(err, ErrExpired) {
		m.why = fmt.Errorf("%s: %w", m.lease.Addr, ErrExpired)
		return lapsed, nil
	}
	return o, err
}

// lifetime ends with ErrExpired when the lease does.
func (m *machine) lifetime(ctx context.Context) (context.Context, func(), error) {
	if m.lease == nil {
		return ctx, func() {}, nil
	}
	return until(ctx, m.born.plus(m.lease.Expires), ErrExpired)
}

// act does the work of a state. Errors are of the interface or of the context; what servers do is an outcome.
func (m *machine) act(ctx context.Context, s State) (outcome, error) {
	switch s {
	case Init:
		return due, sleep(ctx, m.pause)
	case InitReboot:
		return m.rebooting(ctx)
	case Selecting:
		return m.selecting(ctx)
	case Requesting:
		return m.requesting(ctx)
	case Bound:
		return m.holding(ctx)
	}
	return m.extending(ctx, s)
}

// settle keeps the books of an outcome.
func (m *machine) settle(o outcome) {
	m.pause = 0
	switch o {
	case granted:
		m.naks = 0
	case denied, worthless:
		m.naks++
		m.pause = m.nakWait(m.naks)
	case taken:
		m.conflicts++
		m.pause = m.conflictPause(m.conflicts)
	}
	if o.endsLease() {
		m.lease = nil
		m.watch.stop()
		m.watch = nil
	}
}

// awaitLink waits for the link to come back; meanwhile the lease may end.
func (m *machine) awaitLink(ctx context.Context, l *link, why error) error {
	for m.why = why; ; {
		m.enter(Init)
		life, stop, err := m.lifetime(ctx)
		if err != nil {
			return err
		}
		err = l.up(life)
		stop()
		if !errors.Is(err, ErrExpired) {
			return err
		}
		m.why = fmt.Errorf("%s: %w", m.lease.Addr, ErrExpired)
		m.settle(lapsed)
	}
}

// sleep waits, but not beyond ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
