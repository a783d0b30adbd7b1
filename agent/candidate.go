package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

const (
	// gatewayEvery is the pause between two questions to the gateway of the interface that traffic leaves
	// by. One that does not answer is known for dead three seconds after a question (plumb.Silent).
	gatewayEvery = 3 * time.Second
	// probeTimeout is how long the kernel may be asking before that is an answer, too: it asks three
	// times, a second apart.
	probeTimeout = 4 * time.Second
	// verifyTime is how long the metadata may take to answer after traffic was moved.
	verifyTime = 7 * time.Second
	// PrimaryGrace is how long the primary interface's rules may be missing: its own process puts back what
	// somebody deletes within that time.
	PrimaryGrace = time.Second
	// preemptDelay is how long an interface that is not the first choice waits for a better one.
	preemptDelay = 2 * time.Second
	// holdDownFirst is the time before an interface is tried again that traffic was withdrawn from; it doubles
	// each time up to restMost, and begins anew once traffic has left by the interface for restOver.
	holdDownFirst, holdDownMax, holdDownReset = 10 * time.Second, 5 * time.Minute, 10 * time.Minute
)

// candidate decides for one interface and one address family whether the host's own traffic leaves there. It
// is decided by the interface's own process, from what the kernel says: several interfaces may briefly have the rules;
// the one with the lowest rank keeps them, and the others withdraw.
type candidate struct {
	initialized      bool
	active           bool
	activeSince      time.Time // when it was switched on
	verified         bool      // the metadata has answered since
	healthySince     time.Time // since when nothing stands in the way and no better interface has it; zero: now
	unprotectedSince time.Time // since when something that may pass is amiss; zero: nothing is
	heldDownUntil    time.Time // not again before
	failures         int
	superseded       bool     // an interface that is preferred has it
	why              obstacle // what stands in the way, or why traffic was taken back; zero: nothing
}

// obstacle is what keeps traffic from leaving by an interface.
type obstacle struct {
	reason state.EgressReason
	text   string // for a person
}

// candidateFacts are what it is decided from.
type candidateFacts struct {
	active      bool            // the kernel holds the interface's rules
	superseded  bool            // and those of an interface that is preferred
	firstChoice bool            // this interface is the first choice
	unfit       error           // the interface itself is not set up; nil: it is
	gateway     netip.Addr      // invalid: the family has none
	neighbour   plumb.Neighbour // what the gateway says
	primary     error           // the primary interface does not keep its own traffic
	metadata    error           // why the metadata does not answer; nil: it does
	readAt      time.Time       // its last answer
}

// decide takes the facts of now in.
func (o *candidate) decide(now time.Time, f candidateFacts) {
	if !o.initialized { // what an earlier process decided holds
		o.initialized, o.activeSince = true, now
		o.active, o.verified = f.active, f.active
	}
	o.superseded = f.superseded
	switch {
	case f.superseded:
		o.active, o.healthySince = false, time.Time{}
		o.why = obstacle{}
	case o.active:
		o.monitor(now, f)
	default:
		o.elect(now, f)
	}
}

// monitor looks for a reason to take traffic back.
func (o *candidate) monitor(now time.Time, f candidateFacts) {
	o.verified = o.verified || (f.metadata == nil && f.readAt.After(o.activeSince))
	if f.primary == nil {
		o.unprotectedSince = time.Time{}
	} else if o.unprotectedSince.IsZero() {
		o.unprotectedSince = now
	}
	switch {
	case f.unfit != nil:
		o.withdraw(now, obstacle{state.EgressLink, f.unfit.Error()})
	case f.neighbour == plumb.Silent:
		o.withdraw(now, f.silent())
	case f.primary != nil && now.Sub(o.unprotectedSince) >= PrimaryGrace:
		o.withdraw(now, ofPrimary(f.primary))
	case !o.verified && now.Sub(o.activeSince) >= verifyTime:
		o.withdraw(now, obstacle{state.EgressMetadata, fmt.Sprintf("the metadata did not answer within %s", verifyTime)})
	case now.Sub(o.activeSince) >= holdDownReset:
		o.failures = 0
	}
}

// withdraw takes traffic back.
func (o *candidate) withdraw(now time.Time, why obstacle) {
	o.active, o.why = false, why
	o.healthySince, o.unprotectedSince = time.Time{}, time.Time{}
	o.heldDownUntil = now.Add(min(holdDownFirst<<min(o.failures, 10), holdDownMax))
	o.failures++
}

// hindrance is why traffic can not leave by the interface now; zero: it can.
func (f candidateFacts) hindrance() obstacle {
	switch {
	case f.unfit != nil:
		return obstacle{state.EgressLink, f.unfit.Error()}
	case !f.gateway.IsValid():
		return obstacle{state.EgressNoGateway, "it has no gateway"}
	case f.neighbour == plumb.Silent:
		return f.silent()
	case f.primary != nil:
		return ofPrimary(f.primary)
	case errors.Is(f.metadata, errNotRead):
		return obstacle{state.EgressUnread, errNotRead.Error()}
	case f.metadata != nil:
		return obstacle{state.EgressMetadata, "the metadata does not answer, so a switch could not be verified"}
	}
	return obstacle{}
}

func (f candidateFacts) silent() obstacle {
	return obstacle{state.EgressGateway, fmt.Sprintf("its gateway %s does not answer", f.gateway)}
}

// ofPrimary is what an error of the primary interface stands for, see egress.primaryProtected.
func ofPrimary(err error) obstacle {
	if errors.Is(err, plumb.ErrUnprotected) {
		return obstacle{state.EgressUnprotected, err.Error()}
	}
	return obstacle{state.EgressNoPrimary, err.Error()}
}

// elect looks for a moment to move traffic to the interface.
func (o *candidate) elect(now time.Time, f candidateFacts) {
	why := f.hindrance()
	if why != (obstacle{}) || f.neighbour != plumb.Answers {
		o.healthySince = time.Time{}
	} else if o.healthySince.IsZero() {
		o.healthySince = now
	}
	wait := preemptDelay
	if f.firstChoice {
		wait = 0
	}
	switch {
	case now.Before(o.heldDownUntil): // why it was taken back is what counts
	case why != (obstacle{}):
		o.why = why
	case !o.healthySince.IsZero() && now.Sub(o.healthySince) >= wait:
		o.active, o.verified = true, false
		o.activeSince, o.why = now, obstacle{}
	}
}

// pause is the time until the facts are worth another look, when no event tells of them; 0 is never.
func (o *candidate) pause(now time.Time, f candidateFacts) time.Duration {
	switch {
	case f.superseded || !f.gateway.IsValid():
		return 0
	case !o.active && now.Before(o.heldDownUntil):
		return max(o.heldDownUntil.Sub(now), time.Millisecond)
	case o.active && (!o.verified || !o.unprotectedSince.IsZero()), f.neighbour == plumb.Asking, !o.healthySince.IsZero() && !o.active:
		return PrimaryGrace / 4
	case f.neighbour == plumb.Unasked && !o.active:
		return 50 * time.Millisecond
	}
	return gatewayEvery
}

// pending reports whether it is about to be decided.
func (o *candidate) pending(f candidateFacts) bool {
	switch {
	case f.superseded || (f.hindrance() != (obstacle{}) && !o.active):
		return false
	case o.active:
		return !o.verified
	}
	return f.firstChoice && o.failures == 0
}
