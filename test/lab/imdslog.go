package lab

import (
	"context"
	"net/http"
	"time"
)

// Requests returns what was asked since a time, oldest first.
func (s *IMDS) Requests(since time.Time) []Request { return s.log.since(since) }

// Stats counts what the metadata server was asked since it was started.
type Stats struct {
	Requests    int            `json:"requests"`
	Tokens      int            `json:"tokens"`      // given out
	Connections int            `json:"connections"` // accepted
	ByPath      map[string]int `json:"by_path"`
	ByMinute    map[string]int `json:"by_minute"` // 2006-01-02T15:04
	ByStatus    map[int]int    `json:"by_status"`
}

// Stats sums up the requests.
func (s *IMDS) Stats() Stats {
	s.mu.Lock()
	conns := s.conns
	s.mu.Unlock()
	out := Stats{Connections: conns, ByPath: map[string]int{}, ByMinute: map[string]int{}, ByStatus: map[int]int{}}
	for _, r := range s.Requests(time.Time{}) {
		out.Requests++
		out.ByPath[r.Path]++
		out.ByMinute[r.Time.UTC().Format("2006-01-02T15:04")]++
		out.ByStatus[r.Status]++
		if r.Method == http.MethodPut && r.Status == http.StatusOK {
			out.Tokens++
		}
	}
	return out
}

// Wait returns when cond holds for the requests since a time, or with ctx's error.
func (s *IMDS) Wait(ctx context.Context, since time.Time, cond func([]Request) bool) error {
	return s.log.wait(ctx, since, cond)
}
