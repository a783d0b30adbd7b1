package agent

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"ec2net/plumb"
)

// The sources of complaints.
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
	ListedAtMost = 12        // operations on one log line
	sayAgain     = time.Hour // after which a complaint is made again, should it come and go
	complaints   = 100       // remembered
	lineLength   = 400       // bytes of a complaint
)

// said is the memory of what was complained about.
type said struct {
	now  map[string]string    // by source; empty: all is well
	told map[string]time.Time // when a text was logged
}

func newSaid() said { return said{now: map[string]string{}, told: map[string]time.Time{}} }

// news notes what is wrong with a source, and says whether it is worth a log line.
func (s *said) news(source, text string, at time.Time) bool {
	same := s.now[source] == text
	s.now[source] = text
	key := source + text
	if last, told := s.told[key]; text == "" || same || (told && at.Sub(last) < sayAgain) {
		return false
	}
	if len(s.told) >= complaints {
		clear(s.told)
	}
	s.told[key] = at
	return true
}

// forget drops what is wrong with sources that are called so and something more.
func (s *said) forget(prefix string) {
	maps.DeleteFunc(s.now, func(source, _ string) bool { return strings.HasPrefix(source, prefix) })
}

// complain logs what is wrong with a source, when that is new.
func (n *NIC) complain(source string, err error) {
	text := ""
	if err != nil && !errors.Is(err, plumb.ErrNoAddress) && !errors.Is(err, errUnclear) {
		text = OneLine(err)
	}
	if n.said.news(source, text, time.Now()) {
		n.log.Warnf("%s: %s", source, text)
	}
}

// complain is the same, but not for each repair of a fight.
func (a *Agent) complain(source string, err error) {
	if !a.mending || !errors.Is(err, plumb.ErrNotConverged) {
		a.NIC.complain(source, err)
	}
}

// note logs what happened, but not again and again.
func (a *Agent) note(text string) {
	a.said.news(text, "", time.Now())
	if a.said.news(text, text, time.Now()) {
		a.log.Info(text)
	}
}

// troubled: something of the interface could not be set up.
func (a *Agent) troubled() bool {
	for source, text := range a.said.now {
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
	if len(done) == 0 || a.mending {
		return
	}
	if !a.stays {
		for _, o := range done {
			a.log.Info(o)
		}
		return
	}
	a.log.Info(inLine(done))
}

// inLine is a plan of any size on one line.
func inLine(p plumb.Plan) string {
	var parts []string
	for _, o := range p[:min(len(p), ListedAtMost)] {
		parts = append(parts, o.String())
	}
	if more := len(p) - ListedAtMost; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}
