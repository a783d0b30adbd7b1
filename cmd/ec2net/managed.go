package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/agent"
	"ec2net/state"
)

// `ec2net up` for an interface that a process already manages: two processes must not change the same interface, so
// `up` asks that one (SIGHUP) and follows its record.

// upByManager has the managing process read the metadata now, and waits until its record says that the interface is
// set up by a reading that is newer than the request. If that process does not ask the metadata, any record counts.
// The statuses are those of `up`. It holds a pidfd, so that the signal cannot reach another process with the same
// number.
func (p *program) upByManager(ctx context.Context, a *agent.Agent, pid int, wait time.Duration) error {
	name, asks := a.Name(), a.ManagerAsks()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	// Open the process before it is asked anything, and watch the records before the signal is sent: no answer is
	// missed.
	manager, err := p.store.Manager(name)
	if manager == nil || err != nil {
		return errors.Join(err, fmt.Errorf("process %d, which managed %s, has just ended: try again", pid, name))
	}
	defer manager.Close()
	news, err := p.store.Watch(ctx)
	if err != nil {
		return err
	}
	asked := time.Now()
	log := p.log.WithField("interface", name)
	if asks {
		if err := manager.Signal(unix.SIGHUP); err != nil {
			return err
		}
		log.Infof("process %d manages this interface: asked it to read the metadata now", manager.PID)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		r, _ := p.store.Load(name)
		fresh := !asks || r.ReadAt.After(asked)
		if why := p.unresponsive(name, manager.PID, asked); why != "" {
			return fmt.Errorf("%s: %s", name, why)
		}
		// A record that is as old as the request does not count, with one exception: a degraded interface has asked
		// since, and the metadata still says nothing.
		switch {
		case r.Phase.InPart() && (fresh || (r.Phase == state.LeaseOnly && r.AskedAt.After(asked))):
			return agent.ErrorOf(agent.ErrPartial, "%s: partly set up: %s", name, r.State)
		case r.Phase.Settled() && fresh:
			log.Infof("ready: %s", r.State)
			if p.outdated(name) {
				log.Warnf("%s has changed since process %d read it; to apply it: systemctl restart %s", p.configFile, manager.PID, agent.UnitWord(name))
			}
			return nil
		case r.Phase == state.RolledBack && fresh:
			return fmt.Errorf("%s: %s", name, r.State)
		}
		select {
		case <-news:
		case <-tick.C: // no event announces that a process was stopped
		case <-ctx.Done():
			if asks && !r.AskedAt.After(asked) {
				return fmt.Errorf("%s: gave up after %s: process %d, which manages it, does not answer", name, wait, manager.PID)
			}
			return agent.ErrorOf(agent.ErrUnavailable, "%s: gave up after %s: %s", name, wait, r.State)
		}
	}
}

// unresponsive is why the managing process will not tell how the interface is doing: it is stopped, or cannot write
// its record; "": it may.
func (p *program) unresponsive(name string, pid int, asked time.Time) string {
	if stopped := state.Stopped(pid); stopped != "" {
		return stopped
	}
	if why := p.store.Holder(name).Unsaved; why != "" && time.Since(asked) >= agent.ReadingTime {
		return fmt.Sprintf("process %d, which manages it, cannot write its record: %s", pid, why)
	}
	return ""
}
