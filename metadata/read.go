package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
)

// Keys of one interface, below network/interfaces/macs/<mac>/.
const (
	keyDevice     = "device-number"
	keyCard       = "network-card-index"
	keyCardOld    = "network-card" // the same by its other name
	keyID         = "interface-id"
	keyAddrs4     = "local-ipv4s"
	keyAddrs6     = "ipv6s"
	keySubnets4   = "subnet-ipv4-cidr-block"
	keySubnets6   = "subnet-ipv6-cidr-blocks"
	keyDelegated4 = "ipv4-prefix"
	keyDelegated6 = "ipv6-prefix"
)

// facts is what can not change while an interface is present, once it was seen. A zero is never final,
// neither for the device number nor for the network card: both read 0 while an interface is new.
type facts struct {
	id            string
	numbered      bool // device holds; it is not 0, or the interface is the first
	device        int
	networkCarded bool // networkCard was once answered
	networkCard   int
	subnets4      []netip.Prefix
	late          bool // the cloud has not published the number yet: nothing else is asked before it has
}

// Read asks once for everything about the interface with this MAC: the interface's list of keys first, then
// those keys that are in it and not known yet, in parallel. It does not ask again, except with a
// new token after a 401.
//
// The error wraps ErrUnknownMAC, ErrNotReady, ErrDisabled, ErrProhibited or ErrUnavailable; Backoff tells when to
// try again. ErrUnavailable also means that the interface's number could not be had, without which there
// is no telling which table is the interface's. Any other key that could not be had is Unavailable in
// the Interface, and an *Error in Problems says why. So are the IPv4 addresses of an
// interface in an IPv4 subnet that lists none.
func (s *EC2) Read(ctx context.Context, mac MAC) (Interface, error) {
	r, err := s.read(ctx, mac)
	if err != nil {
		return Interface{}, fmt.Errorf("read interface %s: %w", mac, err)
	}
	return r.iface, nil
}

// Others asks once what the cloud says of the instance's interfaces but the one with this MAC. With an error it is
// what could be had.
func (s *EC2) Others(ctx context.Context, mac MAC) (out []Interface, err error) {
	all, err := s.macs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the other interfaces: %w", err)
	}
	errs := []error{}
	for _, m := range all {
		if m == mac {
			continue
		}
		iface, err := s.Read(ctx, m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, iface)
	}
	return out, errors.Join(errs...)
}

// read asks for one interface. What never changes in an interface's life (its id, IPv4 subnet and number, once they are final) is
// remembered, so that the next reading asks for the rest alone.
func (s *EC2) read(ctx context.Context, mac MAC) (*reading, error) {
	names, err := s.listing(ctx, mac)
	if err != nil {
		return nil, err
	}
	r := &reading{mac: mac, names: names, got: map[string]answer{}}
	r.first, r.facts = s.recall(mac)
	err = s.complete(ctx, r)
	if r.first != (MAC{}) {
		s.learn(r.first)
	}
	if errors.Is(err, ErrNotReady) {
		_, known := s.recall(mac)
		known.late = true
		s.remember(mac, known)
	}
	if err != nil {
		return nil, err
	}
	r.facts.late = false
	s.remember(mac, r.facts)
	return r, nil
}

// complete asks for what the reading lacks, and interprets it. A number that was late is asked for
// before the rest: it may be late for half a minute, and is asked for every second.
func (s *EC2) complete(ctx context.Context, r *reading) error {
	if r.facts.late {
		if err := s.fetch(ctx, r.got, r.numbering()); err != nil {
			return err
		}
		if err := r.identify(); err != nil {
			return err
		}
	}
	if err := s.fetch(ctx, r.got, r.wanted()); err != nil {
		return err
	}
	return r.interpret()
}

// listing asks which keys the interface has. A list without device-number is one that the cloud has not
// finished: taken at its word, it would say that the interface has no addresses.
func (s *EC2) listing(ctx context.Context, mac MAC) (map[string]bool, error) {
	dir := interfaceKey(mac, "")
	a, err := s.get(ctx, dir)
	if err != nil {
		return nil, err
	}
	if a.Status == Absent {
		return nil, s.unlisted(ctx, mac)
	}
	names, err := parseListing(a.Value)
	if err != nil {
		return nil, unusable(dir, err)
	}
	if !slices.Contains(names, keyDevice) {
		return nil, notReady(dir, "it does not list device-number yet")
	}
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return set, nil
}

// unlisted tells a MAC that the cloud does not know from one whose keys are still to come.
func (s *EC2) unlisted(ctx context.Context, mac MAC) error {
	all, err := s.macs(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(all, mac) {
		return notReady(interfaceKey(mac, ""), "the MAC is listed but has no keys yet")
	}
	s.forget(mac)
	return &Error{Key: interfaceKey(mac, ""), Status: http.StatusNotFound, Err: ErrUnknownMAC}
}

func interfaceKey(mac MAC, name string) string { return keyMACs + mac.String() + "/" + name }

// answer is what came for one key; err is set when it is Unavailable.
type answer struct {
	Answer[string]
	err error
}

// fetch asks for all keys at once, and adds the answers to got; the wire bounds how many are on their
// way. A key that could not be had is no error here, except when it shows that no key can be.
func (s *EC2) fetch(ctx context.Context, got map[string]answer, keys []string) error {
	answers := make([]answer, len(keys))
	var wg sync.WaitGroup
	for i, key := range keys {
		wg.Go(func() { answers[i].Answer, answers[i].err = s.get(ctx, key) })
	}
	wg.Wait()
	for i, a := range answers {
		if Closed(a.err) || (a.err != nil && ctx.Err() != nil) {
			return a.err
		}
		got[keys[i]] = a
	}
	return nil
}

func (s *EC2) recall(mac MAC) (first MAC, f facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.known[mac]
}

func (s *EC2) remember(mac MAC, f facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[mac] = f
}

func (s *EC2) learn(first MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = first
}
