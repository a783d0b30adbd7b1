package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

// What an interface remembers of [egress] between two events: the candidates of both families, their facts, the
// gateways' answers, and the link to the primary, whose protection it looks after. part.go acts on it.

// egress is the interface's part in deciding by which interface the host's own traffic leaves.
type egress struct {
	// rank is the interface's place in the list of [egress]; -1: it is no candidate.
	rank int
	// candidates, facts, asked and asking have one entry for each address family: IPv4, IPv6.
	candidates [2]candidate
	facts      [2]candidateFacts
	// asked is when the gateway was last probed; asking is since when the kernel waits for its answer, zero: it does
	// not.
	asked  [2]time.Time
	asking [2]time.Time
	// moved is true if the last reconciliation moved traffic; then its changes are no repair.
	moved bool
	// verify asks for a reading of the metadata, which has to answer after the move.
	verify bool
	// primary is a netlink handle of its own for the primary interface, whose rules are checked.
	primary *plumb.Link
	// last is the primary's record when it was last read; it stands in for one that was deleted.
	last state.Record
}

// families name the two candidates, in their order.
var families = [2]string{"IPv4", "IPv6"}

// timedOut treats a probe that is older than probeTimeout as failed. With traffic flowing the kernel probes again at
// once, so that NUD_FAILED is hardly ever to be seen.
func (e *egress) timedOut(family int, n plumb.Neighbour, now time.Time) plumb.Neighbour {
	since := &e.asking[family]
	switch {
	case n != plumb.Asking:
		*since = time.Time{}
	case since.IsZero():
		*since = now
	case now.Sub(*since) >= probeTimeout:
		return plumb.Silent
	}
	return n
}

// primaryProtected returns for each family why the primary interface would lose its own traffic (SSH, the cloud's
// servers) if the host's traffic left by another interface; nil: its rules are there, and it would not.
func (e *egress) primaryProtected(r state.Record, services []netip.Addr) (out [2]error) {
	have, failed := e.readPrimary(r)
	for i := range out {
		err := failed
		if err == nil {
			err = plumb.Protected(have, r.Interface, i == 1, services)
		}
		if err != nil {
			out[i] = fmt.Errorf("the primary interface %s: %w", r.Name, err)
		}
	}
	return out
}

var errNoPrimary = errors.New("nobody has set up the primary interface, whose connections would break: start its unit, or run \"ec2net up\" for it")

// readPrimary reads the primary interface from the kernel, by a handle that is kept open.
func (e *egress) readPrimary(r state.Record) (plumb.Snapshot, error) {
	if e.primary == nil {
		link, err := plumb.Open(r.Name)
		if err != nil {
			return plumb.Snapshot{}, err
		}
		e.primary = link
	}
	e.primary.Name, e.primary.Index = r.Name, r.Index
	e.primary.Cover(plumb.Scope{Numbers: r.Numbers})
	return e.primary.Read()
}

// close closes that handle.
func (e *egress) close() {
	if e.primary != nil {
		e.primary.Close()
	}
}
