package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/plumb"
	"ec2net/state"
)

// The connectivity check: no change of ours may cut the host off. Before a change the kernel is asked which way each
// established TCP connection, the metadata and the default route go; after it, again. A difference that hurts is a
// loss, and rollback.go takes the change back. The model is `netplan try` and "commit confirmed" of network operating
// systems (Junos), with the kernel's answer in place of a person's.

const (
	// peerRepairTime is how long the process of another interface may take to repair what our change did to that
	// interface's connections. The usual case: a new interface makes the primary's process add its rules, within
	// milliseconds.
	peerRepairTime  = time.Second
	peerRepairPause = 10 * time.Millisecond
	// dialTime and dials bound how the metadata is dialled once its way has changed.
	dialTime, dials = 2 * time.Second, 2
)

// connectivityCheck finds out for each change of an interface what it cuts off. A look is some netlink requests and
// sends no packet; the metadata is dialled only if its way is no longer the same. One check covers all passes of a
// reconciliation: it is open from the first change until confirm closes it.
type connectivityCheck struct {
	link  *plumb.Link
	store state.Store
	log   logrus.FieldLogger
	// primary reports whether the interface is the primary one.
	primary func() bool
	// guessed reports whether the interface counts as a secondary one without the metadata's word.
	guessed func() bool
	// silent reports whether the interface has lost its primary address, so that nothing reaches the host by it
	// anyway.
	silent func(plumb.Snapshot) bool
	// server is the metadata's address; fresh is true if it has answered lately, so that its loss would be a loss.
	server func() (at netip.AddrPort, fresh bool)
	dial   func(context.Context, netip.AddrPort) error

	// open is true between the first change and its verdict; before and reach are what was so until then.
	open   bool
	before plumb.State
	reach  plumb.Reach
	// failed is why the look before the change failed. Such a change is not judged.
	failed error
	// wasFresh is true if an earlier process made the change, and the metadata had answered that process.
	wasFresh bool
}

// watch has each change that the link makes from now on checked. A change that only withdraws the host's own traffic
// from the interface is left out: connections that left by it without one of its addresses are lost already.
func (t *connectivityCheck) watch() {
	t.dial = dialTCP
	t.link.Changing = func(have plumb.Snapshot, _ plumb.State, plan plumb.Plan) { t.changing(have, plan) }
}

// changing is called before each change and takes the look before it.
func (t *connectivityCheck) changing(have plumb.Snapshot, plan plumb.Plan) {
	if !plan.TakesBack() && !t.silent(have) {
		t.begin(have)
	}
}

// begin opens the check. Of several passes of one reconciliation only the first counts.
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

// writeAhead puts on disk what the change is judged by (NAME.trial), so that the next process can judge it if this
// one is killed. A full disk is no reason not to make the change.
func (t *connectivityCheck) writeAhead(change state.Pending) {
	if err := t.store.SavePending(t.link.Name, change); err != nil {
		t.log.Debugf("the change could not be recorded beforehand: %s", OneLine(err))
	}
}

// resume takes over the check of a change in which an earlier process was killed, and returns the state before it.
func (t *connectivityCheck) resume(s plumb.Snapshot) (before plumb.State, ok bool) {
	change, ok := t.store.LoadPending(s.Name, s.MAC, s.Index, time.Now())
	if !ok {
		return before, false
	}
	t.open, t.wasFresh = true, change.Fresh
	t.before, t.reach = change.Before, change.Reach
	return change.Before, true
}

// close ends the check, whatever the verdict was.
func (t *connectivityCheck) close() {
	t.open, t.wasFresh = false, false
	if err := t.store.RemovePending(t.link.Name); err != nil {
		t.log.Debugf("the record of the change could not be removed: %s", OneLine(err))
	}
}

// cutOff returns what the change has cut off so far; nothing if no change was made. If the kernel cannot be asked,
// the change stays: it is right far more often than not.
func (t *connectivityCheck) cutOff(ctx context.Context) losses {
	if !t.open {
		return nil
	}
	lost, err := t.lost(ctx)
	if err != nil { // unverified, the change stays
		t.log.Debugf("the change could not be verified: %s", OneLine(err))
	}
	return describe(lost)
}

// lost compares the ways of now with those of before. It looks again for up to peerRepairTime while another process
// may be about to repair a loss. This is the one place where the loop waits without an event: the other process
// announces nothing.
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
		if t.guessed() {
			lost = t.reach.LostByGuess(now, t.link.Index)
		}
		if len(lost) == 0 || !t.awaitsRepair(lost) || time.Now().After(limit) || ctx.Err() != nil {
			return t.confirmed(ctx, lost)
		}
		time.Sleep(peerRepairPause)
	}
}

// awaitsRepair reports whether another process manages the interface that a lost connection belongs to, so that it
// may be about to repair it.
func (t *connectivityCheck) awaitsRepair(lost []plumb.Loss) bool {
	return slices.ContainsFunc(lost, func(l plumb.Loss) bool {
		return slices.ContainsFunc(l.Holders, func(index int) bool {
			return index != t.link.Index && !l.Is.Local && t.store.Holder(nameOf(index)).PID > 0
		})
	})
}

// confirmed leaves out what only looks like a loss: a connection that has ended meanwhile, and a metadata server that
// accepts connections by its new way, too. A server that did not answer before the change is not missed.
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
			return (!l.Is.Local && !slices.Contains(flows, l.Flow)) || t.followsMain(l) // one that is led to this host itself is reset at once: its absence proves nothing
		}
		_, fresh := t.server()
		return !(fresh || t.wasFresh) || t.answers(ctx, l.Flow.Remote)
	}), nil
}

// followsMain reports whether a connection of the primary interface has another next hop only because main says so.
// Its routes there are not ec2net's; the operator or a router advertisement changed them.
func (t *connectivityCheck) followsMain(l plumb.Loss) bool {
	if !t.primary() || l.Was.Index != t.link.Index || l.Taken() {
		return false
	}
	plain, err := t.link.Plain(l.Flow)
	return err == nil && plain == l.Is
}

// answers reports whether the server accepts a TCP connection. That is enough: a metadata service that is slow, or
// that refuses the request, is reached. An interrupted attempt counts as an answer, since it proves nothing.
func (t *connectivityCheck) answers(ctx context.Context, server netip.AddrPort) bool {
	for range dials {
		if t.dial(ctx, server) == nil {
			return true
		}
	}
	return ctx.Err() != nil
}

// dialTCP is connectivityCheck.dial but in tests.
func dialTCP(ctx context.Context, server netip.AddrPort) error {
	d := net.Dialer{Timeout: dialTime}
	c, err := d.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return fmt.Errorf("reach the metadata: %w", err)
	}
	return c.Close()
}
