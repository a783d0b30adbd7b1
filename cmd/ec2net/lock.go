package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// own makes this process the card's keeper, which others see by the lock.
func (a *agent) own(name string) error {
	lock, held, err := a.store.lock(name)
	switch {
	case lock != nil:
		a.lock.close()
		a.lock = lock
	case err == nil:
		err = fail(exitFailed, "process %d keeps %s already", held, name)
	}
	return err
}

// owned makes good what could not be done before, or was undone: the lock's file goes with a folder that
// somebody deletes, and can not be written on a full disk.
func (a *agent) owned() error {
	switch {
	case !a.stays:
		return nil
	case a.lock == nil || !current(a.lock.f):
		return a.own(a.record.Name)
	}
	return a.lock.sign()
}

// sign writes the process's number into the file.
func (l *cardLock) sign() error {
	if l.signed {
		return nil
	}
	if err := errors.Join(l.f.Truncate(0), writePID(l.f)); err != nil {
		return fmt.Errorf("lock of the card: %w", nameless(err))
	}
	l.signed = true
	return nil
}

// noRoom: the disk is full.
func noRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
