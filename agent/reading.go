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

// reading is one answer of the metadata.
type reading struct {
	iface  metadata.Interface
	err    error
	others []metadata.Interface // what it says of the host's other interfaces, when the interface lacks something
}

// readings is what the metadata has said of the interface. Its zero value is that it was not asked yet.
type readings struct {
	settled         metadata.Interface // what is granted, with what readings leave out and is in doubt yet
	last            metadata.Interface // the last reading
	doubts          metadata.Doubts
	shortHold       bool      // there is no time to wait for the end of a doubt: a plan, or an interface that nobody keeps
	answered        bool      // the metadata has answered in this process
	readErr         error     // of the last reading
	attempt         int       // readings in a row that failed or left keys open
	doubtStreak     int       // readings in a row with something in doubt
	incompleteSince time.Time // since when readings fail or leave keys open; zero: they do not
	outage          error     // the kind of failure that was logged last; nil: none
	missing         []error   // why the last reading left keys open
}

// ReadingTime bounds one reading: its requests are bounded one by one, a dripping server is not.
const ReadingTime = 10 * time.Second

// ask makes one reading in the background; the answer arrives on the channel.
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

// readInterface makes one reading. Where something is missing, the cloud is asked at once whether another interface
// has it: then there is no doubt about it.
func readInterface(ctx context.Context, cloud metadata.Source, mac metadata.MAC, before metadata.Interface) (r reading) {
	r.iface, r.err = cloud.Read(ctx, mac)
	if r.err == nil && metadata.Lacks(before, r.iface) {
		r.others, _ = cloud.Others(ctx, mac) // of those that could not be asked nothing is known, and the doubt stays
	}
	return r
}

// before is what the next reading is compared with.
func (r *readings) before() metadata.Interface {
	if r.settled.MAC == (metadata.MAC{}) {
		return r.last // what is on the interface, without a number
	}
	return r.settled
}

// holdTime is how long the metadata has to leave out what it granted, until it is taken off.
func (n *NIC) holdTime() time.Duration {
	if n.shortHold {
		return confirmAfter
	}
	return n.iface.Release
}

// applyReading works an answer in and says when to ask again.
func (n *NIC) applyReading(r reading) (next time.Duration) {
	n.dirty, n.record.AskedAt = true, time.Now()
	if r.err != nil {
		return n.failed(r.err)
	}
	if n.outage != nil && n.daemon && !n.degraded { // the end of that is logged too
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

// pause is the time until the next reading, after a complete one.
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

// untilDue is the time until the reading that may end the first doubt.
func (n *NIC) untilDue() time.Duration {
	due, ok := n.doubts.Due(n.holdTime())
	if !ok {
		return confirmAfter
	}
	return max(time.Until(due), confirmAfter/10)
}

// spread adds up to a tenth, so that the agents of several interfaces do not go on asking at the same
// moment: Azure answers five requests a second to a machine, and refuses the rest.
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

// noteIncomplete notes that a reading was none or not complete, and says whether that lasts.
func (r *readings) noteIncomplete() bool {
	if r.incompleteSince.IsZero() {
		r.incompleteSince = time.Now()
	}
	return time.Since(r.incompleteSince) >= Silence
}

// lacksIPv4 reports whether an interface that lists no key for IPv4 addresses is believed to have none: it never had
// one, and that lasts.
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

// missingText says what the last reading left open, and why.
func (r *readings) missingText() string {
	why := OneLine(errors.Join(r.missing...))
	if r.allRefused() {
		return fmt.Sprintf("a valid answer from the metadata (%s)", why)
	}
	return fmt.Sprintf("metadata keys that could not be read (%s)", why)
}

// allRefused reports whether all that the last reading left open was answered, but not believed.
func (r *readings) allRefused() bool {
	return len(r.missing) > 0 && !slices.ContainsFunc(r.missing, func(err error) bool { return !metadata.Refused(err) })
}

// Partial reports whether the last reading left keys open.
func (r *readings) Partial() bool { return r.readErr == nil && !r.incompleteSince.IsZero() }

// learn looks the interface's settings up again, now that its ENI and device number are known.
func (n *NIC) learn(iface metadata.Interface) {
	n.keys = n.keys.Learn(iface)
	n.iface = n.config.For(n.keys)
	if p := n.cloud.Primary(); p != n.snap.MAC && p != (metadata.MAC{}) {
		n.record.Peers = []metadata.MAC{p}
		n.cover()
	}
}

// failed keeps everything as it is. It is logged once it lasts, and once it is definite.
func (n *NIC) failed(err error) time.Duration {
	k := metadataErrorKind(err)
	off := k == metadata.ErrDisabled
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

// metadataErrorKind is the sentinel behind an error of the metadata.
func metadataErrorKind(err error) error {
	for _, k := range []error{metadata.ErrDisabled, metadata.ErrNotReady, metadata.ErrUnknownMAC} {
		if errors.Is(err, k) {
			return k
		}
	}
	return metadata.ErrUnavailable
}

// doubtful reports whether the last reading was complete and has something in doubt that another process may be waiting
// for, too.
func (r *readings) doubtful() bool { return !r.shortHold && r.readErr == nil && !r.Partial() }

// stable reports whether the metadata has answered, and nothing is in doubt.
func (r *readings) stable() bool {
	return r.answered && r.readErr == nil && !r.Partial() && metadata.Same(r.settled, r.last)
}

// idle reports whether nothing of the interface is ours to do.
func (n *NIC) idle() bool { return n.iface.Manage == config.None || n.record.LeftTo != "" }
