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
	// askedInVain is how long the kernel may be asking before that is an answer, too: it asks three
	// times, a second apart.
	askedInVain = 4 * time.Second
	// proofTime is how long the metadata may take to answer after traffic was moved.
	proofTime = 7 * time.Second
	// PrimaryGrace is how long the primary interface's rules may be missing: its own keeper puts back what
	// somebody deletes within that time.
	PrimaryGrace = time.Second
	// seniority is how long an interface that is not the first choice waits for a better one.
	seniority = 2 * time.Second
	// restFirst is the time before an interface is tried again that traffic was withdrawn from; it doubles
	// each time up to restMost, and begins anew once traffic has left by the interface for restOver.
	restFirst, restMost, restOver = 10 * time.Second, 5 * time.Minute, 10 * time.Minute
)

// outlet decides for one interface and one address family whether the host's own traffic leaves there. It
// is decided by the interface's own process, from what the kernel says: several interfaces may briefly have the rules;
// the one with the lowest rank keeps them, and the others withdraw.
type outlet struct {
	begun  bool
	on     bool
	since  time.Time // when it was switched on
	proven bool      // the metadata has answered since
	clear  time.Time // since when nothing stands in the way and no better interface has it; zero: now
	broken time.Time // since when something that may pass is amiss; zero: nothing is
	rest   time.Time // not again before
	falls  int
	better bool     // an interface that is preferred has it
	why    obstacle // what stands in the way, or why traffic was taken back; zero: nothing
}

// obstacle is what keeps traffic from leaving by an interface.
type obstacle struct {
	reason state.EgressReason
	text   string // for a person
}

// outletFacts are what it is decided from.
type outletFacts struct {
	has       bool            // the kernel holds the interface's rules
	better    bool            // and those of an interface that is preferred
	senior    bool            // this interface is the first choice
	set       error           // the interface itself is not set up; nil: it is
	gateway   netip.Addr      // invalid: the family has none
	neighbour plumb.Neighbour // what the gateway says
	primary   error           // the primary interface does not keep its own traffic
	metadata  error           // why the metadata does not answer; nil: it does
	readAt    time.Time       // its last answer
}

// decide takes the facts of now in.
func (o *outlet) decide(now time.Time, f outletFacts) {
	if !o.begun { // what an earlier process decided holds
		o.begun, o.since = true, now
		o.on, o.proven = f.has, f.has
	}
	o.better = f.better
	switch {
	case f.better:
		o.on, o.clear = false, time.Time{}
		o.why = obstacle{}
	case o.on:
		o.hold(now, f)
	default:
		o.seek(now, f)
	}
}

// hold looks for a reason to take traffic back.
func (o *outlet) hold(now time.Time, f outletFacts) {
	o.proven = o.proven || (f.metadata == nil && f.readAt.After(o.since))
	if f.primary == nil {
		o.broken = time.Time{}
	} else if o.broken.IsZero() {
		o.broken = now
	}
	switch {
	case f.set != nil:
		o.fall(now, obstacle{state.EgressLink, f.set.Error()})
	case f.neighbour == plumb.Silent:
		o.fall(now, f.silent())
	case f.primary != nil && now.Sub(o.broken) >= PrimaryGrace:
		o.fall(now, ofPrimary(f.primary))
	case !o.proven && now.Sub(o.since) >= proofTime:
		o.fall(now, obstacle{state.EgressMetadata, fmt.Sprintf("the metadata did not answer within %s", proofTime)})
	case now.Sub(o.since) >= restOver:
		o.falls = 0
	}
}

// fall takes traffic back.
func (o *outlet) fall(now time.Time, why obstacle) {
	o.on, o.why = false, why
	o.clear, o.broken = time.Time{}, time.Time{}
	o.rest = now.Add(min(restFirst<<min(o.falls, 10), restMost))
	o.falls++
}

// hindrance is why traffic can not leave by the interface now; zero: it can.
func (f outletFacts) hindrance() obstacle {
	switch {
	case f.set != nil:
		return obstacle{state.EgressLink, f.set.Error()}
	case !f.gateway.IsValid():
		return obstacle{state.EgressNoGateway, "it has no gateway"}
	case f.neighbour == plumb.Silent:
		return f.silent()
	case f.primary != nil:
		return ofPrimary(f.primary)
	case errors.Is(f.metadata, errUnread):
		return obstacle{state.EgressUnread, errUnread.Error()}
	case f.metadata != nil:
		return obstacle{state.EgressMetadata, "the metadata does not answer, so a switch could not be verified"}
	}
	return obstacle{}
}

func (f outletFacts) silent() obstacle {
	return obstacle{state.EgressGateway, fmt.Sprintf("its gateway %s does not answer", f.gateway)}
}

// ofPrimary is what an error of the primary interface stands for, see egress.primaryKept.
func ofPrimary(err error) obstacle {
	if errors.Is(err, plumb.ErrUnprotected) {
		return obstacle{state.EgressUnprotected, err.Error()}
	}
	return obstacle{state.EgressNoPrimary, err.Error()}
}

// seek looks for a moment to move traffic to the interface.
func (o *outlet) seek(now time.Time, f outletFacts) {
	why := f.hindrance()
	if why != (obstacle{}) || f.neighbour != plumb.Answers {
		o.clear = time.Time{}
	} else if o.clear.IsZero() {
		o.clear = now
	}
	wait := seniority
	if f.senior {
		wait = 0
	}
	switch {
	case now.Before(o.rest): // why it was taken back is what counts
	case why != (obstacle{}):
		o.why = why
	case !o.clear.IsZero() && now.Sub(o.clear) >= wait:
		o.on, o.proven = true, false
		o.since, o.why = now, obstacle{}
	}
}

// pause is the time until the facts are worth another look, when no event tells of them; 0 is never.
func (o *outlet) pause(now time.Time, f outletFacts) time.Duration {
	switch {
	case f.better || !f.gateway.IsValid():
		return 0
	case !o.on && now.Before(o.rest):
		return max(o.rest.Sub(now), time.Millisecond)
	case o.on && (!o.proven || !o.broken.IsZero()), f.neighbour == plumb.Asking, !o.clear.IsZero() && !o.on:
		return PrimaryGrace / 4
	case f.neighbour == plumb.Unasked && !o.on:
		return 50 * time.Millisecond
	}
	return gatewayEvery
}

// pending: it is about to be decided.
func (o *outlet) pending(f outletFacts) bool {
	switch {
	case f.better || (f.hindrance() != (obstacle{}) && !o.on):
		return false
	case o.on:
		return !o.proven
	}
	return f.senior && o.falls == 0
}
