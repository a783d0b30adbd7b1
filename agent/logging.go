package agent

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"ec2net/plumb"
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
	// fromNeighbours are the gateways that are asked whether they are there.
	fromNeighbours = "neighbours"
	// fromOrphans are records of interfaces that are gone.
	fromOrphans = "leftovers"
)

const (
	ListedAtMost  = 12        // operations on one log line
	logAgainAfter = time.Hour // after which a warning is logged again, should it come and go
	warningsMax   = 100       // remembered
	lineLength    = 400       // bytes of a warning
)

// logLimiter remembers which warnings were logged.
type logLimiter struct {
	now      map[string]string    // by source; empty: all is well
	loggedAt map[string]time.Time // when a text was logged
}

func newLogLimiter() logLimiter {
	return logLimiter{now: map[string]string{}, loggedAt: map[string]time.Time{}}
}

// isNew notes what is wrong with a source, and says whether it is worth a log line.
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

// forget drops what is wrong with sources that are called so and something more.
func (s *logLimiter) forget(prefix string) {
	maps.DeleteFunc(s.now, func(source, _ string) bool { return strings.HasPrefix(source, prefix) })
}

// warnOnce logs what is wrong with a source, when that is new.
func (n *NIC) warnOnce(source string, err error) {
	text := ""
	if err != nil && !errors.Is(err, plumb.ErrNoAddress) && !errors.Is(err, errAmbiguous) {
		text = OneLine(err)
	}
	if n.logLimiter.isNew(source, text, time.Now()) {
		n.log.Warnf("%s: %s", source, text)
	}
}

// warnOnce is the same, but not for each repair of a fight.
func (a *Agent) warnOnce(source string, err error) {
	if !a.muted || !errors.Is(err, plumb.ErrNotConverged) {
		a.NIC.warnOnce(source, err)
	}
}

// logOnce logs what happened, but not again and again.
func (a *Agent) logOnce(text string) {
	a.logLimiter.isNew(text, "", time.Now())
	if a.logLimiter.isNew(text, text, time.Now()) {
		a.log.Info(text)
	}
}

// hasProblems reports whether something of the interface could not be set up.
func (a *Agent) hasProblems() bool {
	for source, text := range a.logLimiter.now {
		if text != "" && (source == fromKernel || source == fromCloud || strings.HasPrefix(source, fromEgress)) {
			return true
		}
	}
	return false
}

// OneLine is an error of any size for a log or a status line.
func OneLine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if len(text) > lineLength {
		return strings.ToValidUTF8(text[:lineLength], "") + " …"
	}
	return text
}

// announce is one log line for one change.
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

// planLine is a plan of any size on one line.
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
