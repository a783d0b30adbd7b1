package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Echo is a TCP server on a node that sends back what it gets: the operator's sshd.
type Echo struct {
	Addr netip.AddrPort
	l    net.Listener
	done sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// Echo starts an echo server. An unspecified address means all addresses, port 0 a free one.
func (n *Node) Echo(at netip.AddrPort) (*Echo, error) {
	l, err := n.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("start an echo server: %w", err)
	}
	e := &Echo{l: l, conns: map[net.Conn]struct{}{}}
	e.Addr, _ = netip.ParseAddrPort(l.Addr().String())
	n.cloud.own(e.Close)
	e.done.Add(1)
	go e.accept()
	return e, nil
}

func (e *Echo) accept() {
	defer e.done.Done()
	for {
		c, err := e.l.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		e.conns[c] = struct{}{}
		e.mu.Unlock()
		e.done.Add(1)
		go func() {
			defer e.done.Done()
			_, _ = io.Copy(c, c) // the stream's other end reports what is lost
			_ = c.Close()
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.conns, c)
		}()
	}
}

// Close ends the server and its connections.
func (e *Echo) Close() error {
	err := e.l.Close()
	e.mu.Lock()
	for c := range e.conns {
		_ = c.Close()
	}
	e.mu.Unlock()
	e.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Stream is a long TCP connection to an echo server that sends numbered bytes all the time and checks that the
// same come back: the operator's own session.
type Stream struct {
	conn net.Conn
	done sync.WaitGroup
	stop chan struct{}
	halt sync.Once

	mu      sync.Mutex
	stats   StreamStats
	begun   int // bytes that are sent or about to be
	err     error
	last    time.Time
	changed bell
}

// StreamStats is how a stream has fared.
type StreamStats struct {
	Sent, Received int           // bytes
	Corrupt        int           // bytes that came back other than they were sent
	Longest        time.Duration // between two arrivals
}

// streamEvery is the pause between two pieces of a stream, streamPiece their size in bytes.
const (
	streamEvery = 20 * time.Millisecond
	streamPiece = 257 // prime, so that pieces and the pattern below do not fall together
)

// pattern is the byte at a position of a stream.
func pattern(pos int) byte { return byte(pos*31 + pos>>8 + pos>>16) }

// Stream connects from the node to an echo server and keeps bytes flowing until Close.
func (n *Node) Stream(ctx context.Context, to netip.AddrPort) (*Stream, error) {
	conn, err := n.Dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	s := newStream(conn)
	n.cloud.own(s.abort)
	return s, nil
}

func newStream(conn net.Conn) *Stream {
	s := &Stream{conn: conn, last: time.Now(), stop: make(chan struct{})}
	s.done.Add(2)
	go s.send()
	go s.receive()
	return s
}

func (s *Stream) send() {
	defer s.done.Done()
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	piece := make([]byte, streamPiece)
	for pos := 0; ; {
		for i := range piece {
			piece[i] = pattern(pos + i)
		}
		s.note(func() { s.begun += len(piece) }, nil)
		n, err := s.conn.Write(piece)
		pos += n
		s.note(func() { s.stats.Sent += n }, err)
		if err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.stop:
			if tcp, ok := s.conn.(*net.TCPConn); ok {
				s.note(func() {}, tcp.CloseWrite())
			}
			return
		}
	}
}

func (s *Stream) receive() {
	defer s.done.Done()
	buf := make([]byte, 64<<10)
	for pos := 0; ; {
		n, err := s.conn.Read(buf)
		bad := 0
		for i, b := range buf[:n] {
			if b != pattern(pos+i) {
				bad++
			}
		}
		pos += n
		s.note(func() { s.arrived(n, bad) }, s.early(err))
		if err != nil {
			return
		}
	}
}

// early is err, and says so when the other end has stopped before this one.
func (s *Stream) early(err error) error {
	select {
	case <-s.stop:
		return err
	default:
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *Stream) arrived(n, bad int) {
	now := time.Now()
	s.stats.Received += n
	s.stats.Corrupt += bad
	s.stats.Longest = max(s.stats.Longest, now.Sub(s.last))
	s.last = now
}

// note records progress and the first error.
func (s *Stream) note(fn func(), err error) {
	s.mu.Lock()
	fn()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.changed.ring()
}

// Stats says how the stream has fared so far. A stall that still lasts counts.
func (s *Stream) Stats() StreamStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	if s.err == nil {
		out.Longest = max(out.Longest, time.Since(s.last))
	}
	return out
}

// Alive waits until something that is sent from now on has come back. It fails with ctx or with the stream.
func (s *Stream) Alive(ctx context.Context) error {
	s.mu.Lock()
	goal := s.begun + 1 // a piece may be back before its write has returned
	s.mu.Unlock()
	var failed error
	err := s.changed.wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		failed = s.err
		return failed != nil || s.stats.Received >= goal
	})
	if err = errors.Join(failed, err); err != nil {
		return fmt.Errorf("the stream is not alive: %w", err)
	}
	return nil
}

// abort ends the stream without asking how it fared.
func (s *Stream) abort() error {
	s.halt.Do(func() { close(s.stop) })
	_ = s.conn.Close() // closed twice is closed
	s.done.Wait()
	return nil
}

// drainTime is how long Close waits for bytes under way. It ends what hangs.
const drainTime = time.Minute

// Close stops sending, waits for what is under way, and says what was lost, spoilt or cut off.
func (s *Stream) Close() error {
	s.halt.Do(func() { close(s.stop) })
	_ = s.conn.SetDeadline(time.Now().Add(drainTime)) // on a dead connection it does nothing
	s.done.Wait()
	closeErr := s.conn.Close()
	if errors.Is(closeErr, net.ErrClosed) {
		closeErr = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		errs = append(errs, s.err)
	}
	if lost := s.stats.Sent - s.stats.Received; lost != 0 {
		errs = append(errs, fmt.Errorf("%d of %d bytes did not come back", lost, s.stats.Sent))
	}
	if s.stats.Corrupt > 0 {
		errs = append(errs, fmt.Errorf("%d bytes came back changed", s.stats.Corrupt))
	}
	if err := errors.Join(append(errs, closeErr)...); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}
