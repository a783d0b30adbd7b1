package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// IMDS is the instance metadata service: EC2's, version 2 only, or Azure's.
type IMDS struct {
	cloud  *Cloud
	listen []net.Listener
	server *http.Server
	serve  sync.WaitGroup

	mu        sync.Mutex
	tokens    map[string]time.Time // when each ends
	azure     azure
	faults    []*injected
	lastFault int
	conns     int
	trees     map[*Node]tree
	treesAt   uint64 // Cloud.changes that the trees are of

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
	s := &IMDS{cloud: c, tokens: map[string]time.Time{}, trees: map[*Node]tree{}}
	if c.cfg.Cloud == Azure {
		s.azure = azure{versions: azureVersions, limit: azureLimit}
	}
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
	right, path := s.right, dataPath
	if s.cloud.cfg.Cloud == Azure {
		right, path = s.rightAzure, azurePath
	}
	key, known := path(r.URL.Path)
	node, via := s.cloud.asker(req.Source.Addr().Unmap())
	if via != nil {
		req.Interface = s.cloud.label(via)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := right(r, req, key, known, node, via)
	if f, hit := pick(s.faults, r.Method, key, via, req.Time); hit {
		out.spoil(f)
	}
	return out
}

// right is the answer of EC2's server without faults other than in its tree.
func (s *IMDS) right(r *http.Request, req *Request, key string, known bool, node *Node, via *iface) reply {
	switch {
	case r.Method == http.MethodPut && key == "api/token":
		return s.issue(r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return failure(http.StatusMethodNotAllowed)
	}
	if end, ok := s.tokens[r.Header.Get(tokenHeader)]; !ok || req.Time.After(end) {
		return failure(http.StatusUnauthorized)
	}
	req.Token = true
	if !known {
		return failure(http.StatusNotFound)
	}
	if key == "" {
		return reply{status: http.StatusOK, body: "dynamic\nmeta-data\nuser-data"}
	}
	t := shape(s.faults, s.treeOf(node), r.Method, key, via, req.Time)
	if strings.HasSuffix(r.URL.Path, "/") {
		key += "/"
	}
	body, ok := t.at(key)
	if !ok {
		return failure(http.StatusNotFound)
	}
	return reply{status: http.StatusOK, body: body}
}

const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTTL      = 21600 // seconds
)

// issue makes a session token.
func (s *IMDS) issue(r *http.Request) reply {
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	switch {
	case r.Header.Get("X-Forwarded-For") != "":
		return failure(http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > maxTTL:
		return failure(http.StatusBadRequest)
	}
	now := time.Now()
	for t, end := range s.tokens {
		if now.After(end) {
			delete(s.tokens, t)
		}
	}
	token := "AQAEA" + rand.Text() + rand.Text() + "=="
	s.tokens[token] = now.Add(time.Duration(ttl) * time.Second)
	return reply{status: http.StatusOK, body: token, ttl: strconv.Itoa(ttl)}
}

// ExpireTokens makes every token that was given out invalid.
func (s *IMDS) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// dataPath reduces a request's path to what lies below the version.
func dataPath(p string) (key string, known bool) {
	parts := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	if len(parts) == 0 || (parts[0] != "latest" && !isVersion(parts[0])) {
		return "", false
	}
	return strings.Join(parts[1:], "/"), true
}

// isVersion recognises the dated versions, such as 2021-07-15.
func isVersion(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
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

// treeOf is what a host sees. It is made again when something was done to an interface. The caller holds the lock.
func (s *IMDS) treeOf(n *Node) tree {
	c := s.cloud
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s.treesAt != c.changes {
		clear(s.trees)
		s.treesAt = c.changes
	}
	if t, ok := s.trees[n]; ok {
		return t
	}
	var ifaces []*iface
	for _, k := range c.ifaces {
		if k.node == n {
			ifaces = append(ifaces, k)
		}
	}
	s.trees[n] = instanceTree(c.identity(n), c.cfg.VPC, ifaces)
	return s.trees[n]
}

// identity is what the metadata says of a host.
func (c *Cloud) identity(n *Node) Identity {
	if n == c.instance {
		return c.cfg.Instance
	}
	return Identity{ID: "i-0ec2" + n.Name}.withDefaults()
}
