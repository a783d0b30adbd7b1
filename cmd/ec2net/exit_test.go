package main

import (
	"errors"
	"fmt"
	"testing"

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
		{errorOf(errInvalid, "eth9: %w", plumb.ErrGone), exitUsage, "eth9: " + plumb.ErrGone.Error()},
		{errorOf(errUnavailable, "gave up"), exitUnavailable, "gave up"},
		{fmt.Errorf("eth1: %w", errorOf(errPartial, "set up in part")), exitPartial, "eth1: set up in part"},
		{errors.Join(errorOf(errDenied, "no root"), errorOf(errInvalid, "no endpoint")), exitFailed, "no root\nno endpoint"},
		{errors.Join(errorOf(errUnavailable, "gave up"), other), exitUnavailable, "gave up\nother"},
		{fail(exitUnavailable, "scan: %w", errorOf(errInvalid, "no endpoint")), exitUnavailable, "scan: no endpoint"},
		{quiet(exitDifferences), exitDifferences, ""},
	} {
		if got := statusOf(tt.err); got != tt.want || (tt.err != nil && tt.err.Error() != tt.text) {
			t.Errorf("%v: status %d, want %d and %q", tt.err, got, tt.want, tt.text)
		}
	}
	if !errors.Is(errorOf(errInvalid, "eth9: %w", plumb.ErrGone), plumb.ErrGone) {
		t.Error("what it wraps is lost")
	}
}
