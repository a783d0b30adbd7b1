package metadata

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"
)

const (
	// pollTime is how long Google's server waits for a change before it answers with what the client knows.
	pollTime = 60 * time.Second
	// pollSlack is how much later than that the answer may come.
	pollSlack = 10 * time.Second
	// pollPause is the least time between two requests: a server that does not hold them answers at once. What changes
	// meanwhile is told by the next one.
	pollPause = time.Second
)

// patientFor gives a request that waits for a change the time that it asks for, and others what they had.
func patientFor(limit func(*http.Request) time.Duration) func(*http.Request) time.Duration {
	return func(r *http.Request) time.Duration {
		if r.URL.Query().Has("wait_for_change") {
			return pollTime + pollSlack
		}
		return limit(r)
	}
}

// Wait returns nil as soon as the document is another one than a reading, or Wait itself, has seen. It is one request a
// minute while nothing changes, which the server holds (cloud.google.com, "Query metadata", wait_for_change).
func (s *GCE) Wait(ctx context.Context) error {
	for {
		known := s.seen("")
		tag, err := s.poll(ctx, known)
		if err != nil {
			return err
		}
		if before := s.seen(tag); known != "" && tag != before {
			return nil
		}
		select {
		case <-time.After(pollPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// seen is the ETag of the document as it was last seen, and notes another one unless it is empty.
func (s *GCE) seen(tag string) (before string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.etag
	s.etag = cmp.Or(tag, before)
	return before
}

// poll asks for the document once it is another one than the ETag says, and returns that one's.
func (s *GCE) poll(ctx context.Context, known string) (tag string, err error) {
	more := ""
	if known != "" {
		more = "&wait_for_change=true&timeout_sec=" + strconv.Itoa(int(pollTime/time.Second)) + "&last_etag=" + known
	}
	_, tag, _, err = s.askAt(ctx, s.urls[s.active.Load()], more)
	if err == nil && !isTag(tag) {
		err = unusable(keyNICs, errTag)
	}
	return tag, err
}

// isTag knows what Google's ETags are made of, which goes into the next request's query.
func isTag(s string) bool {
	for _, c := range s {
		if !isAlphanumeric(c) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
