package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Where the log and the results go. Whoever reads them (a pager, a full pipe, a journal that hangs) must not stop
// ec2net: commands end with a signal even while nobody reads, and run never waits at all.

const (
	// backlog is how many pieces of output wait for who reads them. Each is a line of the log.
	backlog = 1000
	// lastWords is how long the end of the program waits for its output to be read.
	lastWords = time.Second
)

// output is a file that somebody else reads, as the journal or a pager, and may have stopped reading. A signal ends the
// wait for him; a process that manages an interface does not wait at all, see detach.
type output struct {
	file *os.File
	ctx  context.Context // ends with a signal

	mu    sync.Mutex
	queue chan func()   // nil until detach
	ended chan struct{} // closed once all of queue is done
	lost  int           // pieces that there was no room for
}

// newOutput wraps a file; writing to it waits for its reader until ctx ends.
func newOutput(ctx context.Context, f *os.File) *output { return &output{file: f, ctx: ctx} }

// fileOf is the file that is written to; nil: it is none, as in tests.
func fileOf(w any) *os.File {
	if o, ok := w.(*output); ok {
		return o.file
	}
	f, _ := w.(*os.File)
	return f
}

// Write implements io.Writer. What is detached is written later, or not at all; its errors nobody hears of.
func (o *output) Write(b []byte) (n int, err error) {
	var failed error // not of this function: the write may end after it
	piece := bytes.Clone(b)
	wrote := make(chan struct{})
	if !o.do(func() {
		defer close(wrote)
		_, failed = o.file.Write(piece)
	}) {
		return len(b), nil
	}
	select {
	case <-wrote:
		return len(b), failed
	default:
		return 0, fmt.Errorf("write to %s: nobody reads it: %w", o.file.Name(), o.ctx.Err())
	}
}

// do writes something, and reports whether it has waited for that: until it was written, or the program is to end.
func (o *output) do(write func()) bool {
	if o.later(write) {
		return false
	}
	wrote := make(chan struct{})
	go func() { defer close(wrote); write() }()
	select {
	case <-wrote:
		return true
	case <-o.ctx.Done():
	}
	select {
	case <-wrote:
	case <-time.After(lastWords):
	}
	return true
}

// later puts something to be written into the queue, if there is one. What finds no room is counted.
func (o *output) later(write func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		return false
	}
	if o.lost > 0 {
		text := fmt.Sprintf("%d lines of the log were lost, because nobody read them\n", o.lost)
		if !o.put(func() { _, _ = o.file.WriteString(text) }) {
			o.lost++
			return true
		}
		o.lost = 0
	}
	if !o.put(write) {
		o.lost++
	}
	return true
}

// put queues a piece if there is room, and reports whether there was.
func (o *output) put(write func()) bool {
	select {
	case o.queue <- write:
		return true
	default:
		return false
	}
}

// detach has everything written by a goroutine from now on, for which nobody waits: an interface needs its repairs and
// its lease more than the journal its log.
func (o *output) detach() {
	o.mu.Lock()
	defer o.mu.Unlock()
	queue, ended := make(chan func(), backlog), make(chan struct{})
	o.queue, o.ended = queue, ended
	go func() {
		defer close(ended)
		for write := range queue {
			write()
		}
	}()
}

// finish waits a moment for what was not written yet.
func (o *output) finish() {
	o.mu.Lock()
	queue := o.queue
	o.queue = nil
	o.mu.Unlock()
	if queue == nil {
		return
	}
	close(queue)
	select {
	case <-o.ended:
	case <-time.After(lastWords):
	}
}
