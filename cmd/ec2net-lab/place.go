package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// place is where a lab's socket and log lie.
type place struct{ dir, name string }

func (p place) socket() string { return filepath.Join(p.dir, p.name+".sock") }
func (p place) log() string    { return filepath.Join(p.dir, p.name+".log") }
func (p place) lock() string   { return filepath.Join(p.dir, p.name+".lock") }

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

// maxSocketPath is what fits into a unix socket's address (unix(7)).
const maxSocketPath = 107

// findPlace finds the directory for a lab: below $XDG_RUNTIME_DIR, else /run/ec2net-lab for root, else one in
// the temporary directory that must be this user's alone.
func findPlace(name string) (place, error) {
	if !goodName.MatchString(name) {
		return place{}, fmt.Errorf("name %q: use up to 32 letters, digits, dashes and underscores", name)
	}
	dir := "/run/ec2net-lab"
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		dir = filepath.Join(runtime, "ec2net-lab")
	} else if os.Geteuid() != 0 {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("ec2net-lab-%d", os.Getuid()))
	}
	p := place{dir, name}
	if len(p.socket()) > maxSocketPath {
		return place{}, fmt.Errorf("the path %s is too long for a socket; use another XDG_RUNTIME_DIR or a shorter --name", p.socket())
	}
	return p, nil
}

// make creates the directory, or checks that nobody else can have put something there.
func (p place) make() error {
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the lab's directory: %w", err)
	}
	info, err := os.Lstat(p.dir)
	if err != nil {
		return fmt.Errorf("look at the lab's directory: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory of this user alone; remove it or set XDG_RUNTIME_DIR", p.dir)
	}
	return nil
}
