package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// keyNICs is the list of interfaces, below computeMetadata/v1/. Not more is asked for: the whole of instance/ has startup
// scripts and keys in it.
const keyNICs = "instance/network-interfaces/"

// flavor is the header that every request to Google's metadata has and every answer (cloud.google.com, "View and query
// VM metadata"): a program that follows a link cannot send it, and another cloud's server does not.
const flavor, flavorIs = "Metadata-Flavor", "Google"

// endpoint6GCE is asked where IPv4 leads nowhere, on a machine without it.
const endpoint6GCE = "http://[fd20:ce::254]"

// endpointVarGCE names another endpoint, for tests. GCE_METADATA_HOST, which Google's libraries read, may be a name.
const endpointVarGCE = "EC2NET_GCE_ENDPOINT"

var (
	errFlavor = errors.New("the answer does not say that it is Google's (" + flavor + ")")
	errTag    = errors.New("the answer has no ETag that can be used")
)

// GCEOptions says how Google's metadata is asked. The zero value is right on an instance.
type GCEOptions struct {
	Endpoint string // http://IP[:port]; "" = $EC2NET_GCE_ENDPOINT, else the well-known addresses
	// Towards names the device to bind a socket to, see Options.
	Towards func(server netip.AddrPort) string
	Timeout time.Duration // of one request; 0 = 2 s
	// Host tells which numbers the interfaces hold in the kernel. It is asked at each reading, on its goroutine; nil:
	// nobody knows.
	Host func() (Host, error)
}

// GCE asks Google Compute Engine's metadata: on an IP address, without proxy or redirect. A reading is one request,
// whatever the number of interfaces. It may be used from several goroutines.
type GCE struct {
	wire   *wire
	urls   []string
	active atomic.Int32 // index of the one that worked last
	host   func() (Host, error)

	mu     sync.Mutex
	first  MAC         // zero until known
	etag   string      // of the document as it was last seen; empty: not yet
	places map[MAC]int // in the list, the last one that each interface had
}

var _ Source = (*GCE)(nil)

// NewGCE checks o and sends nothing.
func NewGCE(o GCEOptions) (*GCE, error) {
	urls, err := endpoints(o.Endpoint, endpointVarGCE, endpoint4, endpoint6GCE)
	if err != nil {
		return nil, err
	}
	w, err := newWire(binding("", o.Towards), o.Timeout, maxDocument)
	if err != nil {
		return nil, err
	}
	w.limit = patientFor(w.limit)
	return &GCE{wire: w, urls: urls, host: o.Host, places: map[MAC]int{}}, nil
}

// Server is the address that is asked, or the one of the two that answered last.
func (s *GCE) Server() netip.AddrPort { return serverOf(s.urls[s.active.Load()]) }

// Requests counts the HTTP requests sent so far.
func (s *GCE) Requests() int { return int(s.wire.sent.Load()) }

// Close closes the idle connections. The GCE can still be used.
func (s *GCE) Close() { s.wire.rt.CloseIdleConnections() }

// Primary is the MAC of nic0, once a reading has learned it; until then it is the zero MAC.
func (s *GCE) Primary() MAC {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// Interfaces lists the interfaces that the cloud knows, nic0 first. Errors are those of Read, without ErrUnknownMAC.
func (s *GCE) Interfaces(ctx context.Context) (primary MAC, all []MAC, err error) {
	n, err := s.read(ctx)
	if err != nil {
		return MAC{}, nil, fmt.Errorf("list interfaces: %w", err)
	}
	return n.first(), n.macs(), nil
}

// Read asks once for everything about the interface with this MAC.
//
// The error wraps ErrUnknownMAC, ErrNotReady, ErrDisabled, ErrProhibited or ErrUnavailable; Backoff tells when to try
// again. What of the interface could not be read is Unavailable in the Interface, and an error in Problems says why.
func (s *GCE) Read(ctx context.Context, mac MAC) (Interface, error) {
	n, err := s.read(ctx)
	if err == nil {
		err = n.lists(mac)
	}
	if err != nil {
		return Interface{}, fmt.Errorf("read interface %s: %w", mac, err)
	}
	return n.iface(mac), nil
}

// Others asks once what the cloud says of the machine's interfaces but the one with this MAC.
func (s *GCE) Others(ctx context.Context, mac MAC) (out []Interface, err error) {
	n, err := s.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the other interfaces: %w", err)
	}
	for _, m := range n.macs() {
		if m != mac {
			out = append(out, n.iface(m))
		}
	}
	return out, nil
}

func (s *GCE) read(ctx context.Context) (nics, error) {
	body, err := s.ask(ctx)
	if err != nil {
		return nics{}, err
	}
	n, err := parseNICs(body)
	if err != nil {
		return nics{}, err
	}
	return n, s.place(n)
}

// place learns the places of the interfaces in the list, which are their numbers and last as long as the machine. An
// interface that is missing from the list moves those behind it up, and may make another one the first: such a list
// is not believed. The numbers that the kernel holds tell so to a new process.
func (s *GCE) place(n nics) error {
	held := Host{}
	if s.host != nil {
		var err error
		if held, err = s.host(); err != nil {
			return &Error{Key: keyNICs, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range n.list {
		before := s.places[c.mac]
		if h, ok := held.Numbers[c.mac]; ok && h <= maxNumber {
			before = max(before, h)
		}
		if c.mac != (MAC{}) && i < before {
			return notReady(keyNICs, fmt.Sprintf("%s is number %d of the list and was number %d: one is missing", c.mac, i, before))
		}
	}
	for i, c := range n.list {
		s.places[c.mac] = i
	}
	s.first = n.first()
	return nil
}

// ask tries the address that worked last, and where that has no route the other one.
func (s *GCE) ask(ctx context.Context) (string, error) {
	n := s.active.Load()
	body, tag, ex, err := s.askAt(ctx, s.urls[n], "")
	if isTag(tag) {
		s.seen(tag)
	}
	if len(s.urls) == 1 || ctx.Err() != nil || !noRoute(ex.err) {
		return body, err
	}
	body, _, other, second := s.askAt(ctx, s.urls[1-n], "")
	if other.status == 0 && ctx.Err() == nil {
		if errors.Is(other.err, syscall.EACCES) {
			return "", second
		}
		return "", err
	}
	s.active.Store(1 - n)
	return body, second
}

// askAt asks once, with more in the query. It returns the ETag too.
func (s *GCE) askAt(ctx context.Context, base, more string) (body, tag string, ex exchange, err error) {
	url := base + "/computeMetadata/v1/" + keyNICs + "?recursive=true" + more
	body, header, ex, err := s.wire.document(ctx, question{keyNICs, url, flavor, flavorIs})
	if err == nil && header.Get(flavor) != flavorIs {
		return "", "", ex, unusable(keyNICs, errFlavor)
	}
	return body, header.Get("ETag"), ex, err
}
