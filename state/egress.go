package state

import "ec2net/plumb"

// Egress is the place of an interface among those that the host's own traffic may leave by. A nil one is none.
type Egress struct {
	Rank  int    `json:"rank"` // in the order of preference
	IPv4  bool   `json:"ipv4"` // it leaves by the interface
	IPv6  bool   `json:"ipv6"`
	State string `json:"state"` // one line for a person
	// What was decided for each address family; the zero value: there is nothing to decide, as for the primary interface, or
	// for a family that has no gateway beside one that has.
	Decided4 EgressDecision `json:"ipv4_decision,omitzero"`
	Decided6 EgressDecision `json:"ipv6_decision,omitzero"`
}

// EgressDecision says whether the host's own traffic of one family leaves by the interface, and why it does not.
type EgressDecision struct {
	State  EgressState  `json:"state"`
	Reason EgressReason `json:"reason,omitempty"` // of EgressBlocked and EgressWithdrawn
}

// EgressState is how an interface stands to the traffic of one family.
type EgressState string

// The states.
const (
	EgressActive    EgressState = "active"    // it leaves by the interface
	EgressStandby   EgressState = "standby"   // it leaves by a preferred interface
	EgressPending   EgressState = "pending"   // nothing stands in the way: it is about to leave by the interface
	EgressBlocked   EgressState = "blocked"   // something stands in the way
	EgressWithdrawn EgressState = "withdrawn" // it left by the interface and was taken back
)

// EgressReason is what stands in the way, or why traffic was taken back.
type EgressReason string

// The reasons.
const (
	EgressLink        EgressReason = "link"        // the interface itself: its link, or that it runs on its lease alone
	EgressNoGateway   EgressReason = "no_gateway"  // the family has none here
	EgressGateway     EgressReason = "gateway"     // it does not answer
	EgressNoPrimary   EgressReason = "no_primary"  // the primary interface is not set up, or can not be read
	EgressUnprotected EgressReason = "unprotected" // the primary interface does not keep its own traffic
	EgressUnread      EgressReason = "unread"      // the metadata has not been read yet
	EgressMetadata    EgressReason = "metadata"    // it does not answer
	EgressRollback    EgressReason = "rollback"    // the change cut something off
)

// Wanted is the part of a plumb.Input.
func (e *Egress) Wanted() plumb.Egress {
	if e == nil {
		return plumb.Egress{}
	}
	return plumb.Egress{Rank: e.Rank, IPv4: e.IPv4, IPv6: e.IPv6}
}

// Text is its state, for a person; empty for none.
func (e *Egress) Text() string {
	if e == nil {
		return ""
	}
	return e.State
}

// Failing are the reasons of the families that do not leave by the interface, though no other one is preferred.
func (e *Egress) Failing() (out []EgressReason) {
	if e == nil {
		return nil
	}
	for _, d := range []EgressDecision{e.Decided4, e.Decided6} {
		if d.State == EgressBlocked || d.State == EgressWithdrawn {
			out = append(out, d.Reason)
		}
	}
	return out
}
