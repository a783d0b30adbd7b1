package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Client is a DHCPv4 client for one interface. Its methods open their sockets on the goroutine that
// calls them, and so in the network namespace of that goroutine's thread.
type Client struct {
	Name  string           // the interface's name, for errors and for kernels that bind by name only
	Index int              // interface index
	MAC   net.HardwareAddr // 6 bytes
	// Own lists the MACs of this host's other interfaces, or is nil. An ARP answer from one of them is
	// no conflict: two interfaces in one subnet answer for each other's addresses. It is asked whenever
	// somebody claims the address, at any time and on any goroutine.
	Own func() []net.HardwareAddr
	// Ask is the parameter request list (option 55, RFC 2132 section 9.8), by the options' numbers. nil is the usual one: subnet
	// mask, router, MTU, the lease's times, server and static routes.
	Ask []uint8

	tuned *timing // tests only
}

// Run gets a lease and keeps it until ctx ends, which is no error. carrier tells of changes of the
// link, true for up; it may be nil, and the link counts as up until it says otherwise. prior may
// be nil; while it is alive it is a valid lease from the first event on.
//
// report is called for every change, one call at a time, on the goroutine of Run. An address must
// be configured before report returns from BOUND to be in time for the announcement that follows.
// Run returns ErrNoInterface when the interface is gone, and an error when sockets are not allowed.
func (c *Client) Run(ctx context.Context, prior *Lease, carrier <-chan bool, report func(Event)) error {
	if err := c.check(); err != nil {
		return err
	}
	m := &machine{iface: c, timing: c.timing(), report: report}
	m.adopt(prior)
	l := &link{iface: c, carrier: carrier, poll: m.poll}
	for {
		err := m.session(ctx, l)
		if errors.Is(err, ErrLinkDown) {
			err = m.awaitLink(ctx, l, err)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

func (c *Client) check() error {
	if c.Name == "" || c.Index <= 0 || len(c.MAC) != 6 {
		return fmt.Errorf("DHCP needs an interface with name, index and a MAC of 6 bytes, got %.20q, %d, %.20q", c.Name, c.Index, c.MAC.String())
	}
	return nil
}

func (c *Client) timing() timing {
	if c.tuned != nil {
		return *c.tuned
	}
	return defaultTiming()
}

// own lists the MACs that may claim the leased address.
func (c *Client) own() []net.HardwareAddr {
	own := []net.HardwareAddr{c.MAC}
	if c.Own != nil {
		own = append(own, c.Own()...)
	}
	return own
}
