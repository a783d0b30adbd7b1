package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ec2net/metadata"
)

// What the readings of the metadata have given so far: values, and what follows from them without the interface. Which
// question is asked when is in reading.go.

const (
	// Silence is how long the metadata may say nothing about an interface before ec2net sets it up by its lease alone
	// (degraded), and before a failure of the metadata is logged.
	Silence = 10 * time.Second
	// leasePatience is how long an interface that the metadata knows waits for its lease before it counts as set up
	// without one. Address and gateway are known from the metadata by then; only the MTU may be missing.
	leasePatience = 10 * time.Second
	// confirmAfter is the pause before the metadata is asked again about an address that it no longer lists. Later
	// questions about the same doubt wait longer, see NIC.pause.
	confirmAfter = time.Second
	// startupTime is the first part of an interface's life, in which the cloud is still adding addresses. Until it is
	// over the metadata is read every startupRefresh, if the configured refresh is not shorter.
	startupTime, startupRefresh = time.Minute, 5 * time.Second
)

// reading is one answer of the metadata.
type reading struct {
	iface metadata.Interface
	err   error
	// others is what the metadata grants the host's other interfaces. They are asked for only if the interface lacks
	// something: an address that has moved to another interface is not in doubt.
	others []metadata.Interface
}

// readings is what the metadata has said about the interface. Its zero value means that it was not asked yet.
type readings struct {
	// settled is what is granted, with what is still in doubt: this is what gets set up.
	settled metadata.Interface
	// last is what the last reading listed, doubts aside.
	last   metadata.Interface
	doubts metadata.Doubts
	// shortHold ends a doubt after confirmAfter, see Options.ShortHold.
	shortHold bool
	// answered is true if the metadata has answered in this process.
	answered bool
	// readErr is the error of the last reading; nil: it was answered, if perhaps in part.
	readErr error
	// attempt counts readings in a row that failed or left keys open; the back-off grows with it.
	attempt int
	// doubtStreak counts readings in a row with something in doubt; the pause grows with it.
	doubtStreak int
	// incompleteSince is when readings began to fail or to leave keys open; zero while they are complete.
	incompleteSince time.Time
	// outage is the kind of the failure that was logged last, so that its end is logged too; nil: none was.
	outage error
	// missing says for each key that the last reading left open why.
	missing []error
}

// ReadingTime bounds a whole reading. Each request has a limit of its own, but a server that sends a byte now and
// then in each of many answers could use up all of them.
const ReadingTime = 10 * time.Second

// readInterface makes one reading. If something is missing that was granted before, it asks the cloud at once whether
// another interface has it; then there is no doubt about it.
func readInterface(ctx context.Context, cloud metadata.Source, mac metadata.MAC, before metadata.Interface) (r reading) {
	r.iface, r.err = cloud.Read(ctx, mac)
	if r.err == nil && metadata.Lacks(before, r.iface) {
		r.others, _ = cloud.Others(ctx, mac) // whoever could not be asked proves nothing: the doubt stays
	}
	return r
}

// spread adds up to a tenth, so that the agents of a host do not keep asking at the same moment: Azure answers five
// requests a second to a machine and refuses the rest (learn.microsoft.com, "Azure Instance Metadata Service", rate
// limiting).
func spread(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*rand.Float64()/10)
}

// before is what the next reading is compared with: the settled grant or, where the interface has no number yet, what
// the kernel holds.
func (r *readings) before() metadata.Interface {
	if r.settled.MAC == (metadata.MAC{}) {
		return r.last // what the kernel holds; the device number is not known
	}
	return r.settled
}

// noteIncomplete notes that a reading failed or left keys open, and reports whether that has lasted for Silence.
// Shorter gaps are normal for a new interface and not logged.
func (r *readings) noteIncomplete() bool {
	if r.incompleteSince.IsZero() {
		r.incompleteSince = time.Now()
	}
	return time.Since(r.incompleteSince) >= Silence
}

// silent reports whether what the last reading left open will not come soon: the metadata has left something open for
// Silence, or is closed.
func (r *readings) silent() bool {
	return metadata.Closed(r.readErr) || (!r.incompleteSince.IsZero() && time.Since(r.incompleteSince) >= Silence)
}

// missingText says for STATUS what the last reading left open, and why.
func (r *readings) missingText() string {
	why := OneLine(errors.Join(r.missing...))
	if r.allRefused() {
		return fmt.Sprintf("a valid answer from the metadata (%s)", why)
	}
	return fmt.Sprintf("metadata keys that could not be read (%s)", why)
}

// allRefused reports whether all open keys of the last reading were answered, but with something that is not
// believed. Asking again would not help.
func (r *readings) allRefused() bool {
	return len(r.missing) > 0 && !slices.ContainsFunc(r.missing, func(err error) bool { return !metadata.Refused(err) })
}

// Partial reports whether the last reading was answered but left keys open.
func (r *readings) Partial() bool { return r.readErr == nil && !r.incompleteSince.IsZero() }

// doubtful reports whether the last reading was complete, so that the process of the interface waits out what is in
// doubt in it, too. A plan then shows what that process would do now, and does not wait itself.
func (r *readings) doubtful() bool { return !r.shortHold && r.readErr == nil && !r.Partial() }

// stable reports whether the metadata has answered completely and nothing is in doubt.
func (r *readings) stable() bool {
	return r.answered && r.readErr == nil && !r.Partial() && metadata.Same(r.settled, r.last)
}

// metadataErrorKind is the sentinel behind an error of the metadata; ErrUnavailable stands for all others.
func metadataErrorKind(err error) error {
	for _, k := range []error{metadata.ErrDisabled, metadata.ErrProhibited, metadata.ErrNotReady, metadata.ErrUnknownMAC} {
		if errors.Is(err, k) {
			return k
		}
	}
	return metadata.ErrUnavailable
}
