package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"ec2net/state"
)

// What systemd is told by sd_notify(3): STATUS, READY, the watchdog's sign of life, and a longer start while the
// cloud is late. Outside of a unit nobody listens, and nothing happens.

// notify remembers what systemd was told last, so that it is told only what is new.
type notify struct {
	ready bool
	last  string
	// beat is the last sign of life for the watchdog.
	beat time.Time
	// asked is when a longer start was last asked for.
	asked time.Time
}

// extension is EXTEND_TIMEOUT_USEC, asked for while the interface is waiting. The next request has to arrive before
// the last one runs out, so it is asked for every tenth of that.
const extension = 30 * time.Second

// startTime is how long systemd waits at most until an interface is set up; it is what systemd itself gives a unit for its
// start (DefaultTimeoutStartSec of systemd-system.conf(5)).
const startTime = 90 * time.Second

// started reports whether systemd is told READY after that much waiting. An interface that has nothing yet, because the
// metadata does not list it or says nothing, and it may be the primary, may have nothing for as long as the host runs. A
// start job that waited for it would keep the system "starting", with everything that is ordered after it. STATUS
// goes on saying what the process waits for.
func started(phase state.Phase, closed bool, waited time.Duration) bool {
	return phase.Started() || waited >= startTime || (closed && waited >= Silence)
}

// tell sends STATUS if it has changed, READY=1 once set is true, and the watchdog's sign of life when it is due.
func (n *notify) tell(state string, set bool) {
	msg := ""
	if state != n.last {
		msg = "STATUS=" + state + "\n"
	}
	if set && !n.ready {
		msg += "READY=1\n"
	}
	if !n.ready && time.Since(n.asked) > extension/10 {
		n.asked = time.Now()
		msg += fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\n", extension.Microseconds())
	}
	if every := watchdogInterval(); time.Since(n.beat) >= every/2 { // on each tick, see adjustTick
		msg, n.beat = msg+"WATCHDOG=1\n", time.Now()
	}
	if msg == "" || TellSystemd(msg) {
		n.last, n.ready = state, n.ready || set
	}
}

// notifyTime is how long systemd may take to have room for one more message. While it reads none, for want of time or
// for ever, an interface goes without it.
const notifyTime = 100 * time.Millisecond

// TellSystemd is sd_notify(3), but for that it does not wait for long. It reports whether nobody is left to be told.
func TellSystemd(text string) bool {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return true // not under systemd
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return true
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(notifyTime))
	_, err = c.Write([]byte(text))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// watchdogInterval is half of the unit's WatchdogSec, or an hour if there is none (sd_watchdog_enabled(3)).
func watchdogInterval() time.Duration {
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		return every / 2
	}
	return time.Hour
}
