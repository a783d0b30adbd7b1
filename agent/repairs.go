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

// Repairs: what another program deletes is put back within milliseconds. Two limits keep that from costing much: in a
// fight (RepairsMax repairs within RepairWindow) there is one repair a second and no further log line, and in a storm
// of notifications a look at the kernel is followed by a pause of idleShare times its CPU time.

const (
	// burst is the time from a notification to the repair: one `ip rule flush` is many notifications.
	burst = 5 * time.Millisecond
	// RepairWindow is the time in which RepairsMax repairs are a fight with another program.
	RepairWindow = 10 * time.Second
	RepairsMax   = 10
	// repairPause is the time between two repairs in a fight.
	repairPause = time.Second
	// idleShare is how many times longer the pause after a look at the kernel is than the CPU time that the look
	// cost; so a storm costs a twentieth of a core at most. No such pause is longer than repairPause.
	idleShare = 20
)

// repairs remembers what other programs have undone lately. The zero value remembers nothing.
type repairs struct {
	// recent are the repairs of the last RepairWindow, oldest first.
	recent []time.Time
	// notBefore is when the kernel may be looked at again at the earliest.
	notBefore time.Time
	// lastRemoved and lastCulprit are the last object that was removed and the program that did it, for the log.
	lastRemoved string
	lastCulprit string
	// fight is true from the log line that announces a fight until RepairWindow has passed without a repair.
	fight bool
}

// hint notes whom a notification names as the culprit. A process that lives for a moment, like ip(8), can only be
// named now; if its name is no longer to be had, the one seen before stays.
func (r *repairs) hint(c plumb.Change) {
	if c.Removed == "" || r.fight {
		return
	}
	r.lastRemoved = c.Removed
	name, ok := culprit(c.By)
	if ok || len(r.recent) == 0 { // otherwise keep the name that was seen a moment ago
		r.lastCulprit = name
	}
}

// measure runs a look at the kernel and charges its cost. CPU time counts, not the time of the clock: on a busy host
// a look takes long because it waits, and the next repair must not wait twenty times as long again.
func (r *repairs) measure(at func() error) error {
	used := cpuTime()
	err := at()
	r.charge(cpuTime()-used, time.Now())
	return err
}

// charge sets the end of the pause after a look that cost so much CPU time.
func (r *repairs) charge(cost time.Duration, end time.Time) {
	r.notBefore = end.Add(min(idleShare*cost, repairPause))
}

// cpuTime is the CPU time that this process has used (clock_gettime(2), CLOCK_PROCESS_CPUTIME_ID).
func cpuTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil { // every kernel since 2.6.12 has it
		return 0
	}
	return time.Duration(t.Nano())
}

// forget drops repairs that are older than RepairWindow. Once none is left, a fight is over.
func (r *repairs) forget(now time.Time) {
	for len(r.recent) > 0 && now.Sub(r.recent[0]) >= RepairWindow {
		r.recent = r.recent[1:]
	}
	if len(r.recent) == 0 {
		r.fight = false
	}
}

// fighting reports whether another program keeps undoing what is restored, and the log has said so.
func (r *repairs) fighting(now time.Time) bool {
	r.forget(now)
	return r.fight
}

// delay is how long to wait before the next look at the kernel: burst, or longer after an expensive look or in a
// fight.
func (r *repairs) delay(now time.Time) time.Duration {
	r.forget(now)
	wait := max(burst, r.notBefore.Sub(now))
	if n := len(r.recent); n >= RepairsMax {
		wait = max(wait, r.recent[n-1].Add(repairPause).Sub(now))
	}
	return wait
}

// made counts a repair. When a fight begins, it returns the line for the log; otherwise "".
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

// culprit names the process behind a netlink port. The kernel gives a process's first socket its PID as its port
// (netlink(7)); for other sockets the number means nothing, and no process has it.
func culprit(port uint32) (name string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", port))
	if port == 0 || err != nil {
		return "another program", false
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(b)), port), true
}
