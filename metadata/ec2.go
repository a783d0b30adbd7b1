package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// Keys below latest/meta-data/.
const (
	keyFirst = "mac" // the MAC of the interface that the instance was started with
	keyMACs  = "network/interfaces/macs/"
	keyToken = "api/token"
)

// EC2Options says how EC2's metadata is asked. The zero value is right on an instance.
type EC2Options struct {
	Endpoint  string // http://IP[:port]; "" = $AWS_EC2_METADATA_SERVICE_ENDPOINT, else the well-known addresses
	Interface string // bind sockets to this interface (SO_BINDTODEVICE); "" = see Towards
	// Towards names the device to bind a socket to, at each connection, as far as the kernel lets it be bound. nil,
	// or no name: the routing table decides. It is asked on a goroutine of its own.
	Towards func(server netip.AddrPort) string
	Timeout time.Duration // of one request; 0 = 2 s. Three quarters of it, at most 1.5 s, are for connecting
}

// EC2 asks EC2's instance metadata: version 2 only, on an IP address, without proxy or redirect.
// It remembers the session token and what can not change while an interface is present. It may be used
// from several goroutines; all of them together use at most 4 connections.
type EC2 struct {
	wire    *wire
	clients []*imds.Client // one for each address, at most two
	servers []netip.AddrPort
	active  atomic.Int32 // index of the one that worked last

	mu    sync.Mutex
	first MAC // zero until known
	known map[MAC]facts
}

// NewEC2 checks o and sends nothing.
func NewEC2(o EC2Options) (*EC2, error) {
	urls, err := endpoints(o.Endpoint, endpointVar, endpoint4, endpoint6)
	if err != nil {
		return nil, err
	}
	if err := checkDevice(o.Interface); err != nil {
		return nil, err
	}
	w, err := newWire(binding(o.Interface, o.Towards), o.Timeout, maxBody)
	if err != nil {
		return nil, err
	}
	s := &EC2{wire: w, known: map[MAC]facts{}}
	for _, url := range urls {
		s.clients = append(s.clients, newClient(url, s.wire))
		s.servers = append(s.servers, serverOf(url))
	}
	return s, nil
}

func newClient(url string, w *wire) *imds.Client {
	return imds.New(imds.Options{
		Endpoint:                 url,
		HTTPClient:               w,
		ClientEnableState:        imds.ClientEnabled, // AWS_EC2_METADATA_DISABLED is for programs that look for credentials
		EnableFallback:           aws.FalseTernary,   // else a failed token request silently turns into version 1
		Retryer:                  aws.NopRetryer{},   // when to ask again is the caller's decision, see Backoff
		DisableDefaultMaxBackoff: true,
		DisableDefaultTimeout:    true, // every request has its own
	})
}

// Server is the address that is asked, or the one of the two that answered last.
func (s *EC2) Server() netip.AddrPort { return s.servers[s.active.Load()] }

// Requests counts the HTTP requests sent so far, those for tokens included.
func (s *EC2) Requests() int { return int(s.wire.sent.Load()) }

// Wait is not supported: EC2 tells nobody of a change.
func (s *EC2) Wait(context.Context) error { return errors.ErrUnsupported }

// Close closes the idle connections. The EC2 can still be used.
func (s *EC2) Close() { s.wire.rt.CloseIdleConnections() }

// forget drops what is remembered of an interface that the cloud no longer lists: it may come back with another
// device number.
func (s *EC2) forget(mac MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, mac)
}

// Interfaces lists the interfaces that the cloud knows, and says which of them the instance was started with.
// Errors are those of Read, without ErrUnknownMAC.
func (s *EC2) Interfaces(ctx context.Context) (primary MAC, all []MAC, err error) {
	if all, err = s.macs(ctx); err != nil {
		return MAC{}, nil, fmt.Errorf("list interfaces: %w", err)
	}
	if primary, err = s.primary(ctx); err != nil {
		return MAC{}, nil, fmt.Errorf("list interfaces: %w", err)
	}
	return primary, all, nil
}

// Primary is the MAC of the interface that the instance was started with, once a reading has learned it;
// until then it is the zero MAC.
func (s *EC2) Primary() MAC {
	first, _ := s.recall(MAC{})
	return first
}

// primary asks for the first interface's MAC once; it is the same for the instance's whole life.
func (s *EC2) primary(ctx context.Context) (MAC, error) {
	if first, _ := s.recall(MAC{}); first != (MAC{}) {
		return first, nil
	}
	a, err := s.get(ctx, keyFirst)
	if err != nil {
		return MAC{}, err
	}
	first, err := firstMAC(a)
	if err == nil {
		s.learn(first)
	}
	return first, err
}

func (s *EC2) macs(ctx context.Context) ([]MAC, error) {
	a, err := s.get(ctx, keyMACs)
	if err != nil {
		return nil, err
	}
	if a.Status == Absent {
		return nil, notReady(keyMACs, "no interface is listed yet")
	}
	all, err := parseMACs(a.Value)
	if err != nil {
		return nil, unusable(keyMACs, err)
	}
	return all, nil
}

// firstMAC reads the answer for the top-level key "mac".
func firstMAC(a Answer[string]) (MAC, error) {
	if a.Status == Absent {
		return MAC{}, notReady(keyFirst, "it has no value yet")
	}
	m, err := parseMAC(a.Value)
	if err != nil {
		return MAC{}, unusable(keyFirst, err)
	}
	return m, nil
}

// get asks for one key. A 404 or an empty value is Absent; Unavailable comes with an *Error. A 401
// made the SDK drop its token, so the second try brings a new one.
func (s *EC2) get(ctx context.Context, key string) (Answer[string], error) {
	a, ex, err := s.ask(ctx, key)
	if ex.status == http.StatusUnauthorized {
		a, _, err = s.ask(ctx, key)
	}
	return a, err
}

// ask tries the address that worked last, and where that has no route the other one.
func (s *EC2) ask(ctx context.Context, key string) (Answer[string], exchange, error) {
	n := s.active.Load()
	a, ex, err := askAt(ctx, s.clients[n], key)
	if len(s.clients) == 1 || ctx.Err() != nil || !noRoute(ex.err) {
		return a, ex, err
	}
	a, other, err := askAt(ctx, s.clients[1-n], key)
	if other.status == 0 && ctx.Err() == nil {
		kind := ErrUnavailable
		if errors.Is(other.err, syscall.EACCES) {
			kind = ErrProhibited
		}
		err = &Error{Key: key, Err: fmt.Errorf("%w: %w; %v", kind, ex.err, other.err)}
		return Answer[string]{}, ex, err
	}
	s.active.Store(1 - n)
	return a, other, err
}
