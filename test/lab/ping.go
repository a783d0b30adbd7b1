package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Ping says how to ask for an echo. The zero value asks once and waits a second.
type Ping struct {
	Source  netip.Addr    // bound to; default the kernel's choice
	Device  string        // bound to
	Size    int           // bytes of payload; default 56
	Mark    int           // of the packets
	Tries   int           // echo requests, one after the other, until one is answered; default 1
	Timeout time.Duration // for each; default one second
}

// ErrNoReply says that nothing came back in time.
var ErrNoReply = errors.New("no reply")

// Ping sends an ICMP echo request from the node and returns the time until its answer. When nothing comes
// the error is ErrNoReply; when somebody says that it cannot be delivered, or the kernel has no route, it is that.
func (n *Node) Ping(ctx context.Context, dst netip.Addr, o Ping) (time.Duration, error) {
	conn, err := n.pingSocket(dst, o)
	if err != nil {
		return 0, fmt.Errorf("ping %s from %s: %w", dst, n.Name, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for try := range max(o.Tries, 1) {
		var rtt time.Duration
		if rtt, err = echo(conn, dst, try, o); err == nil {
			return rtt, nil
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
	}
	return 0, fmt.Errorf("ping %s from %s: %w", dst, n.Name, err)
}

// pingSocket opens an ICMP echo socket: the kernel sets the identifier and delivers only its own replies.
func (n *Node) pingSocket(dst netip.Addr, o Ping) (conn net.Conn, err error) {
	err = n.Do(func() error {
		domain, proto := unix.AF_INET, unix.IPPROTO_ICMP
		if dst.Is6() {
			domain, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		}
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
		if err != nil {
			return fmt.Errorf("open an echo socket: %w", err)
		}
		f := os.NewFile(uintptr(fd), "ping")
		defer f.Close()
		if err := aimSocket(fd, dst, o); err != nil {
			return err
		}
		conn, err = net.FileConn(f)
		return err
	})
	return conn, err
}

// aimSocket binds and connects an echo socket.
func aimSocket(fd int, dst netip.Addr, o Ping) error {
	if o.Device != "" {
		if err := unix.BindToDevice(fd, o.Device); err != nil {
			return fmt.Errorf("bind to %s: %w", o.Device, err)
		}
	}
	if o.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, o.Mark); err != nil {
			return fmt.Errorf("set mark: %w", err)
		}
	}
	if o.Source.IsValid() {
		if err := unix.Bind(fd, sockaddr(o.Source)); err != nil {
			return fmt.Errorf("bind to %s: %w", o.Source, err)
		}
	}
	if err := unix.Connect(fd, sockaddr(dst)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

func echo(conn net.Conn, dst netip.Addr, seq int, o Ping) (time.Duration, error) {
	size, timeout := o.Size, o.Timeout
	if size == 0 {
		size = 56
	}
	if timeout == 0 {
		timeout = time.Second
	}
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{Seq: seq + 1, Data: make([]byte, size)}}
	want := icmp.Type(ipv4.ICMPTypeEchoReply)
	if dst.Is6() {
		m.Type, want = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	out, err := m.Marshal(nil)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := conn.SetDeadline(start.Add(timeout)); err != nil {
		return 0, err
	}
	if _, err := conn.Write(out); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	return waitEcho(conn, want, seq+1, start, make([]byte, size+64))
}

func waitEcho(conn net.Conn, want icmp.Type, seq int, start time.Time, buf []byte) (time.Duration, error) {
	for {
		n, err := conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return 0, ErrNoReply
		case errors.Is(err, syscall.EMSGSIZE):
			continue
		case err != nil:
			return 0, err
		}
		m, err := icmp.ParseMessage(want.Protocol(), buf[:n])
		if err != nil || m.Type != want {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); ok && e.Seq == seq {
			return time.Since(start), nil
		}
	}
}
