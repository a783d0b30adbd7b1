package agent

import (
	"testing"
	"time"

	"ec2net/state"
)

// systemd waits for what is on its way, and not for what may never come.
func TestStarted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		phase  state.Phase
		closed bool
		waited time.Duration
		want   bool
	}{
		{"nothing yet", state.Waiting, false, Silence, false},
		{"all there", state.Ready, false, 0, true},
		{"as the record says", state.Unconfirmed, false, 0, true},
		{"on its way", state.Settling, false, Silence, false},
		{"the metadata is switched off, and a lease may come", state.Waiting, true, Silence - 1, false},
		{"the metadata is switched off, and no lease came", state.Waiting, true, Silence, true},
		{"not listed by the metadata", state.Waiting, false, startTime - 1, false},
		{"not listed by the metadata, for long", state.Waiting, false, startTime, true},
		{"rolled back, and tried again later", state.RolledBack, false, startTime, true},
	} {
		if got := started(tt.phase, tt.closed, tt.waited); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}
