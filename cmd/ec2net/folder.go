package main

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

// largestRecord bounds what is read of a record; a real one, of a card with 1000 addresses, is 60 KiB.
const largestRecord = 1 << 20

// folder makes the state folder. Nobody else may look into it or put something there.
func (s store) folder() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := s.ours(); err != nil {
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

// ours refuses a folder that somebody else put there: he could tell us what is ours. One that is not
// there is none of his.
func (s store) ours() error {
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
func (s store) open(name, suffix string) (*os.File, error) {
	f, err := os.OpenFile(s.path(name, suffix), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || ownerOf(info) != 0 && ownerOf(info) != os.Geteuid()) {
		err = fmt.Errorf("%s: not a file of ours", f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s store) read(name, suffix string) ([]byte, error) {
	f, err := s.open(name, suffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, largestRecord))
}

// full: there is no room for another record, in the folder or where it would be.
func (s store) full() bool {
	var room unix.Statfs_t
	for dir := s.dir; unix.Statfs(dir, &room) != nil; dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return false
		}
	}
	return room.Blocks > 0 && room.Bavail == 0 || room.Files > 0 && room.Ffree == 0
}

// readable: we may look into the folder, or there is none.
func (s store) readable() bool {
	_, err := os.ReadDir(s.dir)
	return !errors.Is(err, fs.ErrPermission)
}
