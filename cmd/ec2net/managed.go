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

// upByManager has the process that manages the interface read the metadata now, and waits for its record to
// say that the interface is set up. Of one for which the metadata is not asked only the record counts.
func (p *program) upByManager(ctx context.Context, a *agent.Agent, pid int, wait time.Duration) error {
	name, asks := a.Name(), a.ManagerAsks()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
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
		case <-tick.C: // that it is stopped, no event tells
		case <-ctx.Done():
			if asks && !r.AskedAt.After(asked) {
				return fmt.Errorf("%s: gave up after %s: process %d, which manages it, does not answer", name, wait, manager.PID)
			}
			return agent.ErrorOf(agent.ErrUnavailable, "%s: gave up after %s: %s", name, wait, r.State)
		}
	}
}

// unresponsive says why the process that manages an interface will not tell how the interface is doing; empty: it may.
func (p *program) unresponsive(name string, pid int, asked time.Time) string {
	if stopped := state.Stopped(pid); stopped != "" {
		return stopped
	}
	if why := p.store.Holder(name).Unsaved; why != "" && time.Since(asked) >= agent.ReadingTime {
		return fmt.Sprintf("process %d, which manages it, cannot write its record: %s", pid, why)
	}
	return ""
}
