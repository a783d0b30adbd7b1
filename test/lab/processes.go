package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// namespace identifies a namespace.
type namespace struct{ dev, ino uint64 }

func namespaceOf(st unix.Stat_t) namespace { return namespace{uint64(st.Dev), st.Ino} }

// Processes lists the processes, other than this one, that run on the node.
func (n *Node) Processes() ([]int, error) { return processesOn(n) }

func processesOn(nodes ...*Node) ([]int, error) {
	wanted := map[namespace]bool{}
	for _, n := range nodes {
		var st unix.Stat_t
		if err := unix.Fstat(int(n.net.Fd()), &st); err != nil {
			return nil, fmt.Errorf("identify the network of %s: %w", n.Name, err)
		}
		wanted[namespaceOf(st)] = true
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		var st unix.Stat_t
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// One that has ended, or that belongs to somebody else, cannot be looked at and is not ours.
		if unix.Stat(filepath.Join("/proc", e.Name(), "ns/net"), &st) == nil && wanted[namespaceOf(st)] {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killProcesses ends every process on the nodes and returns when none is left. A process may fork while
// it is being looked for, so it looks again, a bounded number of times.
func killProcesses(nodes ...*Node) error {
	for range 20 {
		pids, err := processesOn(nodes...)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := killAndWait(pid); err != nil {
				return fmt.Errorf("end process %d on a host of the lab: %w", pid, err)
			}
		}
	}
	return errors.New("processes on a host of the lab do not end")
}

// killAndWait ends a process and waits for its end, up to five seconds.
func killAndWait(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for {
		got, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case got == 0:
			return errors.New("still there 5 s after SIGKILL")
		default:
			return nil
		}
	}
}
