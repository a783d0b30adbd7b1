package main

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

// publisher writes the metrics in a goroutine of its own: neither another process that holds their lock, stopped
// perhaps, nor a file system that hangs keeps a card, or the end of a process, waiting.
type publisher struct {
	mu    sync.Mutex
	store store
	file  string        // to be written next; none when empty
	ended chan struct{} // of the goroutine that writes; nil while there is none
	err   error         // of what was written last
}

// publish has a file written, and returns at once. What is asked for while one is being written is written once,
// afterwards: each time the records are read anew.
func (p *publisher) publish(s store, file string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.store, p.file = s, file
	if file == "" {
		p.err = nil
	} else if p.ended == nil {
		p.ended = make(chan struct{})
		go p.write(p.ended)
	}
}

func (p *publisher) write(ended chan struct{}) {
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

// trouble is what was wrong with the file that was written last.
func (p *publisher) trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// finish waits until all that was asked for is written, a moment at most, and returns what is wrong with it.
func (p *publisher) finish() error {
	p.mu.Lock()
	ended, lock := p.ended, p.store.path(metricsLock, "")
	p.mu.Unlock()
	if ended == nil {
		return p.trouble()
	}
	late := time.NewTimer(lastWrite)
	defer late.Stop()
	select {
	case <-ended:
		return p.trouble()
	case <-late.C:
		return fmt.Errorf("not up to date: another process holds %s, or the file system of the metrics does not answer", lock)
	}
}

// metricsLock is a file beside the records. No card's name has a colon.
const metricsLock = ":metrics.lock"

// publish writes the metrics of all cards to a file; nothing when there is none. Each process that keeps a
// card does it when its record has changed: one at a time, so that an older reading never replaces a newer
// one.
func (s store) publish(file string) error {
	if file == "" {
		return nil
	}
	if err := s.folder(); err != nil {
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
	err = replaceFile(file, metricsText(s.all()))
	switch dir := filepath.Dir(file); {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: the unit may not write there; a drop-in with ReadWritePaths=%s lets it", err, dir)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %s has to belong to root, because the unit may not write into another user's folder", err, dir)
	}
	return err
}

// publish is for the agent.
func (a *agent) publish() { a.metrics.publish(a.store, a.config.MetricsFile) }

// close ends what the agent began. What fails with the metrics is said, if it was not.
func (a *agent) close() {
	a.complain(fromMetrics, a.metrics.finish())
	a.link.Close()
}

// forget removes the record of a card of which nothing is left.
func (a *agent) forget() error {
	err := a.store.remove(a.record.Name)
	a.publish()
	return err
}

// publish is for a card that was taken down.
func (p *program) publish() {
	conf, err := p.config()
	if err == nil {
		var w publisher
		w.publish(p.store, conf.MetricsFile)
		err = w.finish()
	}
	if err != nil {
		p.log.Warnf("metrics: %s", oneLine(err))
	}
}
