package main

import (
	"errors"
	"fmt"
	"testing"

	"ec2net/agent"
	"ec2net/plumb"
)

// Each kind of error has its exit status, wrapped or beside others, and its text is nothing but its own.
func TestStatusOf(t *testing.T) {
	other := errors.New("other")
	for _, tt := range []struct {
		err  error
		want int
		text string
	}{
		{nil, exitOK, ""},
		{other, exitFailed, "other"},
		{agent.ErrorOf(agent.ErrInvalid, "eth9: %w", plumb.ErrGone), exitUsage, "eth9: " + plumb.ErrGone.Error()},
		{agent.ErrorOf(agent.ErrUnavailable, "gave up"), exitUnavailable, "gave up"},
		{fmt.Errorf("eth1: %w", agent.ErrorOf(agent.ErrPartial, "set up in part")), exitPartial, "eth1: set up in part"},
		{errors.Join(agent.ErrorOf(agent.ErrDenied, "no root"), agent.ErrorOf(agent.ErrInvalid, "no endpoint")), exitFailed, "no root\nno endpoint"},
		{errors.Join(agent.ErrorOf(agent.ErrUnavailable, "gave up"), other), exitUnavailable, "gave up\nother"},
		{fail(exitUnavailable, "scan: %w", agent.ErrorOf(agent.ErrInvalid, "no endpoint")), exitUnavailable, "scan: no endpoint"},
		{quiet(exitDifferences), exitDifferences, ""},
	} {
		if got := statusOf(tt.err); got != tt.want || (tt.err != nil && tt.err.Error() != tt.text) {
			t.Errorf("%v: status %d, want %d and %q", tt.err, got, tt.want, tt.text)
		}
	}
	if !errors.Is(agent.ErrorOf(agent.ErrInvalid, "eth9: %w", plumb.ErrGone), plumb.ErrGone) {
		t.Error("what it wraps is lost")
	}
}
