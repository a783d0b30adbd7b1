package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
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
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dialBy(ctx, &net.Dialer{}, network, address)
}

func (n *Node) dialBy(ctx context.Context, d *net.Dialer, network, address string) (c net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial from %s: %w", n.Name, err)
	}
	err = n.Do(func() error {
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", n.Name, err)
	}
	return c, nil
}

// DialVia is Dial through one of the node's interfaces (SO_BINDTODEVICE).
func (n *Node) DialVia(device string) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := viaDevice(device, nil)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return n.dialBy(ctx, d, network, address)
	}
}

// viaDevice dials through one of the interfaces of where it is used, from an address unless that is nil.
func viaDevice(device string, from net.Addr) *net.Dialer {
	return &net.Dialer{LocalAddr: from, Control: func(_, _ string, c syscall.RawConn) error {
		var bound error
		err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), device) })
		return errors.Join(err, bound)
	}}
}

// awaitExec returns when no program is just being started. Until it is the other program, a child holds all sockets of
// this process, also those that were closed here meanwhile: their ports stay taken.
func awaitExec() {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
}
