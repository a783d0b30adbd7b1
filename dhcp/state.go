package dhcp

import (
	"errors"
	"time"
)

// State is a state of RFC 2131 section 4.4, as it is reported. InitReboot stands for INIT-REBOOT
// and REBOOTING both.
type State uint8

// The states, in the order of an undisturbed life.
const (
	Init State = iota
	InitReboot
	Selecting
	Requesting
	Bound
	Renewing
	Rebinding
)

func (s State) String() string {
	return [...]string{"INIT", "INIT-REBOOT", "SELECTING", "REQUESTING", "BOUND", "RENEWING", "REBINDING"}[s]
}

// Event is one change that Run reports.
type Event struct {
	State State     // the state that is entered, or gone on with
	Lease *Lease    // the lease that is valid now, nil when there is none; the receiver's own copy
	Err   error     // why the last step failed, or nil
	At    time.Time // wall clock
}

// What a caller may branch on in Event.Err and in returned errors.
var (
	// ErrNoInterface: the interface is gone. Run ends with it.
	ErrNoInterface = errors.New("no such network interface")
	// ErrLinkDown: the interface is down; the client waits for it.
	ErrLinkDown = errors.New("link is down")
	// ErrExpired: no server prolonged the lease before its end.
	ErrExpired = errors.New("lease expired")
	// ErrNak: a server refused the request.
	ErrNak = errors.New("refused by the server")
	// ErrConflict: another host uses the address.
	ErrConflict = errors.New("address in use by another host")
	// ErrSilent: no server answered; the client goes on asking.
	ErrSilent = errors.New("no answer")
)

// outcome is how a step of the state machine ended.
type outcome uint8

const (
	due       outcome = iota // the time of the state is over: a pause, T1 or T2
	offered                  // an acceptable OFFER
	granted                  // an acceptable ACK, and the address is free
	silent                   // nobody answered
	worthless                // the server that was chosen sent an ACK that no host can use
	denied                   // NAK
	taken                    // another host has the address; it was declined
	lapsed                   // the lease came to its end
)

// next is the state machine: figure 5 of RFC 2131.
func next(s State, o outcome) State {
	switch {
	case o == granted:
		return Bound
	case o == denied, o == taken, o == lapsed, o == worthless:
		return Init
	case s == Init:
		return Selecting
	case s == Selecting && o == offered:
		return Requesting
	case s == Bound:
		return Renewing
	case s == Renewing:
		return Rebinding
	}
	return Init // INIT-REBOOT and REQUESTING without an answer
}

// endsLease says whether the lease that was held is lost. Silence does not end it: a host may use
// its address to the end of the lease (RFC 2131 section 3.2).
func (o outcome) endsLease() bool { return o == denied || o == taken || o == lapsed }
