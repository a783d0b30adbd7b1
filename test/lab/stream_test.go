package lab

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The stream notices a stall, a reset and a lost connection, and survives a short break.
func TestStream(t *testing.T) {
	c := newCloud(t, Config{})
	echo, err := c.Instance().Echo(netip.MustParseAddrPort("10.0.0.29:2222"))
	must(t, err)
	open := func() *Stream {
		s, err := c.Client().Stream(within(t), netip.AddrPortFrom(EIP1, 2222))
		must(t, err)
		must(t, s.Alive(within(t)))
		return s
	}
	s := open()
	must(t, c.DisassociateEIP(EIP1))
	time.Sleep(50 * time.Millisecond) // the break itself
	if s.Stats().Longest < 40*time.Millisecond {
		t.Errorf("a break of 50 ms looks like %v", s.Stats().Longest)
	}
	must(t, c.AssociateEIP(ip10_0_0_29, EIP1))
	must(t, s.Alive(within(t)))
	if err := s.Close(); err != nil {
		t.Errorf("after a break: %v", err)
	}
	if st := s.Stats(); st.Sent == 0 || st.Sent != st.Received || st.Corrupt != 0 {
		t.Errorf("%+v", st)
	}
	cut := open()
	must(t, echo.Close())
	if err := cut.Alive(within(t)); err == nil {
		t.Error("alive without a server")
	}
	if err := cut.Close(); err == nil {
		t.Error("a cut stream closes without an error")
	}
	if _, err := c.Client().Stream(within(t), netip.AddrPortFrom(EIP1, 2222)); err == nil {
		t.Error("connected to nobody")
	}
}

// Bytes that come back changed are counted.
func TestStreamCorrupt(t *testing.T) {
	c := newCloud(t, Config{})
	l, err := c.Instance().Listen("tcp", netip.MustParseAddrPort("10.0.0.29:2222"))
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		for first := true; ; first = false {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if first {
				buf[3] ^= 1
			}
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	s, err := c.Client().Stream(within(t), netip.AddrPortFrom(EIP1, 2222))
	must(t, err)
	must(t, s.Alive(within(t)))
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "1 bytes came back changed") {
		t.Errorf("close: %v", err)
	}
}

// slowWrite is a connection on which a piece is back before its write has returned.
type slowWrite struct {
	net.Conn
	back          chan []byte
	release, gone chan struct{}
}

func (c *slowWrite) Write(b []byte) (int, error) {
	select {
	case c.back <- bytes.Clone(b): // the writer's own again once Write returns
		<-c.release
		return len(b), nil
	case <-c.gone:
		return 0, net.ErrClosed
	}
}

func (c *slowWrite) Read(b []byte) (int, error) {
	select {
	case p := <-c.back:
		return copy(b, p), nil
	case <-c.gone:
		return 0, net.ErrClosed
	}
}

func (c *slowWrite) Close() error {
	close(c.gone)
	return nil
}

// A piece that was under way before Alive was called proves nothing about now.
func TestStreamAliveIsFromNowOn(t *testing.T) {
	c := &slowWrite{back: make(chan []byte), release: make(chan struct{}), gone: make(chan struct{})}
	s := newStream(c)
	must(t, s.changed.wait(within(t), func() bool { return s.Stats().Received > 0 }))
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Alive(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a piece that was sent before: %v", err)
	}
	close(c.release)
	must(t, s.Alive(within(t)))
	must(t, s.abort())
}
