package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"ec2net/config"
	"ec2net/metadata"
)

// reading is one answer of the metadata.
type reading struct {
	card metadata.Interface
	err  error
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
		answers <- reading{card, err}
	}()
}

// take works an answer in and says when to ask again.
func (a *agent) take(r reading) (next time.Duration) {
	a.unsaved = true
	if r.err != nil {
		return a.failed(r.err)
	}
	if a.readErr != nil && a.stays && a.answered {
		a.log.Info("the metadata answers again")
	}
	first := !a.answered
	a.readErr, a.answered = nil, true
	if !r.card.Partial() {
		a.attempt = 0
	}
	a.learn(r.card)
	a.settled = metadata.Settle(a.last, r.card)
	a.last = metadata.Carry(a.last, r.card)
	a.partial = r.card.Partial()
	a.record.ReadAt = time.Now()
	a.complain(fromCloud, errors.Join(r.card.Problems...))
	switch {
	case a.partial:
		a.attempt++
		return metadata.Backoff(a.attempt, errors.Join(r.card.Problems...), rand.Float64())
	case !metadata.Same(a.settled, a.last):
		return confirmAfter
	case first || time.Since(a.begun) < youth:
		return min(youthRefresh, a.card.Refresh)
	}
	return a.card.Refresh
}

// learn looks the card's settings up again, now that its ENI and device number are known.
func (a *agent) learn(card metadata.Interface) {
	a.facts = a.facts.Learn(card)
	a.card = a.config.For(a.facts)
	if p := a.cloud.Primary(); p != a.snap.MAC && p != (metadata.MAC{}) {
		a.link.Peers = []metadata.MAC{p}
	}
}

// failed keeps everything as it is. It is said once, however long it lasts.
func (a *agent) failed(err error) time.Duration {
	if a.stays && kind2(a.readErr) != kind(err) {
		a.log.Warnf("metadata: %v; everything stays as it is", err)
	}
	a.readErr = err
	a.attempt++
	wait := metadata.Backoff(a.attempt, err, rand.Float64())
	if kind(err) == metadata.ErrDisabled {
		wait = max(wait, a.card.Refresh) // it may be switched on again
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
func (a *agent) settledDown() bool {
	return a.answered && a.readErr == nil && !a.partial && metadata.Same(a.settled, a.last)
}

// idle: nothing of the card is ours to do.
func (a *agent) idle() bool { return a.card.Manage == config.None }
