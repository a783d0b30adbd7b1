package main

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
	card metadata.Interface
	err  error
}

// readings is what the metadata has said of the card. Its zero value is that it was not asked yet.
type readings struct {
	settled  metadata.Interface // what the last two readings together grant
	last     metadata.Interface // the last reading
	answered bool               // the metadata has answered in this process
	readErr  error              // of the last reading
	attempt  int                // readings in a row that failed or left keys open
	unsure   int                // readings in a row that dropped something
	lacking  time.Time          // since when readings fail or leave keys open; zero: they do not
	outage   error              // the kind of failure that was said last; nil: none
	missing  []error            // why the last reading left keys open
}

// readingTime bounds one reading: its requests are bounded one by one, a dripping server is not.
const readingTime = 10 * time.Second

// ask makes one reading in the background; the answer arrives on the channel.
func (a *agent) ask(ctx context.Context, answers chan<- reading) {
	ctx, cancel := context.WithTimeout(ctx, readingTime)
	mac := a.snap.MAC
	go func() {
		defer cancel()
		card, err := a.cloud.Read(ctx, mac)
		if err != nil {
			a.cloud.Close() // an open connection may have a source address that no longer gets anywhere
		}
		answers <- reading{card, err}
	}()
}

// take works an answer in and says when to ask again.
func (a *agent) take(r reading) (next time.Duration) {
	a.unsaved, a.record.AskedAt = true, time.Now()
	if r.err != nil {
		return a.failed(r.err)
	}
	if a.outage != nil && a.stays && !a.degraded { // the end of that is said too
		a.log.Info("the metadata answers again")
	}
	if r.card.Unlisted4() && a.bare() {
		r.card = r.card.Without4()
	}
	first := !a.answered
	a.readErr, a.outage, a.answered, a.disowned = nil, nil, true, false
	a.learn(r.card)
	a.settled = metadata.Settle(a.last, r.card)
	a.last = metadata.Carry(a.last, r.card)
	a.record.ReadAt = time.Now()
	problems := errors.Join(r.card.Problems...)
	if a.missing = nil; r.card.Partial() {
		a.missing = r.card.Problems
		return a.incomplete(problems)
	}
	return a.pause(first, problems)
}

// pause is the time until the next reading, after a complete one.
func (a *agent) pause(first bool, problems error) time.Duration {
	a.attempt, a.lacking = 0, time.Time{}
	a.complain(fromCloud, problems)
	switch {
	case !metadata.Same(a.settled, a.last):
		a.unsure++ // a list that keeps changing is not asked for every second
		return spread(min(confirmAfter<<min(a.unsure-1, 10), max(confirmAfter, a.card.Refresh)))
	case first || time.Since(a.begun) < youth:
		a.unsure = 0
		return spread(min(youthRefresh, a.card.Refresh))
	}
	a.unsure = 0
	return spread(a.card.Refresh)
}

// patiently asks once more as long as the metadata says that it was asked too often, by others too.
func patiently(ctx context.Context, ask func() error) error {
	for attempt := 0; ; attempt++ {
		err := ask()
		if !metadata.Throttled(err) {
			return err
		}
		select {
		case <-time.After(metadata.Backoff(attempt, err, rand.Float64())):
		case <-ctx.Done():
			return err
		}
	}
}

// spread adds up to a tenth, so that the keepers of several cards do not go on asking at the same
// moment: Azure answers five requests a second to a machine, and refuses the rest.
func spread(d time.Duration) time.Duration {
	return d + time.Duration(float64(d)*rand.Float64()/10)
}

// incomplete is a reading that left keys open. Said is only what lasts.
func (a *agent) incomplete(problems error) time.Duration {
	a.attempt++
	if a.lacks() {
		a.complain(fromCloud, problems)
	}
	return metadata.Backoff(a.attempt, problems, rand.Float64())
}

// lacks notes that a reading was none or not complete, and says whether that lasts.
func (r *readings) lacks() bool {
	if r.lacking.IsZero() {
		r.lacking = time.Now()
	}
	return time.Since(r.lacking) >= silence
}

// bare reports whether an interface that lists no key for IPv4 addresses is believed to have none: it never had
// one, and that lasts.
func (a *agent) bare() bool {
	real := a.held && !a.lease.Addr.Addr().IsLinkLocalUnicast()
	switch {
	case real, a.foreignAddress() != "":
		return false
	case a.last.Addrs4.Status == metadata.Unavailable:
		return a.lacks()
	}
	return a.last.Addrs4.Status == metadata.Absent
}

// awaited says what the last reading left open, and why.
func (r *readings) awaited() string {
	why := oneLine(errors.Join(r.missing...))
	if r.vain() {
		return fmt.Sprintf("an answer of the metadata that can be believed (%s)", why)
	}
	return fmt.Sprintf("keys that the metadata could not be asked for (%s)", why)
}

// vain reports whether all that the last reading left open was answered, but not believed.
func (r *readings) vain() bool {
	return len(r.missing) > 0 && !slices.ContainsFunc(r.missing, func(err error) bool { return !metadata.Refused(err) })
}

// partial: the last reading left keys open.
func (r *readings) partial() bool { return r.readErr == nil && !r.lacking.IsZero() }

// learn looks the card's settings up again, now that its ENI and device number are known.
func (a *agent) learn(card metadata.Interface) {
	a.facts = a.facts.Learn(card)
	a.card = a.config.For(a.facts)
	if p := a.cloud.Primary(); p != a.snap.MAC && p != (metadata.MAC{}) {
		a.link.Peers = []metadata.MAC{p}
	}
}

// failed keeps everything as it is. It is said when it lasts or is definite, once each.
func (a *agent) failed(err error) time.Duration {
	k := kind(err)
	off := k == metadata.ErrDisabled
	if lasts := a.lacks(); a.stays && (off && a.outage != k || lasts && a.outage == nil) {
		a.log.Warnf("metadata: %s; everything stays as it is", oneLine(err))
		a.outage = k
	}
	a.readErr = err
	a.attempt++
	wait := metadata.Backoff(a.attempt, err, rand.Float64())
	switch {
	case off:
		return max(wait, a.card.Refresh) // it may be switched on again
	case k != metadata.ErrUnavailable && time.Since(a.begun) > youth:
		return max(wait, youthRefresh) // a card that is this late may be none of the cloud's
	}
	return wait
}

// kind is the sentinel behind an error of the metadata.
func kind(err error) error {
	for _, k := range []error{metadata.ErrDisabled, metadata.ErrNotReady, metadata.ErrUnknownMAC} {
		if errors.Is(err, k) {
			return k
		}
	}
	return metadata.ErrUnavailable
}

// settledDown: the metadata has answered, and nothing is waiting for a second reading.
func (r *readings) settledDown() bool {
	return r.answered && r.readErr == nil && !r.partial() && metadata.Same(r.settled, r.last)
}

// idle: nothing of the card is ours to do.
func (a *agent) idle() bool { return a.card.Manage == config.None || a.record.Yielded != "" }
