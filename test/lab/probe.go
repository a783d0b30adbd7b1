package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// probeTime is how long a load balancer waits for an answer when ctx does not say.
const probeTime = time.Second

// Probe asks a TCP port of an interface's address, as an Azure load balancer does: from 168.63.129.16, or by IPv6
// from the router's link-local address. interface is where the answer came out of the host, which says more than
// err: an answer by another interface is dropped, and err then says that none arrived (ErrNoReply). A refusal is an
// error too.
func (c *Cloud) Probe(ctx context.Context, to netip.AddrPort) (iface string, err error) {
	from, port, node, err := c.prober(to.Addr())
	if err != nil {
		return "", fmt.Errorf("probe %s: %w", to, err)
	}
	watched, err := c.watch(node)
	defer watched.close()
	if err != nil {
		return "", fmt.Errorf("probe %s: %w", to, err)
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, probeTime)
		defer cancel()
	}
	conn, err := c.fabric.dialBy(ctx, viaDevice(port, &net.TCPAddr{IP: from.AsSlice(), Zone: from.Zone()}), "tcp", to.String())
	switch {
	case err == nil:
		err = conn.Close()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded): // by which of two clocks is chance
		err = fmt.Errorf("%w: %w", ErrNoReply, err)
	}
	iface = watched.answered(to.Addr(), from.WithZone(""), err)
	if err != nil {
		return iface, fmt.Errorf("probe %s: %w", to, err)
	}
	return iface, nil
}

// prober finds where probes of an address come from: the source, the port of the interface, and the interface's host.
func (c *Cloud) prober(to netip.Addr) (from netip.Addr, port string, node *Node, err error) {
	h := c.cfg.Cloud.habits()
	if !h.wire.IsValid() {
		return from, "", nil, errors.New("this cloud's load balancers have no probes in the lab; Azure's have")
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.ifaces {
		switch {
		case slices.Contains(k.Addrs4, to):
			return h.wire, k.port.name, k.node, nil
		case slices.Contains(k.Addrs6, to):
			return h.gateway6(k.subnet).WithZone(k.port.name), k.port.name, k.node, nil
		}
	}
	return from, "", nil, errors.New("no interface has the address")
}

// watching is a capture on each interface of a host.
type watching map[string]*Capture

func (c *Cloud) watch(n *Node) (watching, error) {
	w := watching{}
	for _, k := range c.InterfacesOf(n) {
		capture, err := c.Capture(k.ID)
		if err != nil {
			return w, err
		}
		key := k.Name
		if n != c.instance {
			key = n.Name + "/" + k.Name
		}
		w[key] = capture
	}
	return w, nil
}

func (w watching) close() {
	for _, capture := range w {
		_ = capture.Close() // of an interface that may be gone
	}
}

// answered names the interface that TCP from one address to another was seen to leave by. When an answer has come, or
// somebody's refusal, it was on one of the cables for sure, and the captures are only late.
func (w watching) answered(from, to netip.Addr, dialed error) string {
	patience := probeTime
	if errors.Is(dialed, ErrNoReply) {
		patience = 10 * time.Millisecond
	}
	ctx, found := context.WithTimeout(context.Background(), patience)
	defer found()
	names := make(chan string, len(w))
	var wg sync.WaitGroup
	for name, capture := range w {
		wg.Go(func() {
			if _, err := capture.Wait(ctx, FromInterface, From(from), To(to), Proto(unix.IPPROTO_TCP)); err == nil {
				names <- name
				found()
			}
		})
	}
	wg.Wait()
	close(names)
	return <-names
}
