package metadata

import (
	"errors"
	"math"
	"net/http"
	"time"
)

// The waits that Backoff deals in.
const (
	soon      = time.Second            // an interface that the cloud is still publishing
	firstWait = 200 * time.Millisecond // after the first failure; it doubles from there
	tooOften  = 500 * time.Millisecond // after a 429: the limit is per second
	lastWait  = 30 * time.Second       // as often as a healthy interface is read again
)

// Backoff says how long to wait before asking again, after err was the answer for the attempt'th
// time in a row (from 0). rnd, from 0 to 1, spreads what many instances would do at the same moment:
// by up to a quarter less, or after a Retry-After, which is never undercut, by up to a tenth more.
// An interface that is unknown or not ready is asked for about once a second, an unavailable service after
// 0.2 s growing to 30 s, one that was asked too often after 0.5 s growing to 30 s, and one that is switched
// off, or that this host forbids to ask, every 30 s, in case that ends.
func Backoff(attempt int, err error, rnd float64) time.Duration {
	rnd = unit(rnd)
	if asked := askedToWait(err); asked > 0 {
		return asked + time.Duration(float64(asked)*rnd/10)
	}
	return time.Duration(float64(wait(attempt, err)) * (0.75 + rnd/4))
}

// Closed reports whether the metadata stays out of reach until a person changes something: it is switched off for this
// instance, or this host forbids requests to it.
func Closed(err error) bool { return errors.Is(err, ErrDisabled) || errors.Is(err, ErrProhibited) }

func wait(attempt int, err error) time.Duration {
	switch {
	case err == nil:
		return 0
	case Closed(err):
		return lastWait
	case errors.Is(err, ErrNotReady), errors.Is(err, ErrUnknownMAC):
		return soon
	}
	doublings := min(max(attempt, 0), 10) // 0.2 s × 2¹⁰ is far beyond the last wait
	if Throttled(err) {
		return min(tooOften<<doublings, lastWait)
	}
	return min(firstWait<<doublings, lastWait)
}

// Throttled says that the service was asked too often, perhaps by others: Azure answers five requests a
// second to a whole machine.
func Throttled(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusTooManyRequests
}

// askedToWait is the longest Retry-After in err, which may be several errors joined.
func askedToWait(err error) time.Duration {
	var longest time.Duration
	if e, ok := err.(*Error); ok { //nolint:errorlint // the tree is walked here
		longest = e.RetryAfter
	}
	switch e := err.(type) { //nolint:errorlint // the tree is walked here
	case interface{ Unwrap() error }:
		longest = max(longest, askedToWait(e.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			longest = max(longest, askedToWait(one))
		}
	}
	return min(longest, longestWait)
}

// unit makes anything a number from 0 to 1.
func unit(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, 0), 1)
}
