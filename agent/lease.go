package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/dhcp"
	"ec2net/plumb"
	"ec2net/state"
)

// What is known of an interface's lease: who has it, what our client has reported, and whether another program will
// add its address. Who takes the lease is decided in leasing.go, what follows from it is in leased.go.

const (
	// ownerDecideTime is how long a network manager that has just started may take to say whether it wants the
	// interface.
	ownerDecideTime = 3 * time.Second
	// restartDHCP is the pause before a client that could not work, for want of memory or a socket, is started again.
	restartDHCP = 30 * time.Second
	native      = "native"
	// FirstAnswer is how long the first DISCOVER waits for the metadata, which may say that the subnet has no IPv4.
	FirstAnswer = time.Second
)

const (
	// ownerPatience is how long the program that has the lease may take to add its address. After that ec2net adds
	// the address that the metadata names.
	ownerPatience = 30 * time.Second
	// ownerSilence is the same for a program that takes every interface, from the moment that ec2net listens on a link
	// with carrier, if nobody asks for a lease there. dhcpcd waits a second at most before its first DISCOVER, and
	// sends an ARP probe every two seconds (RFC 5227 section 1.1) before it adds the address.
	ownerSilence = 5 * time.Second
)

// dhcpState is what is known of the interface's lease.
type dhcpState struct {
	// lease is the last lease, even after it has ended: its router stays what it was.
	lease *dhcp.Lease
	// held is true while the lease is valid.
	held bool
	// conflict is true if another host answers for the leased address (RFC 5227) and the metadata does not list it.
	conflict bool
	// dhcpOwner is who has the lease: "native" (our client), "off", the name of a program; "" while that is
	// undecided.
	dhcpOwner string
	// dhcpSince is when our client began to try.
	dhcpSince time.Time
	// await is what is known of whether the program that has the lease will add its address.
	await awaitOwner
	// hosts is true if the host itself lives by this interface, see hosting.go.
	hosts bool
	// foreignLease is another program's address in the form of a lease; used while the metadata has never answered.
	foreignLease *dhcp.Lease
	leases       leases
}

// awaitOwner is what is known of whether another program will add its address. The zero value: nothing is waited for.
type awaitOwner struct {
	// owner is the program as it was found.
	owner dhcp.Owner
	// heard reports the first sign of a DHCP client; nil: ec2net does not listen.
	heard <-chan dhcp.Heard
	stop  context.CancelFunc
	// since is when listening began; zero: it has not. deaf is true if it failed.
	since time.Time
	deaf  bool
	// sign is what was heard; zero: nothing.
	sign dhcp.Heard
	// unheard is true once ownerSilence is over: the program will not come.
	unheard bool
}

// until is when ec2net stops to wait for a program, if nothing else happens.
func (w awaitOwner) until(startedAt time.Time) time.Time {
	last := startedAt.Add(ownerPatience)
	if !w.owner.ForAll || w.since.IsZero() || !w.sign.At.IsZero() {
		return last
	}
	if soon := w.since.Add(ownerSilence); soon.Before(last) {
		return soon
	}
	return last
}

// end closes the socket. What was heard stays known.
func (w *awaitOwner) end() {
	if w.stop != nil {
		w.stop()
	}
	w.heard, w.stop = nil, nil
}

// basis is what a degraded interface runs on: its own lease or, if another program has the lease, what that program
// made of it; nil: there is nothing yet.
func (t *dhcpState) basis() *dhcp.Lease {
	if t.lease != nil {
		return t.lease
	}
	return t.foreignLease
}

// describeBasis names the basis for a person.
func (t *dhcpState) describeBasis() string {
	switch {
	case t.lease != nil:
		return t.lease.Addr.String() + " from its lease alone"
	case t.dhcpOwner != "" && !assignsAddress(t.dhcpOwner):
		return t.foreignLease.Addr.String() + " as " + t.dhcpOwner + " set it up"
	}
	return t.foreignLease.Addr.String() + " as it was found"
}

// EffectiveLease is what a degraded interface runs on according to its record: its lease, or another program's
// address as long as the kernel still has it.
func EffectiveLease(r state.Record, s plumb.Snapshot) *dhcp.Lease {
	if r.Lease != nil {
		return r.Lease
	}
	return s.Foreign()
}

// stop ends the running client, if any. Another one may be started later.
func (l *leases) stop() {
	if l.quit != nil {
		l.quit()
		l.quit = nil
	}
}

// sameLease reports whether two leases, each of which may be nil, give the interface the same.
func sameLease(a, b *dhcp.Lease) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Same(*b)
}

// assignsAddress reports whether the primary address is ours to add, given who has the lease: our client, or nobody
// because the configuration says dhcp = "off".
func assignsAddress(leasing string) bool { return leasing == native || leasing == "off" }

// leases connects the agent with the goroutine of our DHCP client.
type leases struct {
	// events are the client's reports; the buffer keeps it from waiting for the loop.
	events chan dhcp.Event
	// carrier tells the client of the link; one value, the newest.
	carrier chan bool
	// quit ends the client; nil: none is running.
	quit context.CancelFunc
	// logged are the kinds of failure that were logged since the last lease.
	logged map[error]bool
}

func newLeases() leases {
	return leases{events: make(chan dhcp.Event, 8), carrier: make(chan bool, 1), logged: map[error]bool{}}
}

// run is the client's goroutine. It starts the client again after restartDHCP if it fails, and ends with ctx or with
// the interface.
func (l *leases) run(ctx context.Context, client *dhcp.Client, prior *dhcp.Lease) {
	report := func(e dhcp.Event) {
		prior = e.Lease
		select {
		case l.events <- e:
		case <-ctx.Done():
		}
	}
	for {
		err := client.Run(ctx, prior, l.carrier, report)
		if err == nil || errors.Is(err, dhcp.ErrNoInterface) {
			return // ctx has ended, or the interface is gone, which the kernel reports
		}
		report(dhcp.Event{Lease: prior, Err: fmt.Errorf("DHCP has stopped and restarts in %s: %w", restartDHCP, err), At: time.Now()})
		select {
		case <-time.After(restartDHCP):
		case <-ctx.Done():
			return
		}
	}
}

// signal tells the client of the carrier. A value that it has not read yet is replaced: only the newest counts.
func (l *leases) signal(up bool) {
	if l.quit == nil {
		return
	}
	select {
	case <-l.carrier:
	default:
	}
	l.carrier <- up
}

// dhcpErrorKind is the sentinel behind an error of the DHCP client.
func dhcpErrorKind(err error) error {
	for _, k := range []error{dhcp.ErrConflict, dhcp.ErrNak, dhcp.ErrExpired, dhcp.ErrLinkDown, dhcp.ErrSilent} {
		if errors.Is(err, k) {
			return k
		}
	}
	return errOther
}

// errOther stands for failures of DHCP that have no sentinel.
var errOther = errors.New("DHCP failed")
