package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

// [egress]: whether the host's own traffic leaves by this interface, for one address family. This is a pure state
// machine in the manner of VRRP (RFC 5798), with the clock as an argument. Inactive, it watches for a moment to take
// over (elect), and waits preemptDelay for a better candidate; active, it watches for a reason to withdraw (monitor).
// After a withdrawal comes a hold-down that doubles. There is no election protocol between the processes: each reads
// from the kernel who is active, and of two that are, the lower rank stays.

const (
	// gatewayEvery is the pause between two probes of the gateway that traffic leaves by. The kernel gives a gateway
	// up three seconds after an unanswered probe (plumb.Silent).
	gatewayEvery = 3 * time.Second
	// probeTimeout is how long a probe may go unanswered. The kernel asks three times, a second apart
	// (net.ipv4.neigh.*.ucast_solicit, retrans_time_ms), and then begins anew as long as there is traffic.
	probeTimeout = 4 * time.Second
	// verifyTime is how long the metadata may take to answer after traffic was moved.
	verifyTime = 7 * time.Second
	// PrimaryGrace is how long the primary interface's rules may be missing before traffic is withdrawn. Its own
	// process puts back within that time what somebody deletes.
	PrimaryGrace = time.Second
	// preemptDelay is how long an interface that is not the first choice waits for a better one.
	preemptDelay = 2 * time.Second
	// holdDownFirst is the hold-down after the first withdrawal. It doubles each time up to holdDownMax, and starts
	// anew once traffic has left by the interface for holdDownReset.
	holdDownFirst, holdDownMax, holdDownReset = 10 * time.Second, 5 * time.Minute, 10 * time.Minute
)

// candidate decides for one interface and one address family whether the host's own traffic leaves there. Several
// interfaces may briefly have the rules for it; the one with the lowest rank stays, and the others withdraw.
type candidate struct {
	// initialized is false until the first facts: an earlier process may have made the interface active.
	initialized bool
	active      bool
	// activeSince is when the interface became active.
	activeSince time.Time
	// verified is true once the metadata has answered after that.
	verified bool
	// healthySince is since when nothing stands in the way and no better interface is active; zero: something does.
	healthySince time.Time
	// unprotectedSince is since when the primary's rules are missing, while the interface is active; zero: they are
	// there.
	unprotectedSince time.Time
	// heldDownUntil ends the hold-down.
	heldDownUntil time.Time
	// failures counts withdrawals; the hold-down doubles with each.
	failures int
	// superseded is true if a better candidate is active.
	superseded bool
	// why is what stands in the way, or why traffic was withdrawn; zero: nothing.
	why obstacle
}

// obstacle is what keeps traffic from leaving by an interface: the reason for programs, the text for a person.
type obstacle struct {
	reason state.EgressReason
	text   string
}

// candidateFacts are what a candidate decides from.
type candidateFacts struct {
	// active is true if the kernel holds the interface's egress rules, superseded if it holds those of a better
	// candidate.
	active     bool
	superseded bool
	// firstChoice is true for the first interface of the list.
	firstChoice bool
	// unfit is why the interface itself cannot carry traffic; nil: it can.
	unfit error
	// gateway is invalid if the family has none.
	gateway netip.Addr
	// neighbour is what the kernel's neighbour table says of the gateway.
	neighbour plumb.Neighbour
	// primary is why the primary interface would lose its own traffic; nil: it would not.
	primary error
	// metadata is why the metadata does not answer; nil: it does.
	metadata error
	// readAt is when the metadata last answered.
	readAt time.Time
}

// decide takes the facts of now and moves the state machine. What an earlier process made active counts as verified.
func (o *candidate) decide(now time.Time, f candidateFacts) {
	if !o.initialized { // an earlier process may have made it active
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

// monitor looks for a reason to withdraw traffic from an active interface.
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

// withdraw makes the interface inactive and begins a hold-down.
func (o *candidate) withdraw(now time.Time, why obstacle) {
	o.active, o.why = false, why
	o.healthySince, o.unprotectedSince = time.Time{}, time.Time{}
	o.heldDownUntil = now.Add(min(holdDownFirst<<min(o.failures, 10), holdDownMax))
	o.failures++
}

// hindrance is why traffic cannot leave by the interface now; zero: it can.
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

// silent is the obstacle of a gateway that does not answer.
func (f candidateFacts) silent() obstacle {
	return obstacle{state.EgressGateway, fmt.Sprintf("its gateway %s does not answer", f.gateway)}
}

// ofPrimary is the obstacle behind an error of egress.primaryProtected.
func ofPrimary(err error) obstacle {
	if errors.Is(err, plumb.ErrUnprotected) {
		return obstacle{state.EgressUnprotected, err.Error()}
	}
	return obstacle{state.EgressNoPrimary, err.Error()}
}

// elect makes an inactive interface active once nothing stands in the way and its gateway answers; at once if it is
// the first choice, otherwise after preemptDelay. During a hold-down the reason of the withdrawal stays on display.
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
	case now.Before(o.heldDownUntil): // the reason of the withdrawal stays on display
	case why != (obstacle{}):
		o.why = why
	case !o.healthySince.IsZero() && now.Sub(o.healthySince) >= wait:
		o.active, o.verified = true, false
		o.activeSince, o.why = now, obstacle{}
	}
}

// pause is the time until the facts are worth another look if no event announces a change; 0: never.
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

// pending reports whether a decision is about to fall, so that `up` waits for it: an active interface is not verified
// yet, or the first choice is about to take over.
func (o *candidate) pending(f candidateFacts) bool {
	switch {
	case f.superseded || (f.hindrance() != (obstacle{}) && !o.active):
		return false
	case o.active:
		return !o.verified
	}
	return f.firstChoice && o.failures == 0
}

// errNotRead stands in for the metadata's answer until there is one.
var errNotRead = errors.New("the metadata has not been read yet")

// state is the candidate's state for programs: the JSON and the metrics.
func (o candidate) state() state.EgressState {
	switch {
	case o.active:
		return state.EgressActive
	case o.superseded:
		return state.EgressStandby
	case o.failures > 0:
		return state.EgressWithdrawn
	case o.why != (obstacle{}):
		return state.EgressBlocked
	}
	return state.EgressPending
}
