package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// keyNetwork is the one document that tells of every interface.
const keyNetwork = "instance/network"

// The versions of the document that are asked for without being told: the newest, and one that every
// server knows, Azure Stack's too (learn.microsoft.com, "Azure Instance Metadata Service"). What is read
// of the document is the same in all.
const (
	newestVersion = "2025-04-07"
	oldestVersion = "2017-08-01"
)

// maxDocument is the longest document: 8 interfaces with 256 addresses are 200 KiB.
const maxDocument = 1 << 20

var errVersions = errors.New("no version of the document is accepted")

// AzureOptions says how Azure's metadata is asked. Only Host is needed on a virtual machine.
type AzureOptions struct {
	Endpoint  string // http://IP[:port]; "" = $EC2NET_AZURE_ENDPOINT, else the well-known address
	Interface string // bind sockets to this interface (SO_BINDTODEVICE); "" = see Towards
	// Towards names the device to bind a socket to, at each connection, as far as the kernel lets it be bound. nil,
	// or no name: the routing table decides. It is asked on a goroutine of its own.
	Towards func(server netip.AddrPort) string
	Timeout time.Duration // of one request; 0 = 2 s. Three quarters of it, at most 1.5 s, are for connecting
	// Host tells what the machine knows of its interfaces and the document does not say. It is asked at
	// each reading, on its goroutine.
	Host func() (Host, error)
}

// Azure asks Azure's instance metadata: on an IP address, without proxy or redirect. A reading is one
// request, whatever the number of interfaces and addresses. It remembers the version that the server knows,
// and which interface is the first. It may be used from several goroutines.
type Azure struct {
	wire *wire
	url  string
	host func() (Host, error)

	mu      sync.Mutex
	version string
	first   MAC // zero until known
}

var _, _ Source = (*EC2)(nil), (*Azure)(nil)

// NewAzure checks o and sends nothing.
func NewAzure(o AzureOptions) (*Azure, error) {
	urls, err := endpoints(o.Endpoint, endpointVarAzure, endpoint4)
	if err != nil {
		return nil, err
	}
	if err := checkDevice(o.Interface); err != nil {
		return nil, err
	}
	w, err := newWire(binding(o.Interface, o.Towards), o.Timeout, maxDocument)
	if err != nil {
		return nil, err
	}
	return &Azure{wire: w, url: urls[0], host: o.Host, version: newestVersion}, nil
}

// Server is the address that is asked.
func (s *Azure) Server() netip.AddrPort { return serverOf(s.url) }

// Requests counts the HTTP requests sent so far.
func (s *Azure) Requests() int { return int(s.wire.sent.Load()) }

// Wait is not supported: Azure tells nobody of a change of the network.
func (s *Azure) Wait(context.Context) error { return errors.ErrUnsupported }

// Close closes the idle connections. The Azure can still be used.
func (s *Azure) Close() { s.wire.rt.CloseIdleConnections() }

// Primary is the MAC of the interface that the machine was started with, once a reading has learned it;
// until then it is the zero MAC.
func (s *Azure) Primary() MAC {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// Interfaces lists the interfaces that the cloud knows, and says which of them the machine was started with.
// Errors are those of Read, without ErrUnknownMAC.
func (s *Azure) Interfaces(ctx context.Context) (primary MAC, all []MAC, err error) {
	n, err := s.read(ctx)
	if err == nil {
		err = s.number(&n)
	}
	if err != nil {
		return MAC{}, nil, fmt.Errorf("list interfaces: %w", err)
	}
	return n.first, n.macs(), nil
}

// Read asks once for everything about the interface with this MAC.
//
// The error wraps ErrUnknownMAC, ErrNotReady, ErrDisabled, ErrProhibited or ErrUnavailable; Backoff tells when to try
// again. What of the interface could not be read is Unavailable in the Interface, and an error in Problems
// says why. Every interface of Azure has an IPv4 address, so that a list without any is not believed.
func (s *Azure) Read(ctx context.Context, mac MAC) (Interface, error) {
	n, err := s.read(ctx)
	if err == nil {
		err = n.lists(mac)
	}
	if err == nil {
		err = s.number(&n)
	}
	if err != nil {
		return Interface{}, fmt.Errorf("read interface %s: %w", mac, err)
	}
	return n.iface(mac), nil
}

// Others asks once what the cloud says of the machine's interfaces but the one with this MAC. Their numbers are left
// out.
func (s *Azure) Others(ctx context.Context, mac MAC) (out []Interface, err error) {
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

func (s *Azure) read(ctx context.Context) (network, error) {
	body, err := s.document(ctx)
	if err != nil {
		return network{}, err
	}
	return parseNetwork(body)
}

// number finds which interface is the first, and gives the others their numbers.
func (s *Azure) number(n *network) error {
	h, err := s.host()
	if err != nil {
		return &Error{Key: keyNetwork, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
	}
	all := n.macs()
	if n.first, err = s.firstOf(all, h); err != nil {
		return err
	}
	n.numbers = numbers(all, n.first, h.Numbers)
	return nil
}

// firstOf is the interface that the machine was started with. It stays what it once was: facts can be
// missing for a while, as when a DHCP client starts anew.
func (s *Azure) firstOf(all []MAC, h Host) (MAC, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(all, s.first) {
		return s.first, nil
	}
	if s.first != (MAC{}) { // the list lacks it: no weak fact makes another interface the first for that
		h = h.certain()
	}
	first := h.first(all)
	if first == (MAC{}) {
		return MAC{}, notReady(keyNetwork, "no interface in it is the one that leads to 168.63.129.16, which would be the primary")
	}
	s.first = first
	return first, nil
}

// document asks with the version that was accepted last. A 400 means that the server does not know
// it: then with the newest of those that it names, then with the oldest.
func (s *Azure) document(ctx context.Context) (string, error) {
	s.mu.Lock()
	version := s.version
	s.mu.Unlock()
	tried := []string{}
	for {
		tried = append(tried, version)
		body, ex, err := s.ask(ctx, version)
		switch {
		case err == nil:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.version = version
			return body, nil
		case ex.status != http.StatusBadRequest || ctx.Err() != nil:
			return "", err
		}
		if version = otherVersion(body, tried); version == "" {
			return "", &Error{Key: keyNetwork, Status: ex.status, Err: fmt.Errorf("%w: %w", ErrUnavailable, errVersions)}
		}
	}
}

// otherVersion is what to try next, after the server has answered with page; empty: nothing.
func otherVersion(page string, tried []string) string {
	for _, v := range append(knownVersions(page), oldestVersion) {
		if !slices.Contains(tried, v) && len(tried) < 3 {
			return v
		}
	}
	return ""
}

// ask asks once. The body of a 400 is returned too.
func (s *Azure) ask(ctx context.Context, version string) (body string, ex exchange, err error) {
	url := s.url + "/metadata/" + keyNetwork + "?api-version=" + version + "&format=json"
	body, _, ex, err = s.wire.document(ctx, question{keyNetwork, url, "Metadata", "true"})
	if err != nil && ex.status == http.StatusNotImplemented { // as final as a 403
		err = &Error{Key: keyNetwork, Status: ex.status, Err: ErrDisabled}
	}
	return body, ex, err
}
