package state

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Unsignalled runs f on a thread that takes no SIGHUP, SIGINT and SIGTERM, so that the kernel gives those to another one.
// A file system that does not answer (NFS, FUSE) holds a thread where a kill ends it, but where it runs no handler. The
// kernel prefers a process's first thread for a signal, and no other thread hears of that one: if f were held there, the
// program would never learn that it is to end.
func Unsignalled(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var blocked, before unix.Sigset_t
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM} {
		blocked.Val[0] |= 1 << (uint(s) - 1)
	}
	if unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before) == nil {
		defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	}
	f()
}
