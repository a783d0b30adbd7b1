package agent

// acquire makes this process the interface's manager, which others see by the lock.
func (a *Agent) acquire(name string) error {
	lock, err := a.store.Acquire(name)
	if lock != nil {
		a.lock.Release()
		a.lock = lock
	}
	return err
}

// signLock does what could not be done before, or takes the lock again: the lock's file goes with a folder that
// somebody deletes, and can not be written on a full disk.
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
