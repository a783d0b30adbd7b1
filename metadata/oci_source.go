package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// keyVNICs is the list of VNICs, below opc/v2/.
const keyVNICs = "vnics/"

// bearer is the header that every request to version 2 of Oracle's metadata has (docs.oracle.com, "Getting Instance
// Metadata"). It is no secret: it only proves that the request was not forwarded.
const bearer, bearerIs = "Authorization", "Bearer Oracle"

// endpoint6OCI is asked where IPv4 leads nowhere, on a machine without it.
const endpoint6OCI = "http://[fd00:c1::a9fe:a9fe]"

// endpointVarOCI names another endpoint, for tests.
const endpointVarOCI = "EC2NET_OCI_ENDPOINT"

// OCIOptions says how Oracle's metadata is asked. Only Host is needed on an instance.
type OCIOptions struct {
	Endpoint string // http://IP[:port]; "" = $EC2NET_OCI_ENDPOINT, else the well-known addresses
	// Towards names the device to bind a socket to, see Options.
	Towards func(server netip.AddrPort) string
	Timeout time.Duration // of one request; 0 = 2 s
	// Host tells which numbers the interfaces hold, and the MTU of each. It is asked at each reading, on its goroutine.
	Host func() (Host, error)
}

// OCI asks Oracle Cloud Infrastructure's metadata: on an IP address, without proxy or redirect. A reading is one request,
// whatever the number of VNICs. It may be used from several goroutines.
type OCI struct {
	wire   *wire
	urls   []string
	active atomic.Int32 // index of the one that worked last
	host   func() (Host, error)

	mu    sync.Mutex
	first MAC // zero until known
}

var _ Source = (*OCI)(nil)

// NewOCI checks o and sends nothing.
func NewOCI(o OCIOptions) (*OCI, error) {
	urls, err := endpoints(o.Endpoint, endpointVarOCI, endpoint4, endpoint6OCI)
	if err != nil {
		return nil, err
	}
	w, err := newWire(binding("", o.Towards), o.Timeout, maxDocument)
	if err != nil {
		return nil, err
	}
	return &OCI{wire: w, urls: urls, host: o.Host}, nil
}

// Server is the address that is asked, or the one of the two that answered last.
func (s *OCI) Server() netip.AddrPort { return serverOf(s.urls[s.active.Load()]) }

// Requests counts the HTTP requests sent so far.
func (s *OCI) Requests() int { return int(s.wire.sent.Load()) }

// Wait is not supported: Oracle's cloud tells nobody of a change.
func (s *OCI) Wait(context.Context) error { return errors.ErrUnsupported }

// Close closes the idle connections. The OCI can still be used.
func (s *OCI) Close() { s.wire.rt.CloseIdleConnections() }

// Primary is the MAC of the primary VNIC, once a reading has learned it; until then it is the zero MAC.
func (s *OCI) Primary() MAC {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// Interfaces lists the VNICs that the cloud knows, and says which of them is the primary. Errors are those of Read,
// without ErrUnknownMAC.
func (s *OCI) Interfaces(ctx context.Context) (primary MAC, all []MAC, err error) {
	v, err := s.read(ctx)
	if err != nil {
		return MAC{}, nil, fmt.Errorf("list interfaces: %w", err)
	}
	return v.first, v.macs(), nil
}

// Read asks once for everything about the VNIC with this MAC.
//
// The error wraps ErrUnknownMAC, ErrNotReady, ErrDisabled, ErrProhibited or ErrUnavailable; Backoff tells when to try
// again. A VNIC that is being attached is missing in the list, or has no address yet: ErrUnknownMAC and ErrNotReady.
func (s *OCI) Read(ctx context.Context, mac MAC) (Interface, error) {
	v, err := s.read(ctx)
	if err == nil {
		err = v.lists(mac)
	}
	var out Interface
	if err == nil {
		out, err = v.iface(mac)
	}
	if err != nil {
		return Interface{}, fmt.Errorf("read interface %s: %w", mac, err)
	}
	return out, nil
}

// Others asks once what the cloud says of the machine's VNICs but the one with this MAC. One that is not ready is left
// out.
func (s *OCI) Others(ctx context.Context, mac MAC) (out []Interface, err error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the other interfaces: %w", err)
	}
	for _, m := range v.macs() {
		if one, err := v.iface(m); err == nil && m != mac {
			out = append(out, one)
		}
	}
	return out, nil
}

func (s *OCI) read(ctx context.Context) (vnics, error) {
	body, err := s.ask(ctx)
	if err != nil {
		return vnics{}, err
	}
	v, err := parseVNICs(body)
	if err != nil {
		return vnics{}, err
	}
	h, err := s.host()
	if err != nil {
		return vnics{}, &Error{Key: keyVNICs, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
	}
	if v.first, err = s.firstOf(v, h); err != nil {
		return vnics{}, err
	}
	v.numbers = numbers(v.macs(), v.first, h.Numbers)
	v.mtu = h.MTUs[v.first]
	return v, nil
}

// firstOf is the primary VNIC: the first of the list, unless it is known already, by this process or by what an earlier
// one has set up.
func (s *OCI) firstOf(v vnics, h Host) (MAC, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := v.macs()
	if slices.Contains(all, s.first) {
		return s.first, nil
	}
	first := v.leading()
	for m, n := range h.Numbers {
		if n == 0 && slices.Contains(all, m) {
			first = m
		}
	}
	switch {
	case first != (MAC{}) && s.first == (MAC{}):
		s.first = first
	case s.first != (MAC{}): // the list lacks it: no other one is the first for that
		return MAC{}, notReady(keyVNICs, "the primary VNIC is not in it")
	default:
		return MAC{}, unusable(keyVNICs, fmt.Errorf("%w: %w", errFirstIsOdd, errors.Join(v.odd...)))
	}
	return first, nil
}

// ask tries the address that worked last, and where that has no route the other one.
func (s *OCI) ask(ctx context.Context) (string, error) {
	n := s.active.Load()
	body, ex, err := s.askAt(ctx, s.urls[n])
	if len(s.urls) == 1 || ctx.Err() != nil || !noRoute(ex.err) {
		return body, err
	}
	body, other, second := s.askAt(ctx, s.urls[1-n])
	if other.status == 0 && ctx.Err() == nil {
		if errors.Is(other.err, syscall.EACCES) {
			return "", second
		}
		return "", err
	}
	s.active.Store(1 - n)
	return body, second
}

// askAt asks one of the addresses. A 404 is as transient as a 503 (docs.oracle.com, "Getting Instance Metadata").
func (s *OCI) askAt(ctx context.Context, base string) (string, exchange, error) {
	body, _, ex, err := s.wire.document(ctx, question{keyVNICs, base + "/opc/v2/" + keyVNICs, bearer, bearerIs})
	return body, ex, err
}
