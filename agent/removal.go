package agent

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// What `ec2net down` does once no process manages the interface any more: remove everything of ours from the kernel,
// check that this cuts nothing off, and remove the record. It needs no agent and works for an interface that is gone,
// too.

// Removal removes everything of ours from an interface, or what is left of one that is gone.
type Removal struct {
	Store state.Store
	Log   logrus.FieldLogger
	// Server is the metadata's address; false if it is not known.
	Server func() (netip.AddrPort, bool)
	// All removes also what the host itself lives by, and without the connectivity check.
	All bool
}

var (
	// ErrUnrecorded means that there is no interface of that name, nor a record of one.
	ErrUnrecorded = errors.New("no such interface, nor a record of one")
	// ErrRolledBack means that the removal cut something off and everything is as it was before.
	ErrRolledBack = errors.New("rolled back")
)

// Run removes everything, then the record and the lock's file. No process may manage the interface any more. Once
// begun it does not stop with ctx: half of it would be worse than either end, and it takes some seconds at most.
func (r Removal) Run(ctx context.Context, name string) error {
	link, err := plumb.Open(name)
	if err != nil {
		return err
	}
	defer link.Close()
	old, known := r.Store.Load(name)
	scope := plumb.Scope{Numbers: old.Numbers, Packets: old.Packets || !known} // without a record there may be a table all the same
	link.Cover(scope)
	if _, gone := link.Look(); !known && errors.Is(gone, plumb.ErrGone) {
		return ErrUnrecorded
	}
	before, peers := r.before(link, old)
	scope.Peers, scope.Forwarding = peers, before != nil && before.Forwarding != nil
	link.Cover(scope)
	ctx = context.WithoutCancel(ctx)
	if r.All {
		err = r.removeAll(ctx, link, before)
	} else {
		err = r.removeOurs(ctx, link, old, before)
	}
	if err != nil {
		return err
	}
	return errors.Join(r.Store.Remove(name), r.Store.Unlock(name))
}

// removeOurs removes everything of ours except what the host itself lives by, and rolls that back if it cut something
// off.
func (r Removal) removeOurs(ctx context.Context, link *plumb.Link, old state.Record, before *plumb.Baseline) error {
	t := r.check(link, old)
	done, err := link.Leave(ctx, before)
	r.announce(done)
	if why := t.cutOff(ctx); len(why) > 0 {
		return r.rollBack(ctx, t, why)
	}
	if err != nil {
		return err
	}
	t.close()
	r.reportHosting(link)
	return nil
}

// announce logs a change, one line for each operation.
func (r Removal) announce(done plumb.Plan) {
	for _, o := range done {
		r.Log.Info(o)
	}
}

// removeAll removes everything of ours without a check: the user has asked for it (--lease), even if it cuts the host
// off.
func (r Removal) removeAll(ctx context.Context, link *plumb.Link, before *plumb.Baseline) error {
	done, err := link.Strip(ctx, before)
	r.announce(done)
	return err
}

// reportHosting logs what stays on an interface that nobody else configures, and how to remove that too.
func (r Removal) reportHosting(l *plumb.Link) {
	s, err := l.Read()
	if err != nil || !s.Hosts() {
		return
	}
	r.Log.Infof("%s and its default route stay, because nobody else configures %s; to remove them: ec2net down --lease %s", First(s.Held()), s.Name, s.Name)
}

// check makes the connectivity check of the removal. A metadata server whose address is not known is not missed.
func (r Removal) check(l *plumb.Link, old state.Record) *connectivityCheck {
	at, known := r.Server()
	if !known {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{169, 254, 169, 254}), 80)
	}
	t := &connectivityCheck{
		link: l, store: r.Store, log: r.Log,
		primary: func() bool { return old.Interface.Primary },
		guessed: func() bool { return false }, // the interface's own connections end with it
		silent:  func(have plumb.Snapshot) bool { return plumb.Unconfigured(have, old.Interface) },
		server:  func() (netip.AddrPort, bool) { return at, known && time.Since(old.ReadAt) < recentAnswer },
	}
	t.watch()
	return t
}

// recentAnswer is how old the metadata's last answer may be for its loss to count.
const recentAnswer = time.Minute

// rollBack puts everything back.
func (r Removal) rollBack(ctx context.Context, t *connectivityCheck, why losses) error {
	before := t.before
	back := t.link.Reconcile(ctx, func(s plumb.Snapshot) (plumb.State, error) { return plumb.Restored(s, before), nil })
	r.announce(back.Done)
	t.close()
	return errors.Join(ErrorOf(ErrRolledBack, "%s: rolled back: without this interface, %s", t.link.Name, why), back.Failed)
}

// before is how ec2net found the interface, by the record, and which other interfaces have a group because of it. If
// the record is of another interface, or of the time before this one was plugged in again, the interface itself
// tells. The link of the primary, and of one that another program has, stays as it is.
func (r Removal) before(l *plumb.Link, old state.Record) (before *plumb.Baseline, peers []metadata.MAC) {
	s, err := l.Read()
	same := s.MAC == old.MAC && s.Index == old.Index
	switch {
	case err == nil && same && (old.Interface.Primary || old.LeftTo != ""): // its link belongs to whoever configured it
		link := s.Link
		link.SrcValidMark = old.Baseline != nil && old.Baseline.Link.SrcValidMark
		before = &plumb.Baseline{Link: link, AltNames: s.AltNames}
		if old.Baseline != nil {
			before.Forwarding = old.Baseline.Forwarding
		}
		return before, nil
	case err == nil && same:
		return old.Baseline, r.Store.All().Peers(s.MAC)
	case err == nil:
		return plumb.BaselineOf(s), r.Store.All().Peers(s.MAC)
	}
	return nil, r.Store.All().Peers(metadata.MAC{})
}
