package lab

import (
	"context"
	"slices"
	"sync"
	"time"
)

// history is what a server was sent, oldest first. The zero value is ready.
type history[T interface{ at() time.Time }] struct {
	mu      sync.Mutex
	list    []T
	changed bell
}

// maxHistory bounds what is remembered: of more, the older half is forgotten.
const maxHistory = 200_000

func (h *history[T]) add(v T) {
	h.mu.Lock()
	if len(h.list) >= maxHistory {
		h.list = slices.Delete(h.list, 0, maxHistory/2)
	}
	h.list = append(h.list, v)
	h.mu.Unlock()
	h.changed.ring()
}

// since returns what came at a time or after it.
func (h *history[T]) since(t time.Time) (out []T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.list {
		if !v.at().Before(t) {
			out = append(out, v)
		}
	}
	return out
}

// wait returns when cond holds for what came since a time, or with ctx's error.
func (h *history[T]) wait(ctx context.Context, since time.Time, cond func([]T) bool) error {
	return h.changed.wait(ctx, func() bool { return cond(h.since(since)) })
}
