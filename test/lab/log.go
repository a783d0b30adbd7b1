package lab

import (
	"bytes"
	"sync"
)

// Log is what a program on a node prints, to be read while it goes on printing.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write adds to the log. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all that was printed so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
