package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Listen opens a listener on the node.
func (n *Node) Listen(network string, at netip.AddrPort) (l net.Listener, err error) {
	err = n.Do(func() error {
		l, err = net.Listen(network, at.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("on %s: %w", n.Name, err)
	}
	return l, nil
}

// ListenPacket opens a packet socket on the node.
func (n *Node) ListenPacket(network string, at netip.AddrPort) (p net.PacketConn, err error) {
	err = n.Do(func() error {
		p, err = net.ListenPacket(network, at.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("on %s: %w", n.Name, err)
	}
	return p, nil
}

// Dial connects from the node. It fits http.Transport.DialContext. The address must be numeric.
func (n *Node) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial from %s: %w", n.Name, err)
	}
	err = n.Do(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", n.Name, err)
	}
	return c, nil
}
