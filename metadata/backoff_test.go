package metadata

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	asked := &Error{Status: 429, RetryAfter: 20 * time.Second, Err: ErrUnavailable}
	for _, tt := range []struct {
		name     string
		attempt  int
		err      error
		min, max time.Duration // with rnd 0 and 1
	}{
		{"nothing wrong", 3, nil, 0, 0},
		{"first failure", 0, ErrUnavailable, 150 * time.Millisecond, 200 * time.Millisecond},
		{"second", 1, ErrUnavailable, 300 * time.Millisecond, 400 * time.Millisecond},
		{"fifth", 4, ErrUnavailable, 2400 * time.Millisecond, 3200 * time.Millisecond},
		{"late", 8, ErrUnavailable, 22500 * time.Millisecond, 30 * time.Second},
		{"very late", math.MaxInt, ErrUnavailable, 22500 * time.Millisecond, 30 * time.Second},
		{"negative", math.MinInt, ErrUnavailable, 150 * time.Millisecond, 200 * time.Millisecond},
		{"unnamed", 0, context.DeadlineExceeded, 150 * time.Millisecond, 200 * time.Millisecond},
		{"not ready", 30, fmt.Errorf("read: %w", notReady("k", "w")), 750 * time.Millisecond, 1000 * time.Millisecond},
		{"unknown MAC", 30, ErrUnknownMAC, 750 * time.Millisecond, 1000 * time.Millisecond},
		{"switched off", 0, ErrDisabled, 22500 * time.Millisecond, 30 * time.Second},
		{"too many requests", 0, fmt.Errorf("read: %w", &Error{Status: 429, Err: ErrUnavailable}), 375 * time.Millisecond, 500 * time.Millisecond},
		{"still too many", 1, &Error{Status: 429, Err: ErrUnavailable}, 750 * time.Millisecond, time.Second},
		{"asked to wait", 0, fmt.Errorf("read: %w", asked), 20 * time.Second, 22 * time.Second},
		{"asked by one of several", 0, errors.Join(errPage, &Error{Err: ErrUnavailable}, asked), 20 * time.Second, 22 * time.Second},
		{"asked too much", 0, &Error{RetryAfter: time.Hour, Err: ErrUnavailable}, 5 * time.Minute, 330 * time.Second},
	} {
		if lo, hi := Backoff(tt.attempt, tt.err, 0), Backoff(tt.attempt, tt.err, 1); lo != tt.min || hi != tt.max {
			t.Errorf("%s: %s to %s, want %s to %s", tt.name, lo, hi, tt.min, tt.max)
		}
		for _, wild := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -3, 7} {
			if d := Backoff(tt.attempt, tt.err, wild); d < tt.min || d > tt.max {
				t.Errorf("%s with %v: %s", tt.name, wild, d)
			}
		}
	}
}
