package agent

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/plumb"
)

const (
	burst = 5 * time.Millisecond // a single `ip rule flush` is many notifications
	// RepairWindow is the time in which RepairsMax repairs are a fight with another program.
	RepairWindow = 10 * time.Second
	RepairsMax   = 10          // in a window; more is a fight with another program
	repairPause  = time.Second // between two repairs in a fight
	// idleShare is how much longer the pause after a look at the kernel is than the CPU time that the look cost,
	// so that a storm of notifications costs a twentieth of a core at most; and no pause is longer than repairPause.
	idleShare = 20
)

// repairs is the memory of what somebody else undid. Its zero value has none.
type repairs struct {
	recent      []time.Time
	notBefore   time.Time // no look at the kernel before
	lastRemoved string
	lastCulprit string
	fight       bool
}

// hint keeps what a notification says of the culprit, for the log. A short-lived one can only be
// named now.
func (r *repairs) hint(c plumb.Change) {
	if c.Removed == "" || r.fight {
		return
	}
	r.lastRemoved = c.Removed
	name, ok := culprit(c.By)
	if ok || len(r.recent) == 0 { // else who was seen doing it a moment ago
		r.lastCulprit = name
	}
}

// measure looks at the kernel, and notes what that has cost. It is CPU time: on a busy host a look takes long because
// it waits, and the next repair is not to wait twenty times as long again.
func (r *repairs) measure(at func() error) error {
	used := cpuTime()
	err := at()
	r.charge(cpuTime()-used, time.Now())
	return err
}

func (r *repairs) charge(cost time.Duration, end time.Time) {
	r.notBefore = end.Add(min(idleShare*cost, repairPause))
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil { // every kernel since 2.6.12 has it
		return 0
	}
	return time.Duration(t.Nano())
}

// forget drops what is older than the window. When nothing is left, a fight is over.
func (r *repairs) forget(now time.Time) {
	for len(r.recent) > 0 && now.Sub(r.recent[0]) >= RepairWindow {
		r.recent = r.recent[1:]
	}
	if len(r.recent) == 0 {
		r.fight = false
	}
}

// fighting reports whether another program keeps undoing what is restored, which was logged.
func (r *repairs) fighting(now time.Time) bool {
	r.forget(now)
	return r.fight
}

// delay is how long to wait before the kernel is looked at again: a moment, or in a fight a second,
// so that it costs neither CPU nor log.
func (r *repairs) delay(now time.Time) time.Duration {
	r.forget(now)
	wait := max(burst, r.notBefore.Sub(now))
	if n := len(r.recent); n >= RepairsMax {
		wait = max(wait, r.recent[n-1].Add(repairPause).Sub(now))
	}
	return wait
}

// made counts a repair. It returns what to say when a fight begins, and nothing else.
func (r *repairs) made(now time.Time) string {
	removed, by := cmp.Or(r.lastRemoved, "a link attribute"), cmp.Or(r.lastCulprit, "another program")
	r.forget(now)
	r.recent = append(r.recent, now)
	if len(r.recent) < RepairsMax || r.fight {
		return ""
	}
	r.fight = true
	return fmt.Sprintf("%s keeps undoing this interface's configuration (last: %s): from now on ec2net restores it once every %s, without logging it again",
		by, removed, repairPause)
}

// culprit names the program behind a netlink port, when the port is its process id.
func culprit(port uint32) (name string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", port))
	if port == 0 || err != nil {
		return "another program", false
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(b)), port), true
}
