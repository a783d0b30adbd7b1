package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// largestRecord bounds what is read of a record, in bytes; a real one, of an interface with 1000 addresses, is 60 KiB.
const largestRecord = 1 << 20

// makeFolder makes the folder. Nobody but root may look into it or put something there.
func (s Store) makeFolder() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := s.checkOwner(); err != nil {
		return err
	}
	info, err := os.Stat(s.dir)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = os.Chmod(s.dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	return nil
}

// checkOwner rejects a state directory not owned by root: its content would be trusted. One that is not there is fine.
func (s Store) checkOwner() error {
	info, err := os.Lstat(s.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("state folder: %w", err)
	case !info.IsDir():
		return fmt.Errorf("state folder %s: not a folder, but %s: refused", s.dir, info.Mode().Type())
	}
	if owner := ownerOf(info); owner != 0 && owner != os.Geteuid() {
		return fmt.Errorf("state folder %s: it belongs to user %d, not to root: refused", s.dir, owner)
	}
	return nil
}

func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return 0
}

// open opens a file of the folder, and nothing that stands in its place: no symbolic link, no pipe that
// would make us wait, nothing of another user's.
func (s Store) open(name, suffix string) (*os.File, error) {
	f, err := os.OpenFile(s.path(name, suffix), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || (ownerOf(info) != 0 && ownerOf(info) != os.Geteuid())) {
		err = fmt.Errorf("%s: not a file of ec2net's", f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s Store) read(name, suffix string) ([]byte, error) {
	f, err := s.open(name, suffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, largestRecord))
}

// Full reports whether there is no room for another record, in the folder or where it would be.
func (s Store) Full() bool {
	var room unix.Statfs_t
	for dir := s.dir; unix.Statfs(dir, &room) != nil; dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return false
		}
	}
	return (room.Blocks > 0 && room.Bavail == 0) || (room.Files > 0 && room.Ffree == 0)
}

// NoSpace reports whether an error is that the disk is full.
func NoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Readable reports whether this user may look into the folder, or there is none.
func (s Store) Readable() bool {
	_, err := os.ReadDir(s.dir)
	return !errors.Is(err, fs.ErrPermission)
}
