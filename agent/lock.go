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

// signed makes good what could not be done before, or was undone: the lock's file goes with a folder that
// somebody deletes, and can not be written on a full disk.
func (a *Agent) signed() error {
	switch {
	case !a.stays:
		return nil
	case !a.lock.Valid():
		return a.acquire(a.record.Name)
	case a.unsavedWhy == nil:
		return a.lock.Sign("")
	}
	return a.lock.Sign(OneLine(a.unsavedWhy))
}
