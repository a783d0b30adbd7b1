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

// ClearOrphans takes away what orphaned records say, with the records, and reports whether there were any.
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

// clearOrphan clears up after one interface.
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

// removeOrphanObjects takes the rules and tables of a gone interface out of the kernel.
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

// clearOrphans has an agent clear up after interfaces that are gone.
func (a *Agent) clearOrphans(ctx context.Context) {
	found, err := ClearOrphans(ctx, a.store, a.log)
	a.warnOnce(fromOrphans, err)
	if found {
		a.publish()
	}
}

// Sweep takes away what is left of interfaces that are gone, and tells whether there was any, and whether that were
// records: of one that was renamed, and unplugged before a process had written down its new name; and rules without a
// table.
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
