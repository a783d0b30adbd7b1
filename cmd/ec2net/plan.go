package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ec2net/metadata"
	"ec2net/plumb"
)

func (p *program) planCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan IF",
		Short: "show what up would change, without changing it",
		Long: `Show what "ec2net up" would change, one operation per line in the syntax of
ip(8): "+" marks what it would add, "-" what it would remove and "~" what it
would change. Plan changes nothing and takes no lease. Exit status 5: there is
something to do.`,
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
	n, err := newNIC(name, o)
	if err != nil {
		return err
	}
	defer n.link.Close()
	if n.yields(n.snap) {
		n.log.Info("left to " + n.record.Yielded)
		state, _ := n.learned().want(n.snap)
		return p.print(name, plumb.Diff(n.snap.State, state), nil)
	}
	if !n.idle() && n.asks() {
		if o.noSource != nil {
			return o.noSource
		}
		n.brief = true // what up does when the doubts are over
		if err := n.readTwice(ctx); err != nil {
			if ctx.Err() != nil {
				return fail(exitFailed, "plan: interrupted")
			}
			return fail(exitUnavailable, "%s: %w", name, err)
		}
	}
	if n.idle() {
		n.leftAlone()
		return p.print(name, plumb.Diff(n.snap.State, n.learned().released(n.snap)), nil)
	}
	state, refused := n.planned()
	plan := plumb.Diff(n.snap.State, state)
	err = p.print(name, plan, errors.Join(errors.Join(n.missing...), refused))
	if err == nil && len(plan) == 0 && len(n.missing) > 0 {
		return fail(exitUnavailable, "%s: waiting for %s", name, n.whyNot())
	}
	return err
}

// errUnsettled ends a plan that has waited long enough for the metadata.
var errUnsettled = errors.New("gave up after " + planTime.String())

// readTwice reads the metadata, and once more if it dropped something and no process waits for the end of the doubt,
// or if it left keys open that it could not be asked for. What it has answered and is not believed is not asked for
// again. A later reading that fails, as on a machine that is too busy for it, is tried again.
func (n *nic) readTwice(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, planTime)
	defer cancel()
	for {
		var r reading
		err := patiently(ctx, func() error {
			r = readInterface(ctx, n.cloud, n.snap.MAC, n.before())
			return r.err
		})
		switch {
		case err == nil && n.settles(r):
			return n.again()
		case err != nil && ctx.Err() != nil && n.answered: // the time is over in the middle of a reading
			return n.unsettled()
		case err != nil && !(n.answered && kind(err) == metadata.ErrUnavailable): // else what was answered before stands
			return err
		}
		select {
		case <-time.After(confirmAfter): // of a cloud's glitch there is no event to wait for
		case <-ctx.Done():
			return n.unsettled()
		}
	}
}

// settles works a reading of readTwice in, and says whether another one would tell no more.
func (n *nic) settles(r reading) bool {
	if r.iface.Unlisted4() && n.last.Addrs4.Status != metadata.Present { // whether that lasts there is no time to see
		r.iface = r.iface.Without4()
	}
	n.take(r)
	return n.settledDown() || n.vain() || n.doubtful()
}

func (n *nic) unsettled() error { return fmt.Errorf("%w waiting for %s", errUnsettled, n.whyNot()) }

// again reads the kernel once more, now that the interface's settings and the primary interface are known.
func (n *nic) again() (err error) {
	n.snap, err = n.link.Read()
	return err
}

func (n *nic) planned() (plumb.State, error) {
	n.hosts = n.wouldHost()
	others := n.store.All()
	n.passing(others)
	f := n.learned()
	if f.mode() != modeManage {
		return f.want(n.snap)
	}
	f.lease = n.record.Lease
	f.ownAddress, f.leads = n.wouldOwn(), n.wouldLead(others)
	state, err := f.want(n.snap)
	primary, _ := others.Primary()
	return state, errors.Join(append(append(misnamed(n.config, primary.Name), n.nat.refused...), err, n.egressTrouble(0, time.Now()), n.egressTrouble(1, time.Now()))...)
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
