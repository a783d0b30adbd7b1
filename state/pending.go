package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
)

// Pending is a change that is about to be made, and whose connectivity check has not passed yet: what the next
// process judges by when this one is killed in between, for to that one the state that cuts the host off is the one
// that it finds.
type Pending struct {
	MAC    metadata.MAC `json:"mac"`
	Index  int          `json:"index"`
	At     time.Time    `json:"at"`
	Fresh  bool         `json:"fresh"`  // the metadata answered
	Before plumb.State  `json:"before"` // what a rollback goes back to
	Reach  plumb.Reach  `json:"reach"`  // what was reached, and which way
}

// resumable is how old a change may be whose check a process takes over. Later, who was cut off has made other
// connections, and the operator other changes.
const resumable = 5 * time.Minute

// SavePending writes down the change of an interface, ahead of making it.
func (s Store) SavePending(name string, p Pending) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := s.makeFolder(); err != nil {
		return err
	}
	return s.replace(name, pendingFile, b)
}

// LoadPending returns the change that a process was killed over, when it is this very interface's and not too old.
func (s Store) LoadPending(name string, mac metadata.MAC, index int, now time.Time) (Pending, bool) {
	b, err := s.read(name, pendingFile)
	var p Pending
	if err != nil || json.Unmarshal(b, &p) != nil || p.MAC != mac || p.Index != index {
		return Pending{}, false
	}
	if age := now.Sub(p.At); age < 0 || age > resumable {
		return Pending{}, false
	}
	return p, true
}

// RemovePending forgets the change: it is confirmed, or rolled back.
func (s Store) RemovePending(name string) error {
	if err := os.Remove(s.path(name, pendingFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
