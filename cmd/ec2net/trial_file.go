package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
)

// unproved is a change that is about to be made, and not proved yet: what the next process judges by when this one
// is killed in between, for to that one the state that cuts the host off is the one that it finds.
type unproved struct {
	MAC    metadata.MAC `json:"mac"`
	Index  int          `json:"index"`
	At     time.Time    `json:"at"`
	Fresh  bool         `json:"fresh"` // the metadata answered
	Before plumb.State  `json:"before"`
	Reach  plumb.Reach  `json:"reach"`
}

// resumable is how old a change may be whose proof a process takes over. Later, who was cut off has made other
// connections, and the operator other changes.
const resumable = 5 * time.Minute

const trialFile = ".trial"

// writeAhead puts on disk what the change is judged by. A full disk is no reason not to make it.
func (t *trial) writeAhead(u unproved) {
	b, err := json.Marshal(u)
	if err == nil {
		err = t.store.folder()
	}
	if err == nil {
		err = t.store.replace(t.link.Name, trialFile, b)
	}
	if err != nil {
		t.log.Debugf("the change is not written ahead: %s", oneLine(err))
	}
}

// resume takes over the proof of a change that a process was killed over, and returns the state before it.
func (t *trial) resume(s plumb.Snapshot) (before plumb.State, ok bool) {
	b, err := t.store.read(s.Name, trialFile)
	var u unproved
	if err != nil || json.Unmarshal(b, &u) != nil || u.MAC != s.MAC || u.Index != s.Index {
		return before, false
	}
	if age := time.Since(u.At); age < 0 || age > resumable {
		return before, false
	}
	t.open, t.before, t.reach, t.wasFresh = true, u.Before, u.Reach, u.Fresh
	return u.Before, true
}

// close ends a trial, however it went.
func (t *trial) close() {
	t.open, t.wasFresh = false, false
	if err := os.Remove(t.store.path(t.link.Name, trialFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.log.Debugf("the change stays written down: %s", oneLine(err))
	}
}

// replace puts a file of an interface in the place of the former at once: a reader sees the old one or the new one.
func (s store) replace(name, suffix string, b []byte) error {
	f, err := os.CreateTemp(s.dir, "."+name+"-*") // 0600
	if err != nil {
		return fmt.Errorf("record of %s: %w", name, nameless(err))
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path(name, suffix))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("record of %s: %w", name, nameless(err))
	}
	return nil
}
