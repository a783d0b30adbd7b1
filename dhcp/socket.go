package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxPacket is enough for a message on an interface with jumbo frames.
const maxPacket = 9216

// socket is an AF_PACKET socket for one protocol on the interface. It is opened on the goroutine of the
// caller, so that it lies in that thread's network namespace.
type socket struct {
	iface *Client
	what  string // for errors
	conn  *packet.Conn
	buf   []byte
}

func (c *Client) listen(what string, proto int, filter []bpf.RawInstruction) (*socket, error) {
	conn, err := packet.Listen(&net.Interface{Index: c.Index, Name: c.Name}, packet.Datagram, proto, &packet.Config{Filter: filter})
	if err != nil {
		return nil, c.fault("open a "+what+" socket", err)
	}
	// Binding to an interface that is down succeeds, and leaves an error behind for the next call.
	if err := pending(conn); err != nil {
		conn.Close()
		return nil, c.fault("open a "+what+" socket", err)
	}
	return &socket{iface: c, what: what, conn: conn, buf: make([]byte, maxPacket)}, nil
}

// pending takes the socket's error.
func pending(conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var errno int
	if e := raw.Control(func(fd uintptr) { errno, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) }); e != nil {
		return e
	}
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// broadcast sends to every host on the link.
func (s *socket) broadcast(b []byte) error {
	_, err := s.conn.WriteTo(b, &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}})
	return s.iface.fault("send "+s.what, err)
}

// receive waits for one packet. It ends with os.ErrDeadlineExceeded, or the cause of ctx.
func (s *socket) receive(ctx context.Context, deadline time.Time) ([]byte, error) {
	// In this order: when ctx ends after the check, interrupt's deadline comes after ours.
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return nil, s.iface.fault("wait for "+s.what, err)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	n, _, err := s.conn.ReadFrom(s.buf)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, os.ErrDeadlineExceeded
	}
	return s.buf[:max(n, 0)], s.iface.fault("receive "+s.what, err)
}

// interrupt makes receive return when ctx ends; the function returned undoes that.
func (s *socket) interrupt(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { s.conn.SetReadDeadline(time.Unix(1, 0)) })
}

// close does not wait: the kernel lets a packet socket go only after an RCU grace period, 10 ms and
// more, and there are two such sockets on the way to a first lease.
func (s *socket) close() { go s.conn.Close() }

// fault says what was tried, and maps the kernel's ways to say that an interface is gone or down.
func (c *Client) fault(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s on %s (index %d): %w", what, c.Name, c.Index, ErrNoInterface)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%s on %s: %w", what, c.Name, ErrLinkDown)
	}
	return fmt.Errorf("%s on %s: %w", what, c.Name, err)
}

// fatal says whether an error of a socket can not be sat out by asking again.
func fatal(err error) bool { return errors.Is(err, ErrNoInterface) || errors.Is(err, ErrLinkDown) }

// leasedSocket is a UDP socket on the leased address, bound to the interface, so that the kernel does
// not send by another interface that is nearer to the server. Answers are read from AF_PACKET; while
// this socket is open the kernel does not answer them with "port unreachable".
func (c *Client) leasedSocket(ctx context.Context, addr netip.Addr) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = c.prepare(int(fd)) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := lc.ListenPacket(ctx, "udp4", netip.AddrPortFrom(addr, clientPort).String())
	if err != nil {
		return nil, c.fault("open a UDP socket", err)
	}
	return conn.(*net.UDPConn), nil
}

// prepare binds to the interface by index, which outlives a rename; kernels before 5.1 know names only.
func (c *Client) prepare(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("share port %d: %w", clientPort, err)
	}
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, c.Index)
	if errors.Is(err, unix.ENOPROTOOPT) {
		err = unix.BindToDevice(fd, c.Name)
	}
	if err != nil {
		return fmt.Errorf("bind to the interface: %w", err)
	}
	return nil
}
