package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

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
	return a.lock.sign(a.unsavedWhy)
}

// sign writes into the file whose it is: the process's number and, on a second line, why its record could not be
// written. The file is there when the disk is full, and has room for both. Its time is that of the first
// signature: when the process began to keep the card.
func (l *cardLock) sign(unsaved error) error {
	text := strconv.Itoa(os.Getpid()) + "\n"
	if unsaved != nil {
		text += oneLine(unsaved) + "\n"
	}
	if l.signed && l.said == text {
		return nil
	}
	began, err := l.f.Stat()
	if err == nil {
		_, err = l.f.WriteAt([]byte(text), 0)
	}
	if err == nil {
		err = l.f.Truncate(int64(len(text)))
	}
	if err == nil && l.signed {
		err = os.Chtimes(l.f.Name(), time.Time{}, began.ModTime())
	}
	if err != nil {
		return fmt.Errorf("lock of the card: %w", nameless(err))
	}
	l.signed, l.said = true, text
	return nil
}

// lockLines are those that sign wrote.
func lockLines(f *os.File) (number, unsaved string) {
	b := make([]byte, 2*lineLength)
	n, _ := f.ReadAt(b, 0)
	number, unsaved, _ = strings.Cut(string(b[:n]), "\n")
	return strings.TrimSpace(number), strings.TrimSpace(unsaved)
}

func unsavedOf(f *os.File) string {
	number, unsaved := lockLines(f)
	if number == "" {
		return "not even its number could be written"
	}
	return unsaved
}

// lockPID is the process that has the lock, by what the file says or, where nothing could be written, by the kernel.
func lockPID(f *os.File) int {
	number, _ := lockLines(f)
	if pid, _ := strconv.Atoi(number); pid > 0 {
		return pid
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return -1
	}
	locks, _ := os.ReadFile("/proc/locks")
	return flockOf(string(locks), fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino))
}

// flockOf finds a file's lock among the kernel's (proc_locks(5)); -1: it is not there, or a process's that cannot be seen.
func flockOf(locks, file string) int {
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" || f[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return -1
}

// noRoom: the disk is full.
func noRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
