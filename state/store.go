// Package state is the folder /run/ec2net: what must outlive a process, but not the boot. It has the record of each
// interface, the lock of the process that manages it, and the change that such a process has not confirmed yet.
//
// The folder's files are named by the interface: NAME.json is its record, written by the process that manages it and
// read by everybody; NAME.lock is held by that process, however it ends; NAME.trial is a Pending change. No interface's
// name has a colon: :metrics.lock is that of the metrics file.
//
// Nothing here logs. Nobody but root can have written what is read; it is checked all the same.
package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The files of an interface.
const (
	recordFile  = ".json"
	lockFile    = ".lock"
	pendingFile = ".trial"
)

// Store is the folder. Its zero value is none: see Open.
type Store struct{ dir string }

// Open returns the store in a folder, which is made when something is written. It refuses one that is not a folder, or
// that another user owns.
func Open(dir string) (Store, error) {
	s := Store{dir}
	return s, s.checkOwner()
}

// Dir is the path of the folder.
func (s Store) Dir() string { return s.dir }

func (s Store) path(name, suffix string) string { return filepath.Join(s.dir, name+suffix) }

// Load returns the record of an interface, and false when there is none. A file that no process of ours can have
// written is none: the kernel tells the most of it anyway.
func (s Store) Load(name string) (Record, bool) {
	b, err := s.read(name, recordFile)
	if err != nil {
		return Record{}, false
	}
	return parse(name, b)
}

// All lists the records, one for each interface that is or was set up, in the order of their names.
func (s Store) All() (out Records) {
	files, _ := filepath.Glob(filepath.Join(s.dir, "*"+recordFile))
	for _, f := range files {
		if r, ok := s.Load(strings.TrimSuffix(filepath.Base(f), recordFile)); ok {
			out = append(out, r)
		}
	}
	return out
}

// Save replaces the interface's record at once: a reader sees the old one or the new one.
func (s Store) Save(r Record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("record of %s: %w", r.Name, err)
	}
	if err := s.makeFolder(); err != nil {
		return err
	}
	return s.replace(r.Name, recordFile, b)
}

// Remove removes the interface's record. One that is not there is removed.
func (s Store) Remove(name string) error {
	_ = os.Remove(s.path(name, pendingFile)) // of a process that was killed; what stays is too old soon
	err := os.Remove(s.path(name, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// replace puts a file of an interface in the place of the former at once: a reader sees the old one or the new one.
func (s Store) replace(name, suffix string, b []byte) error {
	f, err := os.CreateTemp(s.dir, "."+name+"-*") // 0600
	if err != nil {
		return fmt.Errorf("record of %s: %w", name, withoutPath(err))
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path(name, suffix))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("record of %s: %w", name, withoutPath(err))
	}
	return nil
}

// withoutPath is an error without the name of the temporary file, which is another one each time: what is the
// same trouble is logged once.
func withoutPath(err error) error {
	var path *fs.PathError
	var link *os.LinkError // of a rename
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// Watch reports each change in the folder, until ctx ends. The end of a process that manages an interface is one,
// however it ends: the kernel closes its lock. The folder has to be there.
func (s Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, s.dir, unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_CLOSE_WRITE); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch %s: %w", s.dir, err)
	}
	news := make(chan struct{}, 1)
	go func() {
		defer unix.Close(fd)
		buf := make([]byte, 4096)
		for ctx.Err() == nil {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 200)
			if n, _ := unix.Read(fd, buf); n > 0 {
				select {
				case news <- struct{}{}:
				default:
				}
			}
		}
	}()
	return news, nil
}
