package agent

import (
	"maps"
	"strings"
	"time"
)

// What the log has said already. It says each thing once: a warning has a source; it is logged when it is new for its
// source, and again after an hour if it came back. What differs each time, such as an age, must not be in its text.

const (
	// logAgainAfter is the time after which a warning that came back is logged again.
	logAgainAfter = time.Hour
	// warningsMax is how many warnings are remembered; a text that changes all the time cannot fill the memory.
	warningsMax = 100
)

// The sources of warnings, see warnOnce.
const (
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
