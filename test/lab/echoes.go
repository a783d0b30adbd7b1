package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Echoes asks an address for echoes at a steady pace, answered or not, and keeps account of the answers. A gap is
// counted between the requests that were answered, so that a machine which is slow to take an answer makes none.
type Echoes struct {
	dst  netip.Addr
	conn net.Conn
	done sync.WaitGroup
	stop chan struct{}
	halt sync.Once

	mu       sync.Mutex
	asked    uint64               // the number of the last request
	sent     map[uint64]time.Time // of the requests since the last one that was answered, and of that
	answered uint64               // the last request that was answered
	gap      time.Duration
	changed  bell
}

// echoEvery is the pause between two requests.
const echoEvery = 10 * time.Millisecond

// Echoes starts to ask an address, until Close.
func (n *Node) Echoes(dst netip.Addr, o Ping) (*Echoes, error) {
	conn, err := n.pingSocket(dst, o)
	if err != nil {
		return nil, fmt.Errorf("ask %s from %s: %w", dst, n.Name, err)
	}
	e := &Echoes{dst: dst, conn: conn, stop: make(chan struct{}), sent: map[uint64]time.Time{0: time.Now()}}
	n.cloud.own(e.Close)
	e.done.Add(2)
	go e.ask()
	go e.listen()
	return e, nil
}

func (e *Echoes) ask() {
	defer e.done.Done()
	tick := time.NewTicker(echoEvery)
	defer tick.Stop()
	m := icmp.Message{Type: ipv4.ICMPTypeEcho}
	if e.dst.Is6() {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	for {
		n := e.next()
		m.Body = &icmp.Echo{Seq: int(n & 0xffff), Data: binary.BigEndian.AppendUint64(nil, n)}
		if b, err := m.Marshal(nil); err == nil {
			_, _ = e.conn.Write(b) // what somebody reports of an earlier request is no matter: it is not answered
		}
		select {
		case <-tick.C:
		case <-e.stop:
			return
		}
	}
}

func (e *Echoes) next() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	e.sent[e.asked] = time.Now()
	return e.asked
}

func (e *Echoes) listen() {
	defer e.done.Done()
	want := icmp.Type(ipv4.ICMPTypeEchoReply)
	if e.dst.Is6() {
		want = ipv6.ICMPTypeEchoReply
	}
	for buf := make([]byte, 1500); ; {
		n, err := e.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of the network's, which the kernel tells once
		}
		m, err := icmp.ParseMessage(want.Protocol(), buf[:n])
		if err != nil || m.Type != want {
			continue
		}
		if b, ok := m.Body.(*icmp.Echo); ok && len(b.Data) == 8 {
			e.arrived(binary.BigEndian.Uint64(b.Data))
		}
	}
}

func (e *Echoes) arrived(n uint64) {
	e.mu.Lock()
	at, ok := e.sent[n]
	if ok && n > e.answered {
		e.gap = max(e.gap, at.Sub(e.sent[e.answered]))
		for k := e.answered; k < n; k++ {
			delete(e.sent, k)
		}
		e.answered = n
	}
	e.mu.Unlock()
	e.changed.ring()
}

// Longest is the longest time between two requests that were answered, since the last call. One that still lasts counts.
func (e *Echoes) Longest() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	gap := e.gap
	if e.asked > e.answered {
		gap = max(gap, e.sent[e.asked].Sub(e.sent[e.answered]))
	}
	e.gap = 0
	return gap
}

// Alive waits until something that is asked from now on is answered.
func (e *Echoes) Alive(ctx context.Context) error {
	e.mu.Lock()
	goal := e.asked + 1
	e.mu.Unlock()
	err := e.changed.wait(ctx, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.answered >= goal
	})
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", e.dst, err)
	}
	return nil
}

// Close stops asking. It may be called twice.
func (e *Echoes) Close() error {
	e.halt.Do(func() {
		close(e.stop)
		_ = e.conn.Close()
	})
	e.done.Wait()
	return nil
}
