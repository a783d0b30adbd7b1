package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ec2net/agent"
	"ec2net/plumb"
)

// planCommand is `ec2net plan IF`. It prints the operations of the next `up` on stdout, in the syntax of ip(8), and
// what cannot be set up on stderr; with --json both on stdout. Status 0: nothing to do; 5: something; 3: no metadata.
// It changes nothing and takes neither a lease nor a lock.
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

// plan reads the metadata once or twice and prints the plan.
func (p *program) plan(ctx context.Context, name string) error {
	if p.outsideCloud() {
		return p.print(name, plumb.Plan{}, nil)
	}
	o, err := p.options()
	if err != nil {
		return err
	}
	o.ShortHold = true // show what up does once the doubts are over
	n, err := agent.NewNIC(name, o)
	if err != nil {
		return err
	}
	defer n.Close()
	planned, err := n.Plan(ctx)
	if err != nil {
		return err
	}
	return errors.Join(p.print(name, planned.Plan, planned.Problems), planned.Waiting)
}

// print prints a plan. The status is that of a plan even if there are problems: they are not for `up` to mend.
func (p *program) print(name string, plan plumb.Plan, refused error) error {
	if p.json {
		out := struct {
			Interface  string     `json:"interface"`
			Operations plumb.Plan `json:"operations"`
			Problems   []string   `json:"problems"`
		}{name, append(plumb.Plan{}, plan...), agent.Lines(refused)}
		if err := p.encode(out); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	} else {
		if _, err := fmt.Fprint(p.out, plan); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
		for _, l := range agent.Lines(refused) {
			p.log.Warn(l)
		}
	}
	if len(plan) > 0 {
		return quiet(exitDifferences)
	}
	return nil
}
