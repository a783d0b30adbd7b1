package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

func (p *program) downCommand() *cobra.Command {
	var ifGone, lease bool
	c := &cobra.Command{
		Use:   "down IF",
		Short: "remove everything that ec2net set up on an interface",
		Long: `Remove everything that ec2net set up on an interface, and nothing else: rules,
routes and addresses that carry its mark, and the interface group. The link is
set back to how ec2net found it. This also works after the interface is gone.
It first stops a running "ec2net run" of the interface. Where nobody else
configures the interface, the leased address and the default route stay,
because the host depends on them; --lease removes them too.`,
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if ifGone {
				return p.downIfGone(c.Context(), args[0])
			}
			return p.take(c.Context(), args[0], lease)
		},
	}
	c.Flags().BoolVar(&lease, "lease", false, "also remove the lease and default route of the host itself")
	c.Flags().BoolVar(&ifGone, "if-gone", false, "do nothing while the interface exists, under whatever name")
	return c
}

// downIfGone is what the unit does last. When another interface has taken the name meanwhile, it starts the
// unit again: systemd drops the start that a device wants while its unit is still stopping.
func (p *program) downIfGone(ctx context.Context, name string) error {
	gone := os.Getenv("EXIT_STATUS") == strconv.Itoa(exitGone) // of run, see systemd.exec(5)
	_, known := p.store.Load(name)
	switch _, err := net.InterfaceByName(name); {
	case !p.present(name):
		gone = true
		// Another interface's agent process may have cleared up after it meanwhile.
		if err := p.down(ctx, name); err != nil && !errors.Is(err, errNothingLeft) {
			return err
		}
	case !known && err != nil:
		if _, err := p.sweep(ctx); err != nil {
			return err
		}
	}
	if _, err := net.InterfaceByName(name); !gone || err != nil || !underSystemd() {
		return nil
	}
	return p.start(ctx, name)
}

// present: the interface that was recorded under this name is there, or nothing was recorded.
func (p *program) present(name string) bool {
	r, known := p.store.Load(name)
	return !known || r.Present()
}

// dismissal is how long a running instance may take to stop; then it is killed.
const dismissal = 10 * time.Second

func (p *program) down(ctx context.Context, name string) error { return p.take(ctx, name, false) }

// take is down; all: with what the host itself lives by.
func (p *program) take(ctx context.Context, name string, all bool) error {
	if err := mayChange("down"); err != nil {
		return err
	}
	kept, err := p.dismiss(ctx, name)
	if err != nil {
		return err
	}
	link, err := plumb.Open(name)
	if err != nil {
		return err
	}
	defer link.Close()
	old, known := p.store.Load(name)
	scope := plumb.Scope{Numbers: old.Numbers, Packets: old.Packets || !known} // the record is written before the table
	link.Cover(scope)
	if !known && vanished(link) {
		return p.downUnknown(ctx, name)
	}
	before, peers := p.before(link, old)
	scope.Peers, scope.Forwarding = peers, before != nil && before.Forwarding != nil
	link.Cover(scope)
	ctx = context.WithoutCancel(ctx) // half of it would be worse than either end, and it takes some seconds at most
	if all {
		err = p.strip(ctx, link, before)
	} else {
		err = p.leave(ctx, link, old, before, kept.PID != 0)
	}
	if err != nil {
		return err
	}
	err = errors.Join(p.store.Remove(name), p.store.Unlock(name))
	p.publish()
	return err
}

// dismiss ends the process that manages the interface. One that had to be killed its unit must not start again.
func (p *program) dismiss(ctx context.Context, name string) (state.Dismissal, error) {
	d, err := p.store.Dismiss(ctx, name, dismissal)
	if !d.Killed {
		return d, err
	}
	p.log.Warnf("process %d, which managed %s, did not end within %s: killed it", d.PID, name, dismissal)
	if underSystemd() {
		err = errors.Join(err, stopUnit(ctx, unitOf(name)))
	}
	return d, err
}

// leave takes everything of ours away, but for what the host itself lives by, and proves that nothing is cut off by it.
func (p *program) leave(ctx context.Context, link *plumb.Link, old state.Record, before *plumb.Before, kept bool) error {
	t := p.downTrial(link, old)
	done, err := link.Leave(ctx, before)
	for _, o := range done {
		p.log.Info(o)
	}
	if why := t.cuts(ctx); len(why) > 0 {
		return errors.Join(p.stay(ctx, t, why), p.keepAgain(ctx, link.Name, kept))
	}
	if err != nil {
		return err
	}
	t.close()
	p.remains(link)
	return nil
}

// strip takes all away. That it cuts the host off is what was asked for.
func (p *program) strip(ctx context.Context, link *plumb.Link, before *plumb.Before) error {
	done, err := link.Strip(ctx, before)
	for _, o := range done {
		p.log.Info(o)
	}
	return err
}

// remains says what stays on an interface that nobody else configures.
func (p *program) remains(l *plumb.Link) {
	s, err := l.Read()
	if err != nil || !s.Hosts() {
		return
	}
	p.log.Infof("%s and its default route stay, because nobody else configures %s; to remove them: ec2net down --lease %s", first(s.Held()), s.Name, s.Name)
}

// downTrial proves that nothing is cut off by what is taken away. Where the metadata's address is not known,
// for an environment that spoils it, that one is not missed.
func (p *program) downTrial(l *plumb.Link, old state.Record) *trial {
	at, known := netip.AddrPortFrom(netip.AddrFrom4([4]byte{169, 254, 169, 254}), 80), false
	if cloud, err := p.source(); err == nil {
		at, known = cloud.Server(), true
	}
	t := &trial{
		link: l, store: p.store, log: p.log,
		primary: func() bool { return old.Interface.Primary },
		silent:  func(have plumb.Snapshot) bool { return plumb.Unconfigured(have, old.Interface) },
		server:  func() (netip.AddrPort, bool) { return at, known && time.Since(old.ReadAt) < lately },
	}
	t.watch()
	return t
}

// lately is how old the metadata's last answer may be, for it to be missed.
const lately = time.Minute

// stay puts everything back.
func (p *program) stay(ctx context.Context, t *trial, why losses) error {
	before := t.before
	back := t.link.Reconcile(ctx, func(s plumb.Snapshot) (plumb.State, error) { return plumb.Restored(s, before), nil })
	for _, o := range back.Done {
		p.log.Info(o)
	}
	t.close()
	return errors.Join(fail(exitFailed, "%s: rolled back: without this interface, %s", t.link.Name, why), back.Failed)
}

// keepAgain has an interface that stays as it was kept as it was.
func (p *program) keepAgain(ctx context.Context, name string, kept bool) error {
	switch {
	case !kept:
		return nil
	case underSystemd():
		return p.start(ctx, name)
	}
	return fmt.Errorf("%s: the process that managed it has ended; to manage it again: ec2net run %s", name, name)
}

// before is how the interface was found. Of another interface, and of one that was plugged in again since, that is
// what the interface itself tells. peers are the other cloud interfaces whose group is given back with this one's.
func (p *program) before(l *plumb.Link, old state.Record) (before *plumb.Before, peers []metadata.MAC) {
	s, err := l.Read()
	same := s.MAC == old.MAC && s.Index == old.Index
	switch {
	case err == nil && same && (old.Interface.Primary || old.Yielded != ""): // its link is its owner's
		link := s.Link
		link.SrcValidMark = old.Before != nil && old.Before.Link.SrcValidMark
		before = &plumb.Before{Link: link, AltNames: s.AltNames}
		if old.Before != nil {
			before.Forwarding = old.Before.Forwarding
		}
		return before, nil
	case err == nil && same:
		return old.Before, p.store.All().Peers(s.MAC)
	case err == nil:
		return plumb.Found(s), p.store.All().Peers(s.MAC)
	}
	return nil, p.store.All().Peers(metadata.MAC{})
}

// errNothingLeft says that there is nothing to take away, of an interface that is not here either.
var errNothingLeft = errors.New("none has left anything behind")

// downUnknown is for an interface that is not there and was never recorded under this name.
func (p *program) downUnknown(ctx context.Context, name string) error {
	found, err := p.sweep(ctx)
	if err == nil && !found {
		return fail(exitUsage, "there is no network interface %s here, and %w", name, errNothingLeft)
	}
	return err
}

// sweep takes away what is left of interfaces that are gone, and tells whether there was any: of one that
// was renamed, and unplugged before a process had written down its new name; and rules without a table.
func (p *program) sweep(ctx context.Context) (found bool, err error) {
	found, failed := clearOrphans(ctx, p.store, p.log)
	var claimed []int
	for _, r := range p.store.All() {
		claimed = append(claimed, r.Numbers...)
	}
	done, err := plumb.Orphans(claimed)
	for _, o := range done {
		p.log.Info(o)
	}
	if found {
		p.publish()
	}
	return found || len(done) > 0, errors.Join(failed, err)
}
