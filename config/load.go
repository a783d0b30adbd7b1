package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// maxSize bounds the file; a real one is a few hundred bytes.
const maxSize = 1 << 20

// Load reads and checks the file. A file that does not exist is the default configuration, whose
// File is empty. A file that others than root (or the caller) could have written is refused, as it
// decides what is done to the kernel; a symbolic link is followed, and its target is what counts.
// The folders above are not looked at: who may write there can put another file in this place, but
// that file would be his and is refused.
func Load(path string) (Config, error) {
	b, err := read(path)
	if errors.Is(err, fs.ErrNotExist) && !isLink(path) {
		return Default(), nil
	}
	if err != nil {
		return Config{}, err
	}
	return Parse(path, b)
}

// isLink reports whether the path is a symbolic link: one that leads nowhere is an error, and not a missing file.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// read returns the file's content, at most maxSize bytes of it.
func read(path string) ([]byte, error) {
	if path == "" {
		return nil, errors.New("read the configuration: the file's name is empty")
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes: too large for a configuration", path, maxSize)
	}
	return b, nil
}

// open checks the file before it is opened, because opening a device or a FIFO can do something, and
// again afterwards, because it may be another one by then.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if err := trusted(path, info, os.Geteuid()); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if info, err = f.Stat(); err == nil {
		err = trusted(path, info, os.Geteuid())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// trusted says why what the file contains cannot be relied on by a process of this effective user.
func trusted(path string, info fs.FileInfo, euid int) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %s, not a regular file", path, kind(info.Mode()))
	}
	var wrong []error
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != euid {
		wrong = append(wrong, fmt.Errorf("%s: owned by user %d, not by root, so ec2net does not trust it; run: chown root %s",
			path, stat.Uid, quoted(path)))
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		wrong = append(wrong, fmt.Errorf("%s: users other than its owner may write it (mode %04o), so ec2net does not trust it; run: chmod go-w %s",
			path, mode, quoted(path)))
	}
	return errors.Join(wrong...)
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// quoted writes a path so that a shell takes it for one word.
func quoted(path string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+,:@-"
	if strings.Trim(path, plain) == "" && !strings.HasPrefix(path, "-") {
		return path
	}
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
