package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// IMDS is the instance metadata server. What it answers is its provider's service.
type IMDS struct {
	cloud  *Cloud
	listen []net.Listener
	server *http.Server
	serve  sync.WaitGroup

	mu        sync.Mutex
	service   service
	limit     limiter
	faults    []*injected
	lastFault int
	conns     int
	waiting   int  // requests that wait for news
	polls     bell // rings when that changes

	log history[Request]
}

// Request is a request that the metadata server was asked.
type Request struct {
	Time      time.Time
	Method    string
	Path      string // as asked
	Query     string // as asked
	Status    int    // 0 when the connection was cut instead
	Source    netip.AddrPort
	Interface string // the interface that the request came by; empty when the source is no interface's
	Token     bool   // it carried a valid token
}

func (r Request) at() time.Time { return r.Time }

func startIMDS(c *Cloud) (*IMDS, error) {
	habits := c.cfg.Cloud.habits()
	s := &IMDS{cloud: c, limit: limiter{perSecond: habits.limit}}
	s.service = habits.service(s)
	return s, s.Resume()
}

// addrs is where the server listens.
func (s *IMDS) addrs() []netip.Addr { return s.cloud.cfg.Cloud.habits().metadata }

// Resume undoes Refuse and Silence.
func (s *IMDS) Resume() error {
	for _, a := range s.addrs() {
		if err := addAddr(s.cloud.fabric.nl, linkIndex(1), netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.answer), ConnState: s.countConn,
		ErrorLog: log.New(io.Discard, "", 0), // broken clients are what the lab is for
	}
	for _, a := range s.addrs() {
		l, err := s.cloud.fabric.Listen("tcp", netip.AddrPortFrom(a, 80))
		if err != nil {
			return fmt.Errorf("start the metadata server: %w", err)
		}
		s.listen = append(s.listen, l)
		s.serve.Add(1)
		go func(server *http.Server) {
			defer s.serve.Done()
			_ = server.Serve(l) // it ends when it is closed
		}(s.server)
	}
	return nil
}

// Refuse stops listening: connections are refused until Resume, and open ones are cut.
func (s *IMDS) Refuse() error {
	s.mu.Lock()
	server := s.server
	s.server, s.listen = nil, nil
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	s.serve.Wait()
	awaitExec()
	return err
}

// Silence takes the service's addresses off the network until Resume: packets to them vanish.
func (s *IMDS) Silence() error {
	for _, a := range s.addrs() {
		err := delAddr(s.cloud.fabric.nl, linkIndex(1), netip.PrefixFrom(a, a.BitLen()))
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("silence the metadata server: %w", err)
		}
	}
	return nil
}

func (s *IMDS) close() error {
	err := s.Refuse()
	s.serve.Wait()
	return err
}

func (s *IMDS) countConn(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
	}
}

// answer serves one request.
func (s *IMDS) answer(w http.ResponseWriter, r *http.Request) {
	req := Request{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	req.Source, _ = netip.ParseAddrPort(r.RemoteAddr)
	reply := s.decide(r, &req)
	if f := reply.fault; f != nil && (f.Reset || f.Close) {
		reply.status = 0
	}
	req.Status = reply.status
	s.log.add(req)
	reply.send(w, r)
}

// decide finds the answer to a request: a fault's, or the right one.
func (s *IMDS) decide(r *http.Request, req *Request) reply {
	key, known := s.service.key(r.URL.Path)
	node, via := s.cloud.asker(req.Source.Addr().Unmap())
	if via != nil {
		req.Interface = s.cloud.label(via)
	}
	return s.await(&question{Request: r, asked: req, key: key, known: known, node: node, via: via})
}

// await is the answer to a question, when there is one: a client may have asked for what is news.
func (s *IMDS) await(q *question) reply {
	s.mu.Lock()
	q.refused = s.limit.throttled(q.asked.Time)
	s.mu.Unlock()
	for {
		news := s.cloud.news.next()
		out := s.look(q)
		if !out.pending {
			return out
		}
		s.wait(+1)
		select {
		case <-news:
		case <-q.limit:
			q.late = true
		case <-q.Context().Done():
			s.wait(-1)
			return reply{fault: &Fault{Close: true}} // to nobody
		}
		s.wait(-1)
	}
}

// look is the answer of this moment.
func (s *IMDS) look(q *question) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out reply
	if q.refused {
		out = s.service.page(http.StatusTooManyRequests)
	} else {
		out = s.service.answer(q)
	}
	if f, hit := pick(s.faults, q.Method, q.key, q.via, time.Now()); hit {
		out.pending = false
		out.spoil(f, s.service.page)
	}
	return out
}

// wait counts the requests that wait for news.
func (s *IMDS) wait(more int) {
	s.mu.Lock()
	s.waiting += more
	s.mu.Unlock()
	s.polls.ring()
}

// Waiting returns when so many requests wait for news at least, or with ctx's error. Only Google's service knows that.
func (s *IMDS) Waiting(ctx context.Context, requests int) error {
	return s.polls.wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.waiting >= requests
	})
}

// asker finds out whose request came from an address: the host and the interface. From an address that is no
// interface's, the instance is taken to have asked.
func (c *Cloud) asker(a netip.Addr) (node *Node, via *iface) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.ifaces {
		if slices.Contains(k.Addrs4, a) || slices.Contains(k.Addrs6, a) {
			return k.node, &iface{Interface: Interface{Name: k.Name, MAC: k.MAC}, node: k.node}
		}
	}
	return c.instance, nil
}

// identity is what the metadata says of a host.
func (c *Cloud) identity(n *Node) Identity {
	if n == c.instance {
		return c.cfg.Instance
	}
	return Identity{ID: "i-0ec2" + n.Name}.withDefaults()
}
