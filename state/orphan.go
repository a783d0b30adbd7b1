package state

import (
	"os"

	"golang.org/x/sys/unix"
)

// Orphaned reports whether nobody else will clear up after a recorded interface: it is gone from this network
// namespace, and the process that managed it is dead.
func (s Store) Orphaned(r Record) bool { return !r.Present() && !s.Managed(r.Name) }

// Adopt takes an orphaned interface's lock for as long as it is cleared up after; nil: there is nothing to clear up, or
// somebody else does it. The lock is a shared one: a process that is just starting to manage an interface of the same
// name waits for it, as for anybody's look at the lock; one that has the lock already clears up by itself.
func (s Store) Adopt(r Record) (*Lock, error) {
	f, err := os.OpenFile(s.path(r.Name, lockFile), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		return nil, f.Close()
	}
	l := &Lock{f: f}
	if now, known := s.Load(r.Name); !known || now.MAC != r.MAC || now.Index != r.Index {
		l.Release()
		return nil, nil
	}
	return l, nil
}
