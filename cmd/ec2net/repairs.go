package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"ec2net/plumb"
)

const (
	burst        = 5 * time.Millisecond // a single `ip rule flush` is many notifications
	repairWindow = 10 * time.Second
	repairsMax   = 10 // in a window; more is a fight with another program
)

// repairs is the memory of what somebody else undid. Its zero value has none.
type repairs struct {
	recent  []time.Time
	removed string
	by      uint32
	fight   bool
}

// hint keeps what a notification says of the culprit, for the log.
func (r *repairs) hint(c plumb.Change) {
	if c.Removed != "" {
		r.removed, r.by = c.Removed, c.By
	}
}

// delay is how long to wait before the kernel is looked at again: a moment, or in a fight until the
// window has room again, so that it costs neither CPU nor log.
func (r *repairs) delay(now time.Time) time.Duration {
	for len(r.recent) > 0 && now.Sub(r.recent[0]) >= repairWindow {
		r.recent = r.recent[1:]
	}
	if len(r.recent) < repairsMax {
		return burst
	}
	return max(burst, repairWindow-now.Sub(r.recent[0]))
}

// made counts a repair. It returns what to say when a fight begins, and nothing else.
func (r *repairs) made(now time.Time) string {
	r.delay(now) // forgets what is old
	if len(r.recent) == 0 {
		r.fight = false
	}
	r.recent = append(r.recent, now)
	if len(r.recent) < repairsMax || r.fight {
		return ""
	}
	r.fight = true
	return fmt.Sprintf("%s keeps undoing this card's set-up (last: %s): from now on put back at most %d times in %s",
		culprit(r.by), r.removed, repairsMax, repairWindow)
}

// culprit names the program behind a netlink port, when the port is its process id.
func culprit(port uint32) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", port))
	if port == 0 || err != nil {
		return "another program"
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(b)), port)
}
