package state

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Manager is the process that manages an interface, the agent process. It is held by a pidfd, so that its number cannot
// come to mean another process. Close it.
type Manager struct {
	PID int
	fd  int
}

// Manager returns the process that manages the interface, or nil when none does.
func (s Store) Manager(name string) (*Manager, error) {
	pid := s.Holder(name).PID
	if pid <= 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("process %d, which manages %s: %w", pid, name, err)
	}
	if s.Holder(name).PID != pid { // it ended, and the number may be somebody else's now
		unix.Close(fd)
		return nil, nil
	}
	return &Manager{pid, fd}, nil
}

// Close lets go of the process, which goes on.
func (m *Manager) Close() { unix.Close(m.fd) }

// Signal sends a signal. A process that has ended needs none.
func (m *Manager) Signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(m.fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", m.PID, err)
	}
	return nil
}

// Wait waits until the process itself has ended, or ctx has: a pidfd is readable then.
func (m *Manager) Wait(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(m.fd), Events: unix.POLLIN}}, 200)
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end: %w", m.PID, ctx.Err())
}

// Dismiss asks the process that manages the interface to stop, and waits until it has. It says whether there was one.
func (s Store) Dismiss(ctx context.Context, name string) (managed bool, err error) {
	m, err := s.Manager(name)
	if m == nil || err != nil {
		return false, err
	}
	defer m.Close()
	if err := m.Signal(unix.SIGTERM); err != nil {
		return true, err
	}
	return true, m.Wait(ctx)
}
