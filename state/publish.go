package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lastWrite is how long a process that ends waits for the metrics that it has asked for. Writing takes
// milliseconds; a machine may be so busy that it takes a second.
const lastWrite = 5 * time.Second

// Publisher writes the metrics in a goroutine of its own: neither another process that holds their lock, stopped
// perhaps, nor a file system that hangs keeps an interface, or the end of a process, waiting. Its zero value is ready.
type Publisher struct {
	mu    sync.Mutex
	store Store
	file  string        // to be written next; none when empty
	ended chan struct{} // of the goroutine that writes; nil while there is none
	err   error         // of what was written last
}

// Publish has a file written with the metrics of all records, and returns at once; an empty name is none. What is asked
// for while one is being written is written once, afterwards: each time the records are read anew.
func (p *Publisher) Publish(s Store, file string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.store, p.file = s, file
	if file == "" {
		p.err = nil
	} else if p.ended == nil {
		p.ended = make(chan struct{})
		ended := p.ended
		go Unsignalled(func() { p.write(ended) })
	}
}

func (p *Publisher) write(ended chan struct{}) {
	defer close(ended)
	for {
		p.mu.Lock()
		s, file := p.store, p.file
		if p.file = ""; file == "" {
			p.ended = nil
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		err := s.publish(file)
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}
}

// Err is what was wrong with the file that was written last.
func (p *Publisher) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Finish waits until all that was asked for is written, some seconds at most, and returns what is wrong with it.
func (p *Publisher) Finish() error {
	p.mu.Lock()
	ended, lock := p.ended, p.store.path(metricsLock, "")
	p.mu.Unlock()
	if ended == nil {
		return p.Err()
	}
	late := time.NewTimer(lastWrite)
	defer late.Stop()
	select {
	case <-ended:
		return p.Err()
	case <-late.C:
		return fmt.Errorf("not up to date: another process holds %s, or the file system of the metrics does not answer", lock)
	}
}

// metricsLock is a file beside the records. No interface's name has a colon.
const metricsLock = ":metrics.lock"

// publish writes the metrics of all interfaces to a file; nothing when there is none. Each process that manages an
// interface does it when its record has changed: one at a time, so that an older reading never replaces a newer one.
func (s Store) publish(file string) error {
	if file == "" {
		return nil
	}
	if err := s.makeFolder(); err != nil {
		return err
	}
	turn, err := os.OpenFile(s.path(metricsLock, ""), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return fmt.Errorf("lock of the metrics: %w", err)
	}
	defer turn.Close()
	if err := unix.Flock(int(turn.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock of the metrics: %w", err)
	}
	err = replaceMetrics(file, metricsText(s.All()))
	switch dir := filepath.Dir(file); {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: the unit may not write there; a drop-in with ReadWritePaths=%s allows it", err, dir)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %s has to belong to root, because the unit may not write into another user's folder", err, dir)
	}
	return err
}
