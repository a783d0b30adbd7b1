package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"ec2net/metadata"

	"golang.org/x/sys/unix"
)

// Squatter is a host on an interface's link that answers ARP for an address which it ought not to have.
type Squatter struct {
	MAC  metadata.MAC
	addr netip.Addr
	file *os.File
	done sync.WaitGroup
}

// Squat lets a stranger on an interface's link claim an IPv4 address, until Close. Asked or probed for it (RFC 5227)
// it answers.
func (c *Cloud) Squat(key string, a netip.Addr) (*Squatter, error) {
	if !a.Is4() {
		return nil, fmt.Errorf("squat on %s: it is not IPv4", a)
	}
	p, err := c.portOf(key)
	if err != nil {
		return nil, fmt.Errorf("squat on %s: %w", a, err)
	}
	s := &Squatter{MAC: metadata.MAC{0x02, 0xba, 0xd0, 0, 0, byte(p.index)}, addr: a}
	if s.file, err = c.fabric.packetSocket(p, unix.ETH_P_ARP); err != nil {
		return nil, fmt.Errorf("squat on %s: %w", a, err)
	}
	c.own(s.Close)
	s.done.Add(1)
	go s.answer()
	return s, nil
}

// answer reads ARP requests. A frame is: 14 bytes Ethernet, 8 of types and operation, then the sender's
// MAC and address and the target's.
func (s *Squatter) answer() {
	defer s.done.Done()
	buf := make([]byte, 64)
	for {
		n, err := s.file.Read(buf)
		if errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			return
		}
		if n < 42 || binary.BigEndian.Uint16(buf[20:]) != 1 || netip.AddrFrom4([4]byte(buf[38:42])) != s.addr {
			continue
		}
		asker := metadata.MAC(buf[22:28])
		_, _ = s.file.Write(arpReply(asker, s.MAC, netip.AddrFrom4([4]byte(buf[28:32])), s.addr)) // the interface may be gone
	}
}

// Announce claims the address to everybody on the link, unasked.
func (s *Squatter) Announce() error {
	frame := arpReply(broadcastMAC, s.MAC, s.addr, s.addr)
	if _, err := s.file.Write(frame); err != nil {
		return fmt.Errorf("announce %s: %w", s.addr, err)
	}
	return nil
}

// Close makes the stranger go.
func (s *Squatter) Close() error {
	err := s.file.Close()
	s.done.Wait()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
