package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// What plan and doctor need: the same decision as an agent's, on a NIC that was just read, with what only a running
// agent knows (who has the lease, egress, hosting) replaced by what it would come to. Nothing is changed.

// planTime bounds the wait for the metadata. A plan is for now.
const planTime = 10 * time.Second

// ErrUnsettled means that the metadata has not settled within planTime.
var ErrUnsettled = errors.New("gave up after " + planTime.String())

// Proposal is what up would do with an interface.
type Proposal struct {
	Plan plumb.Plan
	// Problems are what cannot be set up as things are.
	Problems error
	// Waiting is why there is nothing to do yet; nil: there is something to do, or all is done.
	Waiting error
}

// Plan reads the metadata and returns what `up` would do. ErrUnavailable: the metadata did not answer, or not in
// time.
func (n *NIC) Plan(ctx context.Context) (Proposal, error) {
	if n.OwnedByOther(n.snap) {
		n.log.Info(n.leftToText())
		state, _ := n.facts().Want(n.snap)
		return Proposal{Plan: plumb.Diff(n.snap.State, state)}, nil
	}
	if !n.idle() && n.asks() {
		if n.noCloud != nil {
			return Proposal{}, n.noCloud
		}
		if err := n.ReadTwice(ctx); err != nil {
			if ctx.Err() != nil {
				return Proposal{}, errors.New("plan: interrupted")
			}
			return Proposal{}, ErrorOf(ErrUnavailable, "%s: %w", n.snap.Name, err)
		}
	}
	if n.idle() {
		n.logUnmanaged()
		return Proposal{Plan: plumb.Diff(n.snap.State, n.facts().released(n.snap))}, nil
	}
	state, refused := n.planned()
	p := Proposal{Plan: plumb.Diff(n.snap.State, state), Problems: errors.Join(errors.Join(n.missing...), refused)}
	if len(p.Plan) == 0 && len(n.missing) > 0 {
		p.Waiting = ErrorOf(ErrUnavailable, "%s: waiting for %s", n.snap.Name, n.missingFromMetadata())
	}
	return p, nil
}

// ReadTwice reads the metadata until another reading would tell no more, for planTime at most. One reading is enough
// unless it left keys open, or dropped an address while no process is running that waits for the end of that doubt.
// What was answered and is not believed is not asked for again. A later reading that fails, as on a machine that is
// too busy, is tried again.
func (n *NIC) ReadTwice(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, planTime)
	defer cancel()
	for {
		var r reading
		err := metadata.Patiently(ctx, func() error {
			r = readInterface(ctx, n.cloud, n.snap.MAC, n.before())
			return r.err
		})
		switch {
		case err == nil && n.takeForPlan(r):
			return n.Reread()
		case err != nil && ctx.Err() != nil && n.answered: // time ran out during a later reading
			return n.unsettledErr()
		case err != nil && !(n.answered && metadataErrorKind(err) == metadata.ErrUnavailable): // otherwise keep the earlier answer and try again
			return err
		}
		select {
		case <-time.After(confirmAfter): // no event announces that the cloud has published more
		case <-ctx.Done():
			return n.unsettledErr()
		}
	}
}

// takeForPlan applies a reading of ReadTwice and reports whether another one would tell no more.
func (n *NIC) takeForPlan(r reading) bool {
	if r.iface.Unlisted4() && n.last.Addrs4.Status != metadata.Present { // no time to see whether that lasts (lacksIPv4)
		r.iface = r.iface.Without4()
	}
	n.applyReading(r)
	return n.stable() || n.allRefused() || n.doubtful()
}

// unsettledErr is ErrUnsettled with what was waited for.
func (n *NIC) unsettledErr() error {
	return fmt.Errorf("%w waiting for %s", ErrUnsettled, n.missingFromMetadata())
}

// Reread reads the kernel again. The metadata may have told which other objects belong to the interface.
func (n *NIC) Reread() (err error) {
	n.snap, err = n.link.Read()
	return err
}

// planned is the state that `up` would set up, and what it would have to leave out.
func (n *NIC) planned() (plumb.State, error) {
	n.hosts = n.plannedHosting()
	others := n.store.All()
	n.updateNATRole(others)
	f := n.facts()
	if f.mode() != modeManage {
		return f.Want(n.snap)
	}
	f.Lease = n.record.Lease
	f.ownAddress, f.egress = n.plannedOwnAddress(), n.plannedEgress(others)
	state, err := f.Want(n.snap)
	primary, _ := others.Primary()
	return state, errors.Join(append(append(EgressMistakes(n.config, primary.Name), n.nat.refused...), err, n.egressTrouble(0, time.Now()), n.egressTrouble(1, time.Now()))...)
}

// ExpectedState is what should be there on an interface that doctor examines: what its process has decided, by its
// record, if it was set up, else what `up` would set up. granted is what the metadata grants; byLease is true for a
// degraded interface. noNAT are the errors of [nat], refused is what has to be left out.
func (n *NIC) ExpectedState(r state.Record, known state.Records, granted metadata.Interface, byLease bool) (want plumb.State, noNAT []error, refused error) {
	n.updateNATRole(known)
	n.hosts = r.Hosts || (!r.Ready && n.plannedHosting())
	f := n.facts()
	f.known, f.granted = true, granted
	if f.Lease = r.Lease; byLease {
		f.Lease = EffectiveLease(r, n.snap)
	}
	if f.ownAddress = assignsAddress(r.DHCP); !r.Ready || r.DHCP == "" {
		f.ownAddress = n.plannedOwnAddress()
	}
	if r.Ready {
		f.egress = r.Egress.Wanted() // what its process decided
	} else {
		f.egress = n.plannedEgress(known)
	}
	want, refused = f.Want(n.snap)
	return want, n.nat.refused, refused
}

// AssumePeers names the host's other interfaces of the cloud, if the record does not.
func (n *NIC) AssumePeers(peers []metadata.MAC) {
	if len(n.record.Peers) == 0 {
		n.record.Peers = peers
		n.cover()
	}
}

// plannedOwnAddress answers the question of ownsAddress for a command that only plans, and has started nothing.
func (n *NIC) plannedOwnAddress() bool {
	if n.iface.DHCP != config.Auto {
		return true
	}
	_, owned := n.configuredBy()
	return !owned && n.foreignAddress() == ""
}
