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
