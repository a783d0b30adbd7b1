package state

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is held by the process that manages an interface, and goes with it however it ends (flock(2)). Its file says
// which process that is.
type Lock struct {
	f      *os.File
	signed bool   // the file says text
	text   string // that was written last
}

// HeldError is that another process manages the interface already.
type HeldError struct {
	Name string // of the interface
	PID  int    // -1: it cannot be told
}

func (e *HeldError) Error() string {
	text := fmt.Sprintf("process %d already manages %s", e.PID, e.Name)
	if e.PID < 0 {
		text = "another process already manages " + e.Name
	}
	if stopped := Stopped(e.PID); stopped != "" {
		text += "; " + stopped
	}
	return text
}

// lookTime is longer than Holder, which shares the lock, takes to see whether somebody has it.
const lookTime = time.Millisecond

// Acquire takes the interface's lock for this process. It does not wait: of one that another process has it returns a
// *HeldError. With any other error there may be a lock all the same, without a word of it on the disk, as on a full one.
func (s Store) Acquire(name string) (*Lock, error) {
	if err := s.makeFolder(); err != nil {
		return nil, err
	}
	for {
		f, err := os.OpenFile(s.path(name, lockFile), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock of %s: %w", name, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			free := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil // of a manager: somebody only looks
			pid := lockPID(f)
			f.Close()
			if !free {
				return nil, &HeldError{name, pid}
			}
			time.Sleep(lookTime)
			continue
		}
		l := &Lock{f: f}
		if !l.Valid() { // removed by the last holder while we waited for it
			f.Close()
			continue
		}
		return l, l.Sign("")
	}
}

// Valid reports whether the lock is there, and its file is still the one that others open by its name: it goes with a
// folder that somebody deletes.
func (l *Lock) Valid() bool {
	if l == nil {
		return false
	}
	mine, err := l.f.Stat()
	now, err2 := os.Stat(l.f.Name())
	return err == nil && err2 == nil && os.SameFile(mine, now)
}

// Release gives the interface free, and leaves no file behind, but for one that another process has put there. Nothing
// is done for a nil lock.
func (l *Lock) Release() {
	if l == nil {
		return
	}
	if l.Valid() {
		os.Remove(l.f.Name())
	}
	l.f.Close()
}

// Sign writes into the file who holds the lock: the process's number and, on a second line, why its record could not
// be written; empty: it could. The file is there when the disk is full, and has room for both. Its time is that of the
// first signature: when the process began to manage the interface.
func (l *Lock) Sign(unsaved string) error {
	text := strconv.Itoa(os.Getpid()) + "\n"
	if unsaved != "" {
		text += unsaved + "\n"
	}
	if l.signed && l.text == text {
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
		return fmt.Errorf("lock of the interface: %w", withoutPath(err))
	}
	l.signed, l.text = true, text
	return nil
}

// Unlock removes the lock file of a process that was killed. One that a process holds stays.
func (s Store) Unlock(name string) error {
	l, err := s.Acquire(name)
	if held := (*HeldError)(nil); l != nil || errors.As(err, &held) {
		l.Release()
		return nil
	}
	return err
}

// Holder is who holds an interface's lock, and so manages it.
type Holder struct {
	PID     int    // 0: nobody; -1: somebody whose number is not known
	Unsaved string // why it could not write its record; empty: it could
}

// Holder returns who manages the interface.
func (s Store) Holder(name string) Holder {
	f, err := s.open(name, lockFile)
	if err != nil {
		return Holder{}
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return Holder{}
	}
	return Holder{lockPID(f), unsavedOf(f)}
}

// Managed reports whether a process manages the interface.
func (s Store) Managed(name string) bool { return s.Holder(name).PID != 0 }

// Died reports whether the process that managed the interface did not end by itself: it left its lock's file.
func (s Store) Died(name string) bool {
	_, err := os.Stat(s.path(name, lockFile))
	return err == nil && !s.Managed(name)
}

// Outdated reports whether a file was changed, or put there, after the process began to manage the interface, which is
// when it signed its lock.
func (s Store) Outdated(name, file string) bool {
	var lock, conf unix.Stat_t
	if unix.Stat(s.path(name, lockFile), &lock) != nil || unix.Stat(file, &conf) != nil {
		return false
	}
	return time.Unix(conf.Ctim.Unix()).After(time.Unix(lock.Mtim.Unix()))
}

// maxLock bounds what is read of a lock's file, in bytes.
const maxLock = 800

// lockLines are those that Sign wrote.
func lockLines(f *os.File) (number, unsaved string) {
	b := make([]byte, maxLock)
	n, _ := f.ReadAt(b, 0)
	number, unsaved, _ = strings.Cut(string(b[:n]), "\n")
	return strings.TrimSpace(number), strings.TrimSpace(unsaved)
}

func unsavedOf(f *os.File) string {
	number, unsaved := lockLines(f)
	if number == "" {
		return "its process id could not be written"
	}
	return unsaved
}

// lockPID is the process that has the lock, by what the file says or, where nothing could be written, by the kernel.
func lockPID(f *os.File) int {
	number, _ := lockLines(f)
	if pid, _ := strconv.Atoi(number); pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH) { // else one that was killed wrote it
		return pid
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return -1
	}
	locks, _ := os.ReadFile("/proc/locks")
	return flockOf(string(locks), fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino))
}

// flockOf finds a file's lock among the kernel's (proc_locks(5)); -1: it is not there, or a process's that cannot be
// seen.
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
