package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

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

// deathTime is how long the end of a process that was killed may take. Only one that waits for a disk, or for a file
// system that does not answer, needs more than a moment, and it may need for ever.
const deathTime = 5 * time.Second

// Dismissal is how a process came to manage an interface no longer.
type Dismissal struct {
	PID    int  // 0: there was none
	Killed bool // it did not end by itself
}

// Dismiss has the process that manages the interface end. It asks it to, and continues one that is stopped, as systemd
// does. What has not ended after patience is killed: the next process makes good whatever that has left half done. A
// process that the kernel can not end counts as ended once it has given the interface free, which is the last it does
// before it waits for its metrics.
func (s Store) Dismiss(ctx context.Context, name string, patience time.Duration) (Dismissal, error) {
	m, err := s.Manager(name)
	if m == nil || err != nil {
		return Dismissal{}, err
	}
	defer m.Close()
	out := Dismissal{PID: m.PID}
	if err := errors.Join(m.Signal(unix.SIGTERM), m.Signal(unix.SIGCONT)); err != nil {
		return out, err
	}
	err = m.waitFor(ctx, patience)
	if err == nil || ctx.Err() != nil || s.Holder(name).PID != m.PID {
		return out, ctx.Err()
	}
	out.Killed = true
	if err := m.Signal(unix.SIGKILL); err != nil {
		return out, err
	}
	if err := m.waitFor(ctx, deathTime); err != nil && s.Holder(name).PID == m.PID {
		return out, fmt.Errorf("process %d, which manages %s, does not end, although it was killed: it waits for a disk or a file system that does not answer", m.PID, name)
	}
	return out, nil
}

// waitFor is Wait with a limit.
func (m *Manager) waitFor(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return m.Wait(ctx)
}

// Stopped says that a signal or a debugger has stopped a process, and what continues it; empty: it runs
// (proc_pid_stat(5)).
func Stopped(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	after := b[bytes.LastIndexByte(b, ')')+1:] // the name before may have brackets itself
	if f := bytes.Fields(after); len(f) == 0 || (f[0][0] != 'T' && f[0][0] != 't') {
		return ""
	}
	return fmt.Sprintf("process %d is stopped, and does nothing until it is continued: kill -CONT %d", pid, pid)
}
