package agent

import (
	"errors"
	"fmt"
	"testing"

	"ec2net/metadata"
	"ec2net/plumb"
)

func TestOutcome(t *testing.T) {
	other := errors.New("other")
	known := metadata.Interface{MAC: metadata.MAC{2, 0, 0, 0, 0, 1}}
	for _, tt := range []struct {
		name     string
		known    bool
		rollback bool
		result   plumb.Result
		was      bool
		want     bool
	}{
		{name: "all is set up", known: true, want: true},
		{name: "nothing is known of it", was: true},
		{name: "something was left out", known: true, result: plumb.Result{Refused: other}, want: true},
		{name: "there is no address", known: true, result: plumb.Result{Refused: fmt.Errorf("eth1: %w", plumb.ErrNoAddress)}, was: true},
		{name: "whose it is is unclear", known: true, result: plumb.Result{Refused: fmt.Errorf("eth1: %w", errAmbiguous)}, was: true},
		{name: "the kernel does not keep it", known: true, result: plumb.Result{Failed: fmt.Errorf("eth1: %w", plumb.ErrNotConverged)}, was: true},
		{name: "the kernel could not be asked", known: true, result: plumb.Result{Failed: other}, was: true, want: true},
		{name: "the kernel could not be asked before", known: true, result: plumb.Result{Failed: other}},
		{name: "left out and harmed", known: true, result: plumb.Result{Refused: other, Failed: other}},
		{name: "rolled back", known: true, rollback: true, was: true},
	} {
		a := &Agent{converged: tt.was}
		if tt.known {
			a.settled = known
		}
		if tt.rollback {
			a.rolledBack = &rollback{}
		}
		if got := a.outcome(tt.result); got != tt.want {
			t.Errorf("%s: converged %v, want %v", tt.name, got, tt.want)
		}
	}
}
