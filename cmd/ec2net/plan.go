package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
)

func (p *program) planCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan IF",
		Short: "show what up would change; change nothing",
		Long: `Show what "ec2net up" would change, an operation a line in the syntax of ip(8):
"+" would be added, "-" removed, "~" changed. Nothing is changed, and no lease
is taken. Exit status 5 when there is something to do.`,
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error { return p.plan(c.Context(), args[0]) },
	}
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
	return c
}

// planTime bounds the wait for the metadata: a plan is for now.
const planTime = 10 * time.Second

func (p *program) plan(ctx context.Context, name string) error {
	if p.nowhere() {
		return p.print(name, plumb.Plan{}, nil)
	}
	o, err := p.options()
	if err != nil {
		return err
	}
	a, err := newAgent(name, o)
	if err != nil {
		return err
	}
	defer a.link.Close()
	if a.yields(a.snap) {
		a.log.Info(a.text())
		return p.print(name, plumb.Diff(a.snap.State, plumb.Yielded(a.snap, a.record.Before)), nil)
	}
	if !a.idle() && a.asks() {
		if o.noSource != nil {
			return o.noSource
		}
		a.brief = true // what up does when the doubts are over
		if err := a.readTwice(ctx); err != nil {
			if ctx.Err() != nil {
				return fail(exitFailed, "plan: interrupted")
			}
			return fail(exitUnavailable, "%s: %w", name, err)
		}
	}
	if a.idle() {
		a.leftAlone()
		return p.print(name, plumb.Diff(a.snap.State, a.released(a.snap)), nil)
	}
	state, refused := a.planned()
	plan := plumb.Diff(a.snap.State, state)
	err = p.print(name, plan, errors.Join(errors.Join(a.missing...), refused))
	if err == nil && len(plan) == 0 && len(a.missing) > 0 {
		return fail(exitUnavailable, "%s: waiting for %s", name, a.whyNot())
	}
	return err
}

// errUnsettled ends a plan that has waited long enough for the metadata.
var errUnsettled = errors.New("gave up after " + planTime.String())

// readTwice reads the metadata, and once more if it dropped something and no process waits for the end of the doubt,
// or if it left keys open that it could not be asked for. What it has answered and is not believed is not asked for
// again. A later reading that fails, as on a machine that is too busy for it, is tried again.
func (a *agent) readTwice(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, planTime)
	defer cancel()
	for {
		var r reading
		err := patiently(ctx, func() error {
			r = readInterface(ctx, a.cloud, a.snap.MAC, a.before())
			return r.err
		})
		switch {
		case err == nil && a.settles(r):
			return a.again()
		case err != nil && ctx.Err() != nil && a.answered: // the time is over in the middle of a reading
			return a.unsettled()
		case err != nil && !(a.answered && kind(err) == metadata.ErrUnavailable): // else what was answered before stands
			return err
		}
		select {
		case <-time.After(confirmAfter): // of a cloud's glitch there is no event to wait for
		case <-ctx.Done():
			return a.unsettled()
		}
	}
}

// settles works a reading of readTwice in, and says whether another one would tell no more.
func (a *agent) settles(r reading) bool {
	if r.iface.Unlisted4() && a.last.Addrs4.Status != metadata.Present { // whether that lasts there is no time to see
		r.iface = r.iface.Without4()
	}
	a.take(r)
	return a.settledDown() || a.vain() || a.doubtful()
}

func (a *agent) unsettled() error { return fmt.Errorf("%w waiting for %s", errUnsettled, a.whyNot()) }

// again reads the kernel once more, now that the interface's settings and the primary interface are known.
func (a *agent) again() (err error) {
	a.snap, err = a.link.Read()
	return err
}

func (a *agent) planned() (plumb.State, error) {
	if a.iface.Manage == config.LinkUp {
		return a.released(a.snap), nil
	}
	if a.role == isUnclear {
		return a.snap.State, unclear(a.snap)
	}
	a.lease = a.record.Lease
	a.hosts = a.wouldHost()
	others := a.store.All()
	a.passing(others)
	state, err := a.wanted(a.settled, a.lease, a.wouldOwn(), a.wouldLead(others))
	primary, _ := others.Primary()
	return state, errors.Join(append(append(misnamed(a.config, primary.Name), a.nat.refused...), err, a.egressTrouble(0, time.Now()), a.egressTrouble(1, time.Now()))...)
}

func (p *program) print(name string, plan plumb.Plan, refused error) error {
	if p.json {
		out := struct {
			Interface  string     `json:"interface"`
			Operations plumb.Plan `json:"operations"`
			Problems   []string   `json:"problems"`
		}{name, append(plumb.Plan{}, plan...), lines(refused)}
		if err := p.encode(out); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	} else {
		if _, err := fmt.Fprint(p.out, plan); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
		for _, l := range lines(refused) {
			p.log.Warn(l)
		}
	}
	if len(plan) > 0 {
		return quiet(exitDifferences)
	}
	return nil
}
