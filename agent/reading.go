package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ec2net/config"
	"ec2net/metadata"
)

// Readings of the metadata: when it is asked, what is believed, and when it is asked again. A reading runs in a
// goroutine of its own, bounded by ReadingTime, and arrives as an event. For each key it has one of three answers:
// present, absent, unavailable (metadata.Status). Unavailable changes nothing; absent removes something only after
// the readings have agreed on it for as long as the setting release says (metadata.Doubts).

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

// ask starts a reading in the background; the answer arrives on the channel, which has room for it.
func (a *Agent) ask(ctx context.Context, answers chan<- reading) {
	ctx, cancel := context.WithTimeout(ctx, ReadingTime)
	mac, cloud := a.snap.MAC, a.cloud
	before := a.before()
	go func() {
		defer cancel()
		r := readInterface(ctx, cloud, mac, before)
		if r.err != nil {
			cloud.Close() // an open connection may have a source address that no longer gets anywhere
		}
		answers <- r
	}()
}

// readInterface makes one reading. If something is missing that was granted before, it asks the cloud at once whether
// another interface has it; then there is no doubt about it.
func readInterface(ctx context.Context, cloud metadata.Source, mac metadata.MAC, before metadata.Interface) (r reading) {
	r.iface, r.err = cloud.Read(ctx, mac)
	if r.err == nil && metadata.Lacks(before, r.iface) {
		r.others, _ = cloud.Others(ctx, mac) // whoever could not be asked proves nothing: the doubt stays
	}
	return r
}

// before is what the next reading is compared with: the settled grant or, where the interface has no number yet, what
// the kernel holds.
func (r *readings) before() metadata.Interface {
	if r.settled.MAC == (metadata.MAC{}) {
		return r.last // what the kernel holds; the device number is not known
	}
	return r.settled
}

// holdTime is how long the metadata has to leave out what it granted until that is removed.
func (n *NIC) holdTime() time.Duration {
	if n.shortHold {
		return confirmAfter
	}
	return n.iface.Release
}

// applyReading takes an answer into account and returns the pause until the next reading. It decides what is believed
// and sets up nothing; the reconciliation that follows does.
func (n *NIC) applyReading(r reading) (next time.Duration) {
	n.dirty, n.record.AskedAt = true, time.Now()
	if r.err != nil {
		return n.failed(r.err)
	}
	if n.outage != nil && n.daemon && !n.degraded { // its beginning was logged
		n.log.Info("the metadata answers again")
	}
	if r.iface.Unlisted4() && n.lacksIPv4() {
		r.iface = r.iface.Without4()
	}
	first := !n.answered
	n.readErr, n.outage = nil, nil
	n.answered, n.conflict = true, false
	n.learn(r.iface)
	n.settled = n.doubts.Settle(n.before(), r.iface, metadata.Term{At: time.Now(), Hold: n.holdTime(), Others: r.others})
	n.last = metadata.Carry(n.last, r.iface)
	n.record.ReadAt = time.Now()
	problems := errors.Join(r.iface.Problems...)
	if n.missing = nil; r.iface.Partial() {
		n.missing = r.iface.Problems
		return n.incomplete(problems)
	}
	return n.pause(first, problems)
}

// pause is the time until the next reading after a complete one: about a second while something is in doubt (doubling
// each time, and never past the moment at which the doubt can end), five seconds for a new interface, else refresh.
func (n *NIC) pause(first bool, problems error) time.Duration {
	n.attempt, n.incompleteSince = 0, time.Time{}
	n.warnOnce(fromCloud, problems)
	switch {
	case !metadata.Same(n.settled, n.last):
		n.doubtStreak++ // a list that keeps changing is not asked for every second
		return spread(min(confirmAfter<<min(n.doubtStreak-1, 10), max(confirmAfter, n.iface.Refresh), n.untilDue()))
	case first || time.Since(n.startedAt) < startupTime:
		n.doubtStreak = 0
		return spread(min(startupRefresh, n.iface.Refresh))
	}
	n.doubtStreak = 0
	return spread(n.iface.Refresh)
}

// untilDue is the time until the first doubt can end; a reading then confirms or removes.
func (n *NIC) untilDue() time.Duration {
	due, ok := n.doubts.Due(n.holdTime())
	if !ok {
		return confirmAfter
	}
	return max(time.Until(due), confirmAfter/10)
}

// spread adds up to a tenth, so that the agents of a host do not keep asking at the same moment: Azure answers five
// requests a second to a machine and refuses the rest (learn.microsoft.com, "Azure Instance Metadata Service", rate
// limiting).
func spread(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*rand.Float64()/10)
}

// incomplete schedules a retry after a partial reading; it is logged only if it persists.
func (n *NIC) incomplete(problems error) time.Duration {
	n.attempt++
	if n.noteIncomplete() {
		n.warnOnce(fromCloud, problems)
	}
	return metadata.Backoff(n.attempt, problems, rand.Float64())
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

// lacksIPv4 reports whether an interface for which the metadata lists no key for IPv4 addresses is believed to have
// none. The key is also missing while EC2 is late, so the answer is yes only once that has lasted, and never while a
// real lease or another program's address says otherwise.
func (n *NIC) lacksIPv4() bool {
	real := n.held && !n.lease.Addr.Addr().IsLinkLocalUnicast()
	switch {
	case real, n.foreignAddress() != "":
		return false
	case n.last.Addrs4.Status == metadata.Unavailable:
		return n.noteIncomplete()
	}
	return n.last.Addrs4.Status == metadata.Absent
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

// learn looks up the interface's settings again, now that its ENI and its numbers are known, and notes the primary
// interface.
func (n *NIC) learn(iface metadata.Interface) {
	n.keys = n.keys.Learn(iface)
	n.iface = n.config.For(n.keys)
	if p := n.cloud.Primary(); p != n.snap.MAC && p != (metadata.MAC{}) {
		n.record.Peers = []metadata.MAC{p}
		n.cover()
	}
}

// failed handles a reading that failed: everything stays as it is. The failure is logged once it has lasted for
// Silence, or at once if it is definite (metadata.Closed).
func (n *NIC) failed(err error) time.Duration {
	k := metadataErrorKind(err)
	off := metadata.Closed(err)
	lasts := n.noteIncomplete()
	news := (off && n.outage != k) || (lasts && n.outage == nil)
	if n.daemon && news {
		n.log.Warnf("metadata: %s; everything stays as it is", OneLine(err))
		n.outage = k
	}
	n.readErr = err
	n.attempt++
	wait := metadata.Backoff(n.attempt, err, rand.Float64())
	switch {
	case off:
		return max(wait, n.iface.Refresh) // it may be switched on again
	case k != metadata.ErrUnavailable && time.Since(n.startedAt) > startupTime:
		return max(wait, startupRefresh) // an interface that is this late may be none of the cloud's
	}
	return wait
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

// doubtful reports whether the last reading was complete, so that the process of the interface waits out what is in
// doubt in it, too. A plan then shows what that process would do now, and does not wait itself.
func (r *readings) doubtful() bool { return !r.shortHold && r.readErr == nil && !r.Partial() }

// stable reports whether the metadata has answered completely and nothing is in doubt.
func (r *readings) stable() bool {
	return r.answered && r.readErr == nil && !r.Partial() && metadata.Same(r.settled, r.last)
}

// idle reports whether ec2net has nothing to do with the interface.
func (n *NIC) idle() bool { return n.iface.Manage == config.None || n.record.LeftTo != "" }
