package lab

import (
	"context"
	"sync"
)

// bell wakes everybody who waits for something to have changed. The zero value is ready.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// ring wakes all who wait.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// next is closed by the next ring.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

// wait returns when cond holds, looking again at every ring, or with ctx's error.
func (b *bell) wait(ctx context.Context, cond func() bool) error {
	for {
		ch := b.next()
		if cond() {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
