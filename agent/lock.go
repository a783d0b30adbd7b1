package agent

// The lock of an interface (state.Lock, a flock(2) on NAME.lock) says which process manages it. Only run takes it.
// The kernel releases it with the process, however that ends.

// acquire makes this process the manager of the interface of that name. The old lock, of an earlier name, is released
// only when the new one is held. An error that comes with a lock, as on a full disk, means that the lock holds but
// its file could not be written.
func (a *Agent) acquire(name string) error {
	lock, err := a.store.Acquire(name)
	if lock != nil {
		a.lock.Release()
		a.lock = lock
	}
	return err
}

// signLock writes into the lock's file why the record could not be written, if so. It takes the lock again if
// somebody has deleted the folder along with the file.
func (a *Agent) signLock() error {
	switch {
	case !a.daemon:
		return nil
	case !a.lock.Valid():
		return a.acquire(a.record.Name)
	case a.saveErr == nil:
		return a.lock.Sign("")
	}
	return a.lock.Sign(OneLine(a.saveErr))
}

// renamed moves the record and the lock to the interface's new name. The new lock is taken at once, so that no other
// process starts to manage the interface; the old record is removed only after the new one is on disk (writeRecord).
func (a *Agent) renamed(to string) {
	from := a.record.Name
	a.log = a.log.WithField("interface", to)
	a.log.Infof("renamed from %s to %s", from, to)
	a.record.Name, a.dirty = to, true
	a.oldNames = append(a.oldNames, from)
	if a.daemon {
		a.warnOnce(fromDisk, a.acquire(to))
	}
}
