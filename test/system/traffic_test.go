//go:build system

package system

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"ec2net/test/lab"
)

// traffic is an open TCP connection from the internet to a server on the machine, over which a byte goes to
// and fro all the time.
type traffic struct {
	conn   net.Conn
	listen net.Listener
	wg     sync.WaitGroup
	stop   chan struct{}

	beside *traffic // meanwhile between two hosts that nothing happens to; nil for that one

	mu    sync.Mutex
	came  sync.Cond     // one more byte has come back, or none will
	gap   time.Duration // the longest between two bytes
	bytes int
	err   error
}

// talk opens a connection to an elastic IP. The server listens on all addresses of the machine.
func (m *machine) talk(eip netip.Addr, port uint16) *traffic {
	m.t.Helper()
	return m.talkFrom(m.cloud.Client(), eip, port)
}

// talkFrom is talk for a connection from somewhere else.
func (m *machine) talkFrom(from *lab.Node, to netip.Addr, port uint16) *traffic {
	m.t.Helper()
	l, err := m.cloud.Instance().Listen("tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		m.t.Fatal(err)
	}
	tr := m.between(from, netip.AddrPortFrom(to, port), l)
	here, err := m.cloud.Client().Listen("tcp4", netip.AddrPortFrom(lab.ClientIP, 0))
	if err != nil {
		tr.end()
		m.t.Fatal(err)
	}
	tr.beside = m.between(m.cloud.Fabric(), here.Addr().(*net.TCPAddr).AddrPort(), here)
	return tr
}

func (m *machine) between(from *lab.Node, to netip.AddrPort, l net.Listener) *traffic {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to.String())
	if err != nil {
		l.Close()
		m.t.Fatal(err)
	}
	tr := &traffic{conn: conn, listen: l, stop: make(chan struct{})}
	tr.came.L = &tr.mu
	tr.wg.Go(tr.serve)
	tr.wg.Go(tr.ask)
	return tr
}

// serve sends back what comes.
func (tr *traffic) serve() {
	c, err := tr.listen.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	go func() { // its end may not come through
		<-tr.stop
		c.Close()
	}()
	_, _ = io.Copy(c, c)
}

func (tr *traffic) ask() {
	buf := make([]byte, 1)
	for {
		select {
		case <-tr.stop:
			return
		case <-time.After(time.Millisecond):
		}
		began := time.Now()
		_ = tr.conn.SetDeadline(began.Add(hang))
		_, err := tr.conn.Write(buf)
		if err == nil {
			_, err = io.ReadFull(tr.conn, buf)
		}
		tr.mu.Lock()
		tr.gap, tr.err = max(tr.gap, time.Since(began)), err
		tr.bytes++
		tr.came.Broadcast()
		tr.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// gaps returns the longest wait for an answer since the last call, less twice that of the connection beside: a machine
// that stands still, or has other work, stops both.
func (tr *traffic) gaps() (time.Duration, error) {
	gap, err := tr.longest()
	if tr.beside != nil {
		still, _ := tr.beside.longest()
		gap = max(0, gap-2*still)
	}
	return gap, err
}

// longest waits for the byte that is under way: the gap that it is in is not over yet, and would not count.
func (tr *traffic) longest() (time.Duration, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for had := tr.bytes; tr.bytes == had && tr.err == nil; {
		tr.came.Wait()
	}
	gap := tr.gap
	tr.gap = 0
	if tr.err != nil {
		return gap, fmt.Errorf("after %d bytes: %w", tr.bytes, tr.err)
	}
	return gap, nil
}

// end closes the connection.
func (tr *traffic) end() {
	close(tr.stop)
	tr.conn.Close()
	tr.listen.Close()
	tr.wg.Wait()
	if tr.beside != nil {
		tr.beside.end()
	}
}
