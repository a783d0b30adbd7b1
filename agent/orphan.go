package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// An interface that goes is cleared up after by its agent process, or by the unit's ExecStopPost. Neither is
// sure: systemd from 257 on kills a unit by its control group's cgroup.kill, as systemd-oomd does, and kernels
// from 6.14 or so on then kill what is started in that group later, ExecStopPost among it. So whoever starts,
// scans or reads the metadata clears up after the others.

// ClearOrphans removes what interfaces that are gone have left in the kernel, if their process is dead too, and then
// their records. found is true if there were any.
func ClearOrphans(ctx context.Context, store state.Store, log logrus.FieldLogger) (found bool, err error) {
	var errs []error
	for _, r := range store.All() {
		if !store.Orphaned(r) {
			continue
		}
		found = true
		done, err := clearOrphan(ctx, store, r)
		for _, o := range done {
			log.Info(o)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("clean up after %s, which is gone: %w", r.Name, err))
		} else {
			log.Infof("%s and the process that managed it are gone: removed what they left", r.Name)
		}
	}
	return found, errors.Join(errs...)
}

// clearOrphan clears up after one interface. It holds the interface's lock meanwhile, so that of several processes
// that notice the orphan only one does; it returns nothing if another one has it.
func clearOrphan(ctx context.Context, store state.Store, r state.Record) (plumb.Plan, error) {
	lock, err := store.Adopt(r)
	if lock == nil || err != nil {
		return nil, err
	}
	defer lock.Release()
	done, err := removeOrphanObjects(ctx, r, store.All().Peers(metadata.MAC{}))
	if err == nil {
		err = store.Remove(r.Name)
	}
	return done, err
}

// removeOrphanObjects removes the rules and nftables tables of an interface that is gone, and the interface groups
// that others have because of it.
func removeOrphanObjects(ctx context.Context, r state.Record, peers []metadata.MAC) (plumb.Plan, error) {
	link, err := plumb.OpenGone(r.Name)
	if err != nil {
		return nil, err
	}
	defer link.Close()
	scope := r.Scope()
	scope.Peers = peers
	link.Cover(scope)
	return link.Leave(context.WithoutCancel(ctx), nil)
}

// clearOrphans clears up after other interfaces; the agent does so with every reading of the metadata.
func (a *Agent) clearOrphans(ctx context.Context) {
	found, err := ClearOrphans(ctx, a.store, a.log)
	a.warnOnce(fromOrphans, err)
	if found {
		a.publish()
	}
}

// Sweep removes what is left of interfaces that are gone. Beside orphans with a record it finds rules without a
// table: of an interface that was renamed and then unplugged before a process had recorded its new name. found is
// true if there was anything, records if records were among it.
func Sweep(ctx context.Context, store state.Store, log logrus.FieldLogger) (found, records bool, err error) {
	records, failed := ClearOrphans(ctx, store, log)
	var claimed []int
	for _, r := range store.All() {
		claimed = append(claimed, r.Numbers...)
	}
	done, err := plumb.Orphans(claimed)
	for _, o := range done {
		log.Info(o)
	}
	return records || len(done) > 0, records, errors.Join(failed, err)
}
