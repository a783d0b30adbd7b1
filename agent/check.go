package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/plumb"
	"ec2net/state"
)

const (
	// peerRepairTime is how long the process that keeps the interface of a connection may take to see to it: a new
	// interface asks the primary's for rules of its own, which takes some milliseconds.
	peerRepairTime  = time.Second
	peerRepairPause = 10 * time.Millisecond
	// dialTime and dials bound how the metadata is looked for where its way has changed.
	dialTime, dials = 2 * time.Second, 2
	lossesNamed     = 3
)

// connectivityCheck proves of each change of an interface that it does not cut the host off: what was reached before is
// reached after, by the same way. A look costs some messages to the kernel and sends no packet. The
// metadata is dialled only when its way is another one than before.
type connectivityCheck struct {
	link    *plumb.Link
	store   state.Store
	log     logrus.FieldLogger
	primary func() bool
	// silent: the interface has lost its primary address, so that nothing of it is reached anyway.
	silent func(plumb.Snapshot) bool
	// server is the metadata's; fresh unless it did not answer anyway.
	server func() (at netip.AddrPort, fresh bool)
	dial   func(context.Context, netip.AddrPort) error

	open   bool
	before plumb.State
	reach  plumb.Reach
	failed error // of the look before
	// wasFresh is true if the change is another process's, and the metadata answered that one before it.
	wasFresh bool
}

// watch has each change that the link makes from now on checked for what it cuts off. It does not check a withdrawal of
// the host's own traffic: connections that left by the interface without one of its addresses are lost already.
func (t *connectivityCheck) watch() {
	t.dial = dialTCP
	t.link.Changing = func(have plumb.Snapshot, _ plumb.State, plan plumb.Plan) { t.changing(have, plan) }
}

// changing takes the look before a change.
func (t *connectivityCheck) changing(have plumb.Snapshot, plan plumb.Plan) {
	if !plan.TakesBack() && !t.silent(have) {
		t.begin(have)
	}
}

// begin takes the look before a change. Of several passes the first one counts.
func (t *connectivityCheck) begin(have plumb.Snapshot) {
	if t.open {
		return
	}
	t.open, t.before = true, have.State
	at, fresh := t.server()
	if t.reach, t.failed = t.link.Reach(at); t.failed == nil {
		t.writeAhead(state.Pending{MAC: have.MAC, Index: have.Index, At: time.Now(), Fresh: fresh, Before: have.State, Reach: t.reach})
	}
}

// writeAhead puts on disk what the change is judged by. A full disk is no reason not to make it.
func (t *connectivityCheck) writeAhead(change state.Pending) {
	if err := t.store.SavePending(t.link.Name, change); err != nil {
		t.log.Debugf("the change could not be recorded beforehand: %s", OneLine(err))
	}
}

// resume takes over the proof of a change that a process was killed over, and returns the state before it.
func (t *connectivityCheck) resume(s plumb.Snapshot) (before plumb.State, ok bool) {
	change, ok := t.store.LoadPending(s.Name, s.MAC, s.Index, time.Now())
	if !ok {
		return before, false
	}
	t.open, t.wasFresh = true, change.Fresh
	t.before, t.reach = change.Before, change.Reach
	return change.Before, true
}

// close ends the check of a change, however it went.
func (t *connectivityCheck) close() {
	t.open, t.wasFresh = false, false
	if err := t.store.RemovePending(t.link.Name); err != nil {
		t.log.Debugf("the record of the change could not be removed: %s", OneLine(err))
	}
}

// cutOff says what the change has cut so far; nothing when there was none.
func (t *connectivityCheck) cutOff(ctx context.Context) losses {
	if !t.open {
		return nil
	}
	lost, err := t.lost(ctx)
	if err != nil { // without a proof the change stays: it is right far more often than not
		t.log.Debugf("the change could not be verified: %s", OneLine(err))
	}
	return describe(lost)
}

func (t *connectivityCheck) lost(ctx context.Context) ([]plumb.Loss, error) {
	if t.failed != nil {
		return nil, t.failed
	}
	limit := time.Now().Add(peerRepairTime)
	for {
		now, err := t.link.Again(t.reach)
		if err != nil {
			return nil, err
		}
		lost := t.reach.Lost(now, t.link.Index, t.primary())
		if len(lost) == 0 || !t.awaitsRepair(lost) || time.Now().After(limit) || ctx.Err() != nil {
			return t.confirmed(ctx, lost)
		}
		time.Sleep(peerRepairPause)
	}
}

// awaitsRepair reports whether another process manages the interface that a lost connection belongs to, and may be
// about to repair it.
func (t *connectivityCheck) awaitsRepair(lost []plumb.Loss) bool {
	return slices.ContainsFunc(lost, func(l plumb.Loss) bool {
		return slices.ContainsFunc(l.Holders, func(index int) bool {
			return index != t.link.Index && !l.Is.Local && t.store.Holder(nameOf(index)).PID > 0
		})
	})
}

// confirmed leaves out what only looks like a loss: a connection that has ended meanwhile, and a server
// that answers by its new way too.
func (t *connectivityCheck) confirmed(ctx context.Context, lost []plumb.Loss) ([]plumb.Loss, error) {
	if len(lost) == 0 {
		return nil, nil
	}
	flows, err := plumb.Flows()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(lost, func(l plumb.Loss) bool {
		switch l.Kind() {
		case plumb.LossDefault:
			return false
		case plumb.LossConnection:
			return (!l.Is.Local && !slices.Contains(flows, l.Flow)) || t.followsMain(l) // what this host answers itself ends at once
		}
		_, fresh := t.server()
		return !(fresh || t.wasFresh) || t.answers(ctx, l.Flow.Remote)
	}), nil
}

// followsMain reports whether the primary interface's connection goes by another next hop because main says so, whose
// routes are not ec2net's: the operator's, or the router's that took another one's place.
func (t *connectivityCheck) followsMain(l plumb.Loss) bool {
	if !t.primary() || l.Was.Index != t.link.Index {
		return false
	}
	plain, err := t.link.Plain(l.Flow)
	return err == nil && plain == l.Is
}

// answers reports whether somebody accepts a connection. That is enough: a metadata service that is slow, or that
// refuses what it is asked, is one that is reached.
func (t *connectivityCheck) answers(ctx context.Context, server netip.AddrPort) bool {
	for range dials {
		if t.dial(ctx, server) == nil {
			return true
		}
	}
	return ctx.Err() != nil
}

func dialTCP(ctx context.Context, server netip.AddrPort) error {
	d := net.Dialer{Timeout: dialTime}
	c, err := d.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return fmt.Errorf("reach the metadata: %w", err)
	}
	return c.Close()
}

// loss is what a change has cut off, and the text for that: devices are named as they are called at that moment.
type loss struct {
	kind plumb.LossKind
	text string
}

type losses []loss

func describe(lost []plumb.Loss) (out losses) {
	for _, l := range lost {
		out = append(out, loss{l.Kind(), lossText(l)})
	}
	return out
}

// texts are for a person: of many the first.
func (list losses) texts() (out []string) {
	for _, l := range list[:min(len(list), lossesNamed)] {
		out = append(out, l.text)
	}
	if more := len(list) - lossesNamed; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func (list losses) String() string { return strings.Join(list.texts(), "; ") }

// connection reports whether a connection of this host is among them.
func (list losses) connection() bool {
	return slices.ContainsFunc(list, func(l loss) bool { return l.kind == plumb.LossConnection })
}

func lossText(l plumb.Loss) string {
	switch kind := l.Kind(); {
	case kind == plumb.LossDefault:
		return fmt.Sprintf("the default route would go %s, not %s", wayText(l.Is), wayText(l.Was))
	case kind == plumb.LossServer:
		return fmt.Sprintf("requests to the metadata would go %s, where it does not answer, not %s", wayText(l.Is), wayText(l.Was))
	case l.Is.Dropped:
		return fmt.Sprintf("the reverse path filter would drop what comes in for the connection of %s", l.Flow)
	}
	return fmt.Sprintf("the connection of %s would go %s, not %s", l.Flow, wayText(l.Is), wayText(l.Was))
}

func wayText(w plumb.Way) string {
	switch {
	case w.Index == 0:
		return "nowhere"
	case w.Local:
		return "to this host itself"
	case w.Via.IsValid():
		return fmt.Sprintf("by %s via %s", nameOf(w.Index), w.Via)
	}
	return "by " + nameOf(w.Index)
}
