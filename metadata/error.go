package metadata

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// longestWait bounds what a Retry-After header can ask of us.
const longestWait = 5 * time.Minute

// Error is one question to the metadata that got no usable answer. It unwraps to one of the
// package's sentinels, and where one is known to the network error beneath it. No text that a
// server sent is part of it, except for a refused value, which is cut and quoted; the token never is.
type Error struct {
	Key        string        // path below latest/meta-data/, or "api/token"; on Azure below metadata/
	Status     int           // HTTP status; 0 when no answer came
	RetryAfter time.Duration // what the server asked to wait, at most 5 minutes; 0 when it did not ask
	Err        error
}

func (e *Error) Error() string {
	if e.Status == 0 || e.Status == http.StatusOK {
		return fmt.Sprintf("ask metadata for %s: %v", e.Key, e.Err)
	}
	return fmt.Sprintf("ask metadata for %s: %v (status %d)", e.Key, e.Err, e.Status)
}

// Unwrap gives errors.Is the sentinel.
func (e *Error) Unwrap() error { return e.Err }

// Refused reports whether err is about a value that came and is not believed. Asking again at once is in vain.
func Refused(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Status == http.StatusOK
}

// unusable is an answer that came and says nothing.
func unusable(key string, why error) *Error {
	return &Error{Key: key, Status: http.StatusOK, Err: fmt.Errorf("%w: %w", ErrUnavailable, why)}
}

// notReady is an answer that shows an interface which the cloud has not finished publishing.
func notReady(key, why string) *Error {
	return &Error{Key: key, Err: fmt.Errorf("%w: %s", ErrNotReady, why)}
}

// retryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110 section 10.2.3).
// Anything else, and the past, is 0.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if n, err := strconv.ParseUint(header, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(n, uint64(longestWait/time.Second))) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestWait)
}

// noRoute says that an address could not be reached at all, so that the other family may be tried.
// A dial that timed out counts: a neighbour that does not answer ARP shows as EHOSTUNREACH only
// after 3 seconds, which is longer than a dial may take.
func noRoute(err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return false
	}
	return op.Timeout() || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH)
}
