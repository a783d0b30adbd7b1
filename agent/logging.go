package agent

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"ec2net/plumb"
)

// The log says each thing once. A warning has a source; it is logged when it is new for its source, and again after
// an hour if it came back. What differs each time, such as an age, must not be in its text.

// The sources of warnings, see warnOnce.
const (
	// The sources of warnings, see warnOnce.
	fromKernel = "set-up"
	fromCloud  = "metadata"
	fromDHCP   = "DHCP"
	fromDisk   = "state file"

	fromMetrics = "metrics"
	fromEgress  = "egress"
	fromFile    = "configuration"
	// fromNeighbours is for gateways that are probed.
	fromNeighbours = "neighbours"
	// fromOrphans is for what is left of interfaces that are gone.
	fromOrphans = "leftovers"
)

const (
	// ListedAtMost is how many operations of a plan stand on one line.
	ListedAtMost = 12
	// logAgainAfter is the time after which a warning that came back is logged again.
	logAgainAfter = time.Hour
	// warningsMax is how many warnings are remembered; a text that changes all the time cannot fill the memory.
	warningsMax = 100
	// lineLength is the longest warning, in bytes.
	lineLength = 400
)

// logLimiter remembers which warnings were logged.
type logLimiter struct {
	// now is what is wrong at present, by source; "": nothing.
	now map[string]string
	// loggedAt is when a warning was last logged, by source and text.
	loggedAt map[string]time.Time
}

func newLogLimiter() logLimiter {
	return logLimiter{now: map[string]string{}, loggedAt: map[string]time.Time{}}
}

// isNew notes what is wrong with a source ("": nothing) and reports whether that is worth a log line.
func (s *logLimiter) isNew(source, text string, at time.Time) bool {
	same := s.now[source] == text
	s.now[source] = text
	key := source + text
	if last, told := s.loggedAt[key]; text == "" || same || (told && at.Sub(last) < logAgainAfter) {
		return false
	}
	if len(s.loggedAt) >= warningsMax {
		clear(s.loggedAt)
	}
	s.loggedAt[key] = at
	return true
}

// forget drops all sources with a prefix.
func (s *logLimiter) forget(prefix string) {
	maps.DeleteFunc(s.now, func(source, _ string) bool { return strings.HasPrefix(source, prefix) })
}

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

// OneLine is an error on one line of lineLength bytes at most.
func OneLine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if len(text) > lineLength {
		return strings.ToValidUTF8(text[:lineLength], "") + " …"
	}
	return text
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

// planLine is a plan on one line, with ListedAtMost operations.
func planLine(p plumb.Plan) string {
	var parts []string
	for _, o := range p[:min(len(p), ListedAtMost)] {
		parts = append(parts, o.String())
	}
	if more := len(p) - ListedAtMost; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}
