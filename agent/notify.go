package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
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
		msg = "STATUS=" + state + "\n"
	}
	if set && !n.ready {
		msg += "READY=1\n"
	}
	if !n.ready && time.Since(n.asked) > extension/10 {
		n.asked = time.Now()
		msg += fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\n", extension.Microseconds())
	}
	if every := watchdogInterval(); time.Since(n.beat) >= every/2 { // each tick, see pace
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

// watchdogInterval is half of what systemd allows between two signs of life, or a long time.
func watchdogInterval() time.Duration {
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		return every / 2
	}
	return time.Hour
}
