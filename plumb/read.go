package plumb

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Read takes a snapshot of what the kernel holds for the interface. It asks for all of it: nothing is
// remembered from the last time.
func (l *Link) Read() (Snapshot, error) {
	s, err := l.Look()
	if err != nil {
		return s, err
	}
	s.noAltNames = l.noAltNames
	steps := []func(*Snapshot) error{l.readAddrs, l.readPeers, l.readRoutes, l.readRivals, l.readRules, l.readPackets, l.readForwarding}
	for _, step := range steps {
		if err := step(&s); err != nil {
			return s, l.failed(err)
		}
	}
	return s, nil
}

// failed is the error of a question about the interface, which may have been unplugged since the last one.
func (l *Link) failed(err error) error {
	if errors.Is(err, unix.ENODEV) {
		if _, gone := l.Look(); gone != nil {
			return gone
		}
	}
	return fmt.Errorf("read the state of %s: %w", l.Name, err)
}

func (l *Link) readAddrs(s *Snapshot) (err error) {
	s.Addrs, err = l.addrs(s.Index)
	return err
}

// readPeers learns the addresses of the host's other cloud interfaces that have no rules which tell them.
func (l *Link) readPeers(s *Snapshot) error {
	for _, g := range s.Groups {
		list, err := l.addrs(g.Index)
		if err != nil && !errors.Is(err, unix.ENODEV) { // unplugged meanwhile
			return err
		}
		for _, a := range list {
			if ip := a.Prefix.Addr(); !ip.IsLinkLocalUnicast() {
				s.Taken = append(s.Taken, netip.PrefixFrom(ip, ip.BitLen()))
			}
		}
	}
	return nil
}

func (l *Link) readRoutes(s *Snapshot) error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		msgs, err := l.routes(family, s.Index)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			r, ok, err := parseRoute(m, s.Index)
			if err != nil {
				return err
			}
			if ok {
				s.Routes = append(s.Routes, r)
			} else if a, ok := parseOwn(m, s.Index); ok {
				s.Answered = append(s.Answered, a)
			}
		}
	}
	return nil
}
