package agent

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify is the unit's side of the agent: systemd hears only what is new.
type notify struct {
	ready bool
	last  string
	beat  time.Time // last sign of life for the watchdog
	asked time.Time // for a longer start
}

// extension is asked for while the interface is waiting; it has to reach systemd before the last one ends.
const extension = 30 * time.Second

// tell passes the state on: STATUS when it changed, READY once, a longer start while waiting, and
// the watchdog's sign of life.
func (n *notify) tell(state string, set bool) {
	msg := ""
	if state != n.last {
		msg, n.last = "STATUS="+state+"\n", state
	}
	if set && !n.ready {
		msg, n.ready = msg+"READY=1\n", true
	}
	if !n.ready && time.Since(n.asked) > extension/10 {
		n.asked = time.Now()
		msg += fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\n", extension.Microseconds())
	}
	if every := watchdogInterval(); time.Since(n.beat) >= every/2 { // each tick, see pace
		msg, n.beat = msg+"WATCHDOG=1\n", time.Now()
	}
	if msg != "" {
		// Not under systemd there is nobody to tell.
		_, _ = daemon.SdNotify(false, msg)
	}
}

// watchdogInterval is half of what systemd allows between two signs of life, or a long time.
func watchdogInterval() time.Duration {
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		return every / 2
	}
	return time.Hour
}
