package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"ec2net/metadata"
	"ec2net/plumb"
)

// An interface that goes is cleared up after by its agent process, or by the unit's ExecStopPost. Neither is
// sure: systemd from 257 on kills a unit by its control group's cgroup.kill, as systemd-oomd does, and kernels
// from 6.14 or so on then kill what is started in that group later, ExecStopPost among it. So whoever starts,
// scans or reads the metadata clears up after the others.

// orphaned reports whether nobody else will clear up after a recorded interface: it is gone from this network
// namespace, and its agent process is dead.
func (s store) orphaned(r record) bool { return !r.present() && s.holder(r.Name) == 0 }

// present reports whether the interface is there, under whatever name.
func (r record) present() bool {
	i, err := net.InterfaceByIndex(r.Index)
	return err == nil && i.HardwareAddr.String() == r.MAC.String()
}

// clearOrphans takes away what orphaned records say, with the records, and reports whether there were any.
func (s store) clearOrphans(ctx context.Context, log logrus.FieldLogger) (found bool, err error) {
	var errs []error
	for _, r := range s.all() {
		if !s.orphaned(r) {
			continue
		}
		found = true
		done, err := s.clearOrphan(ctx, r)
		for _, o := range done {
			log.Info(o)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("clear up after %s, which is gone: %w", r.Name, err))
		} else {
			log.Infof("%s is gone, and so is the process that kept it: cleared up after it", r.Name)
		}
	}
	return found, errors.Join(errs...)
}

// clearOrphan clears up after one interface. The shared lock has an agent process of the same name wait that
// is just starting, as anybody's look at the lock does; one that has the lock already clears up by itself.
func (s store) clearOrphan(ctx context.Context, r record) (plumb.Plan, error) {
	f, err := os.OpenFile(s.path(r.Name, ".lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	l := &cardLock{f: f}
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		return nil, f.Close()
	}
	defer l.close()
	if now, known := s.load(r.Name); !known || now.MAC != r.MAC || now.Index != r.Index {
		return nil, nil
	}
	done, err := s.leaveOrphan(ctx, r)
	if err == nil {
		err = s.remove(r.Name)
	}
	return done, err
}

// leaveOrphan takes the rules and tables of a gone interface out of the kernel.
func (s store) leaveOrphan(ctx context.Context, r record) (plumb.Plan, error) {
	link, err := plumb.OpenGone(r.Name)
	if err != nil {
		return nil, err
	}
	defer link.Close()
	link.Numbers, link.Packets, link.Peers = r.Numbers, r.Packets, s.all().peers(metadata.MAC{})
	return link.Leave(context.WithoutCancel(ctx), nil)
}

// tidy has an agent clear up after interfaces that are gone.
func (a *agent) tidy(ctx context.Context) {
	found, err := a.store.clearOrphans(ctx, a.log)
	a.complain(fromOrphans, err)
	if found {
		a.publish()
	}
}
