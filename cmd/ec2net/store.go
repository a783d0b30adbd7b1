package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// store is the folder of what must outlive a process, but not the boot: a file for each card.
type store struct{ dir string }

// record is what is remembered of a card. The kernel is the truth; this is what it can not say.
type record struct {
	Name    string             `json:"name"`
	Index   int                `json:"index"`
	MAC     metadata.MAC       `json:"mac"`
	Cloud   metadata.Cloud     `json:"cloud"`             // that the card is of
	Numbers []int              `json:"numbers"`           // of the tables and rules that are this card's
	Packets bool               `json:"packets,omitempty"` // there is, or is about to be, an nftables table of the card's
	Peers   []metadata.MAC     `json:"peers"`             // the host's other cloud cards
	Before  *plumb.Before      `json:"before,omitempty"`  // how the card was found
	Card    metadata.Interface `json:"metadata"`          // what it grants
	ReadAt  time.Time          `json:"read_at"`           // last answer of the metadata
	AskedAt time.Time          `json:"asked_at"`          // last reading of the metadata, whatever came of it
	Lease   *dhcp.Lease        `json:"lease,omitempty"`
	DHCP    string             `json:"dhcp"`              // who has the lease
	Hosts   bool               `json:"hosts"`             // nobody else configures the card: the host itself lives by this lease
	Foreign bool               `json:"foreign,omitempty"` // another program has given it an IPv4 address, now or once
	State   string             `json:"state"`             // one line for a person
	Ready   bool               `json:"ready"`
	Set     bool               `json:"set"`     // and nothing more is expected soon
	InPart  bool               `json:"in_part"` // set, but for something that the log names, or without the metadata
	Repairs int                `json:"repairs"` // since the process began
	Undone  *undoneRecord      `json:"undone,omitempty"`
	Egress  *way               `json:"egress,omitempty"`
	Taken   string             `json:"taken,omitempty"`   // the container network that has taken the card, now or once
	Yielded string             `json:"yielded,omitempty"` // whom the card is left to
}

func (s store) path(name, suffix string) string { return filepath.Join(s.dir, name+suffix) }

// load returns what is known of the card, and false when that is nothing. A file that no process of
// ours can have written is nothing: the kernel tells the most of it anyway.
func (s store) load(name string) (record, bool) {
	b, err := s.read(name, ".json")
	if err != nil {
		return record{}, false
	}
	return parseRecord(name, b)
}

func parseRecord(name string, b []byte) (record, bool) {
	var r record
	if json.Unmarshal(b, &r) != nil || r.Name != name || !r.sound() {
		return record{}, false
	}
	return r, true
}

const maxNumber = 9999 // of a card, in preferences and tables

// sound: every value is one that we write.
func (r record) sound() bool {
	return r.Card.Canonical() && (r.Lease == nil || r.Lease.Canonical()) &&
		!slices.ContainsFunc(r.Numbers, func(n int) bool { return n < 0 || n > maxNumber })
}

// degraded: the card is set up without the metadata.
func (r record) degraded() bool {
	return r.Ready && r.Yielded == "" && r.Card.MAC == (metadata.MAC{})
}

// basis is what a degraded card runs on: its lease, or another program's address, while that is there.
func (r record) basis(s plumb.Snapshot) *dhcp.Lease {
	if r.Lease != nil {
		return r.Lease
	}
	return s.Foreign()
}

// save replaces the card's file at once: a reader sees the old one or the new one.
func (s store) save(r record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("record of %s: %w", r.Name, err)
	}
	if err := s.folder(); err != nil {
		return err
	}
	return s.replace(r.Name, ".json", b)
}

func (s store) remove(name string) error {
	_ = os.Remove(s.path(name, trialFile)) // of a process that was killed; what stays is too old soon
	err := os.Remove(s.path(name, ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// records are those of the host's cards. What hangs on several cards is decided from one reading of them.
type records []record

// all lists the records, one for each card that is or was set up.
func (s store) all() (out records) {
	files, _ := filepath.Glob(filepath.Join(s.dir, "*.json"))
	for _, f := range files {
		if r, ok := s.load(strings.TrimSuffix(filepath.Base(f), ".json")); ok {
			out = append(out, r)
		}
	}
	return out
}

// primary is the record of the card that the host was started with, when it was set up.
func (list records) primary() (record, bool) {
	for _, r := range list {
		if r.Card.Primary {
			return r, true
		}
	}
	return record{}, false
}

// peers are the cloud cards of this host but one, as the records know them.
func (list records) peers(of metadata.MAC) (out []metadata.MAC) {
	for _, r := range list {
		for _, m := range r.Peers {
			if m != of {
				out = append(out, m)
			}
		}
	}
	return out
}

// cardLock is held by the process that keeps a card, and goes with it however it ends.
type cardLock struct {
	f      *os.File
	signed bool // what it says is true
	said   string
}

// lookTime is longer than holder, which shares the lock, takes to see whether somebody has it.
const lookTime = time.Millisecond

// lock takes the card for a process that stays. held is the process that has the card, when it is
// not free. With an error the card may have been taken all the same, without a word of it on the disk.
func (s store) lock(name string) (l *cardLock, held int, err error) {
	if err := s.folder(); err != nil {
		return nil, 0, err
	}
	for {
		f, err := os.OpenFile(s.path(name, ".lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, 0, fmt.Errorf("lock of %s: %w", name, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			free := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil // of a keeper: somebody only looks
			held = lockPID(f)
			f.Close()
			if !free {
				return nil, held, nil
			}
			time.Sleep(lookTime)
			continue
		}
		if !current(f) { // removed by the last holder while we waited for it
			f.Close()
			continue
		}
		l = &cardLock{f: f}
		return l, 0, l.sign(nil)
	}
}

// died: the process that kept the card did not end by itself, and left its lock.
func (s store) died(name string) bool {
	_, err := os.Stat(s.path(name, ".lock"))
	return err == nil && s.holder(name) == 0
}

// current: the file is still the one that others open by its name.
func current(f *os.File) bool {
	mine, err := f.Stat()
	now, err2 := os.Stat(f.Name())
	return err == nil && err2 == nil && os.SameFile(mine, now)
}

// close gives the card free, and leaves no file behind, but for one that another process has put there.
func (l *cardLock) close() {
	if l == nil {
		return
	}
	if current(l.f) {
		os.Remove(l.f.Name())
	}
	l.f.Close()
}

// unlock removes the lock file of a process that was killed.
func (s store) unlock(name string) error {
	l, _, err := s.lock(name)
	if l != nil {
		l.close()
		return nil
	}
	return err
}

// holder is the process that keeps the card, or 0; -1: there is one, whose number is not known.
func (s store) holder(name string) int {
	pid, _ := s.held(name)
	return pid
}

// held is the holder, and why it could not write its record; empty: it could.
func (s store) held(name string) (pid int, unsaved string) {
	f, err := s.open(name, ".lock")
	if err != nil {
		return 0, ""
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0, ""
	}
	return lockPID(f), unsavedOf(f)
}
