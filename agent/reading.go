package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"ec2net/metadata"
)

// Readings of the metadata: when it is asked, what is believed, and when it is asked again. A reading runs in a
// goroutine of its own, bounded by ReadingTime, and arrives as an event. For each key it has one of three answers:
// present, absent, unavailable (metadata.Status). Unavailable changes nothing; absent removes something only after
// the readings have agreed on it for as long as the setting release says (metadata.Doubts).

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

// incomplete schedules a retry after a partial reading; it is logged only if it persists.
func (n *NIC) incomplete(problems error) time.Duration {
	n.attempt++
	if n.noteIncomplete() {
		n.warnOnce(fromCloud, problems)
	}
	return metadata.Backoff(n.attempt, problems, rand.Float64())
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

// lastErr is why the metadata says nothing: the error of the last reading, or ErrUnavailable if there was none yet.
func (a *Agent) lastErr() error {
	if a.readErr != nil {
		return a.readErr
	}
	return metadata.ErrUnavailable
}
