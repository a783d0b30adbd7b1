package agent

import (
	"errors"
	"strings"
	"time"

	"ec2net/plumb"
)

// What an interface says in the log, each thing once: see limiter.go.

// warnOnce logs what is wrong with a source if it is new; nil ends the trouble. An interface that has no address yet,
// or whose role is ambiguous, is normal at the start and shown by STATUS instead.
func (n *NIC) warnOnce(source string, err error) {
	text := ""
	if err != nil && !errors.Is(err, plumb.ErrNoAddress) && !errors.Is(err, errAmbiguous) {
		text = OneLine(err)
	}
	if n.logLimiter.isNew(source, text, time.Now()) {
		n.log.Warnf("%s: %s", source, text)
	}
}

// warnOnce is NIC.warnOnce, but silent during a fight, in which no reconciliation converges.
func (a *Agent) warnOnce(source string, err error) {
	if !a.muted || !errors.Is(err, plumb.ErrNotConverged) {
		a.NIC.warnOnce(source, err)
	}
}

// logOnce logs an event, but not again within logAgainAfter: traffic may flap between two interfaces.
func (a *Agent) logOnce(text string) {
	a.logLimiter.isNew(text, "", time.Now())
	if a.logLimiter.isNew(text, text, time.Now()) {
		a.log.Info(text)
	}
}

// hasProblems reports whether something that is granted could not be set up, according to the warnings in force.
func (a *Agent) hasProblems() bool {
	for source, text := range a.logLimiter.now {
		if text != "" && (source == fromKernel || source == fromCloud || strings.HasPrefix(source, fromEgress)) {
			return true
		}
	}
	return false
}

// announce logs a change: in one line for a daemon, in one line for each operation for `up`, like the output of plan.
func (a *Agent) announce(done plumb.Plan) {
	if len(done) == 0 || a.muted {
		return
	}
	if !a.daemon {
		for _, o := range done {
			a.log.Info(o)
		}
		return
	}
	a.log.Info(planLine(done))
}
