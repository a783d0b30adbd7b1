package lab

import (
	"slices"
	"time"
)

// limiter counts requests: a cloud answers only so many in any second.
type limiter struct {
	perSecond int         // 0 for any number
	recent    []time.Time // of those answered in the last second
}

// Limit sets how many requests a second are answered; the others get 429. 0 is without limit, which is how most
// clouds' service begins; Azure's begins with 5.
func (s *IMDS) Limit(perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.perSecond = perSecond
}

// throttled counts a request. Those that are refused do not count.
func (l *limiter) throttled(now time.Time) bool {
	if l.perSecond == 0 {
		return false
	}
	l.recent = slices.DeleteFunc(l.recent, func(t time.Time) bool { return now.Sub(t) >= time.Second })
	if len(l.recent) >= l.perSecond {
		return true
	}
	l.recent = append(l.recent, now)
	return false
}
