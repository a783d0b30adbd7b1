package lab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Fault is something that the metadata server does wrong. The first fault that matches a request decides
// how it is answered; Absent and Value change what the tree holds, and all that match do so.
type Fault struct {
	// Which requests. Empty means all.
	Path      string `json:"path,omitempty"`      // pattern below /latest/, /metadata/ (Azure), /opc/v2/ (OCI) or /computeMetadata/v1/ (GCE): * within a segment, ** across; relative to the interface's directory, or its part of a document, when Interface is given
	Interface string `json:"interface,omitempty"` // keys of this interface, by name, MAC or ENI ID
	Via       string `json:"via,omitempty"`       // requests that came by this interface
	Method    string `json:"method,omitempty"`    // PUT is the token's

	// When.
	Skip  int           `json:"skip,omitempty"`  // so many matching requests pass first
	Times int           `json:"times,omitempty"` // so many are spoilt; 0: until cleared
	For   time.Duration `json:"for,omitempty"`   // counted from Inject; 0: until cleared

	// What. Delay, Drip and Header may be combined with each of the others.
	Delay      time.Duration `json:"delay,omitempty"`       // before the answer begins
	Drip       time.Duration `json:"drip,omitempty"`        // before every byte of the body
	Status     int           `json:"status,omitempty"`      // with the provider's page for it, or Body
	RetryAfter string        `json:"retry_after,omitempty"` // header of that name
	Body       Body          `json:"body,omitempty"`        // in place of the right one
	Redirect   string        `json:"redirect,omitempty"`    // Location, with Status or 302
	Header     [][2]string   `json:"header,omitempty"`      // names and values in place of the right ones; an empty value takes a header away
	Reset      bool          `json:"reset,omitempty"`       // TCP reset instead of an answer
	Close      bool          `json:"close,omitempty"`       // the connection ends without an answer
	Absent     bool          `json:"absent,omitempty"`      // the key or directory does not exist, nor is it listed
	Value      *string       `json:"value,omitempty"`       // what the key holds
	JSON       *string       `json:"json,omitempty"`        // not EC2: what is there in place of the right part of the document, such as null
	Reverse    bool          `json:"reverse,omitempty"`     // not EC2: a list the other way round
}

// Body is a kind of wrong answer.
type Body string

// The bodies that a fault can have. Anything else is sent as it is.
const (
	HTML    Body = "html"    // a captive portal's page
	Binary  Body = "binary"  // all 256 bytes
	Empty   Body = "empty"   // nothing, with Content-Length 0
	Huge    Body = "huge"    // 10 MB
	Endless Body = "endless" // until the client hangs up
	Short   Body = "short"   // half of what Content-Length promises
	Cut     Body = "cut"     // the first half of the right one, as if it were whole
)

// injected is a fault at work.
type injected struct {
	Fault
	id      int
	seen    int // requests that matched
	expires time.Time
}

// check refuses a fault that would do nothing, or two things at once.
func (f Fault) check() error {
	var errs []error
	kinds := 0
	for _, on := range []bool{f.Status != 0 || f.Body != "" || f.Redirect != "", f.Reset, f.Close, f.Absent, f.Value != nil, f.JSON != nil, f.Reverse} {
		if on {
			kinds++
		}
	}
	switch {
	case kinds == 0 && !f.colours():
		errs = append(errs, errors.New("it says nothing of what goes wrong"))
	case kinds > 1:
		errs = append(errs, errors.New("an answer, reset, close, absent, value, json and reverse exclude each other"))
	}
	if f.Status != 0 && (f.Status < 100 || f.Status > 599) {
		errs = append(errs, fmt.Errorf("status %d is not in 100 to 599", f.Status))
	}
	if min(f.Skip, f.Times) < 0 || min(f.For, f.Delay, f.Drip) < 0 {
		errs = append(errs, errors.New("numbers and times cannot be negative"))
	}
	return errors.Join(append(errs, checkPattern(f.Path))...)
}

// colours says whether the fault changes how an answer is sent, whatever the answer is.
func (f Fault) colours() bool { return f.Delay > 0 || f.Drip > 0 || len(f.Header) > 0 }

// Inject makes the server do something wrong until the fault's own end or until Clear. The number names
// the fault.
func (s *IMDS) Inject(f Fault) (int, error) {
	if err := errors.Join(f.check(), s.service.suits(f)); err != nil {
		return 0, fmt.Errorf("metadata fault: %w", err)
	}
	if f.Path == "" {
		f.Path = "**"
	}
	if err := s.aim(&f); err != nil {
		return 0, fmt.Errorf("metadata fault: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastFault++
	in := &injected{Fault: f, id: s.lastFault}
	if f.For > 0 {
		in.expires = time.Now().Add(f.For)
		time.AfterFunc(f.For+time.Millisecond, s.cloud.news.ring)
	}
	s.faults = append(s.faults, in)
	s.cloud.news.ring()
	return in.id, nil
}

// aim turns the names of interfaces into what requests can be compared with.
func (s *IMDS) aim(f *Fault) error {
	if f.Interface != "" {
		k, err := s.cloud.Interface(f.Interface)
		if err != nil {
			return err
		}
		s.service.aim(f, k)
	}
	if f.Via != "" {
		k, err := s.cloud.Interface(f.Via)
		if err != nil {
			return err
		}
		f.Via = k.MAC.String()
	}
	return nil
}

// Clear ends faults by number, or all of them when none is named.
func (s *IMDS) Clear(ids ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(in *injected) bool {
		return len(ids) == 0 || slices.Contains(ids, in.id)
	})
	s.cloud.news.ring()
}

// Faults lists the faults at work by number.
func (s *IMDS) Faults() map[int]Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[int]Fault{}
	for _, in := range s.faults {
		if !in.over(time.Now()) {
			out[in.id] = in.Fault
		}
	}
	return out
}

func (in *injected) over(now time.Time) bool {
	return (!in.expires.IsZero() && now.After(in.expires)) || (in.Times > 0 && in.seen >= in.Skip+in.Times)
}

// strikes says whether a matching request is spoilt, and counts it.
func (in *injected) strikes(count bool) bool {
	if count {
		in.seen++
		return in.seen > in.Skip
	}
	return in.seen+1 > in.Skip
}

// shapesTree says whether the fault changes the tree rather than the answer.
func (f Fault) shapesTree() bool { return f.Absent || f.Value != nil || f.JSON != nil || f.Reverse }

// concerns says whether the fault is about a request at all.
func (f Fault) concerns(method string, via *iface) bool {
	if f.Method != "" && !strings.EqualFold(f.Method, method) {
		return false
	}
	return f.Via == "" || (via != nil && via.MAC.String() == f.Via)
}

// pick counts a request against the faults that spoil answers and returns the first that strikes. The
// caller holds the lock.
func pick(faults []*injected, method, path string, via *iface, now time.Time) (Fault, bool) {
	for _, in := range faults {
		if in.shapesTree() || in.over(now) || !in.concerns(method, via) || !matchPath(in.Path, path) {
			continue
		}
		if in.strikes(true) {
			return in.Fault, true
		}
	}
	return Fault{}, false
}

// shape returns the tree as changed by the faults that a look at path would notice; the tree itself is kept
// as it is. The caller holds the lock.
func shape(faults []*injected, t tree, method, path string, via *iface, now time.Time) tree {
	for _, in := range faults {
		if !in.shapesTree() || in.over(now) || !in.concerns(method, via) {
			continue
		}
		if keys := in.noticed(t, path); len(keys) > 0 && in.strikes(true) {
			t = in.apply(t, keys)
		}
	}
	return t
}

// noticed lists the leaves that the fault changes and that path shows: the leaf itself, or, for a leaf that
// goes missing, a listing that it is part of. A directory that is itself gone is noticed through what it holds.
func (in *injected) noticed(t tree, path string) (keys []string) {
	path = strings.Trim(path, "/")
	for key := range t {
		if !matchAbove(in.Path, key) {
			continue
		}
		listed := in.Absent && (path == "" || strings.HasPrefix(key, path+"/"))
		if key == path || listed {
			keys = append(keys, key)
		}
	}
	return keys
}

func (in *injected) apply(t tree, keys []string) tree {
	t = maps.Clone(t)
	for _, key := range keys {
		if in.Absent {
			delete(t, key)
			continue
		}
		t[key] = *in.Value
	}
	return t
}
