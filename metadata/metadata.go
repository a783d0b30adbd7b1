// Package metadata asks a cloud's instance metadata what it knows of a network interface.
//
// The metadata is neither trusted nor punctual: every value is parsed, masked and bounded, and
// "there is none" is never mixed up with "it could not be asked".
package metadata

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Status says which of its three answers the metadata gave for one key.
type Status uint8

// The three answers. The zero value is the one that must never change anything.
const (
	Unavailable Status = iota // could not be asked: 5xx, 429, time-out, reset, an HTML page
	Absent                    // the cloud says that there is none
	Present                   // the cloud gave a value
)

func (s Status) String() string {
	return [...]string{"unavailable", "absent", "present"}[s]
}

// MarshalText makes a status readable in JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Status) UnmarshalText(b []byte) error {
	for _, k := range []Status{Unavailable, Absent, Present} {
		if string(b) == k.String() {
			*s = k
			return nil
		}
	}
	return fmt.Errorf("%.40q is not a status of an answer", b)
}

// Answer is what the metadata said for one key that may be missing.
type Answer[T any] struct {
	Status Status `json:"status"`
	Value  T      `json:"value"` // meaningful only when Status is Present
}

// Is returns the answer that carries v.
func Is[T any](v T) Answer[T] { return Answer[T]{Status: Present, Value: v} }

// None returns the answer of a cloud that says there is none.
func None[T any]() Answer[T] { return Answer[T]{Status: Absent} }

// Interface is what the cloud says of one network interface (on EC2: one ENI). Values are canonical:
// prefixes are masked, addresses are unicast and lie in a subnet of the interface, lists hold no value
// twice and keep the cloud's order, in which the first address of a family is the primary one.
type Interface struct {
	MAC          MAC                    `json:"mac"`
	ID           string                 `json:"id"`            // "eni-…"; empty when the cloud gives none
	NetworkCard  int                    `json:"network_card"`  // 0 to 99
	DeviceNumber int                    `json:"device_number"` // 0 to 99
	Number       int                    `json:"number"`        // in place of the two where the cloud has no such numbers (see Azure); 0: it has
	Primary      bool                   `json:"primary"`       // the interface that the instance was started with
	Addrs4       Answer[[]netip.Addr]   `json:"ipv4_addresses"`
	Addrs6       Answer[[]netip.Addr]   `json:"ipv6_addresses"`
	Subnets4     Answer[[]netip.Prefix] `json:"ipv4_subnets"`
	Subnets6     Answer[[]netip.Prefix] `json:"ipv6_subnets"`
	Prefixes4    Answer[[]netip.Prefix] `json:"ipv4_prefixes"` // delegated to the interface
	Prefixes6    Answer[[]netip.Prefix] `json:"ipv6_prefixes"`
	Gateway4     netip.Addr             `json:"ipv4_gateway"` // invalid unless the cloud names one (EC2 does not)
	Gateway6     netip.Addr             `json:"ipv6_gateway"` // invalid unless the cloud names one
	MTU          int                    `json:"mtu"`          // of the network, in bytes; 0 unless the cloud names it
	Problems     []error                `json:"-"`            // values refused and keys that could not be asked, and why; the rest holds all the same
}

// N is the number that the interface's routing table and rules are derived from: 100 × network card +
// device number, or Number, so that it does not change when another interface comes or goes. It is 0 on
// the interface that the instance was started with.
func (i Interface) N() int {
	if i.Number != 0 {
		return i.Number
	}
	return 100*i.NetworkCard + i.DeviceNumber
}

// Partial says that some key of the interface could not be asked.
func (i Interface) Partial() bool {
	for _, s := range []Status{i.Addrs4.Status, i.Addrs6.Status, i.Subnets4.Status, i.Subnets6.Status, i.Prefixes4.Status, i.Prefixes6.Status} {
		if s == Unavailable {
			return true
		}
	}
	return false
}

// What a caller branches on. Everything else that goes wrong is ErrUnavailable.
var (
	// ErrUnavailable: no reading could be had now; ask again later and change nothing.
	ErrUnavailable = errors.New("metadata unavailable")
	// ErrDisabled: the metadata service is switched off for this instance (403); asking on is pointless.
	ErrDisabled = errors.New("metadata switched off")
	// ErrProhibited: this host forbids requests to the metadata (EACCES, ip(7), connect(2)): by a route or a rule of the type
	// "prohibit", as systemd-imdsd's locked mode writes them, or by a security module. Only a change of the host ends that.
	ErrProhibited = errors.New("this host forbids requests to the metadata")
	// ErrNotReady: the cloud is still publishing this interface; ask again soon and change nothing.
	ErrNotReady = errors.New("metadata not ready")
	// ErrUnknownMAC: the cloud answered, and it lists no interface with this MAC (yet).
	ErrUnknownMAC = errors.New("MAC unknown to the cloud")
)

// MAC is an EUI-48 hardware address. Unlike net.HardwareAddr it can be compared and be a map key.
type MAC [6]byte

// ParseMAC reads a MAC in any spelling that a cloud uses: colons, dashes, dots or nothing between
// the digits, in either case.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	digits := strings.NewReplacer(":", "", "-", "", ".", "").Replace(s)
	if len(digits) != 12 || len(s) > 17 {
		return m, fmt.Errorf("%.40q is not a MAC address", s)
	}
	for i := range m {
		b, err := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
		if err != nil {
			return MAC{}, fmt.Errorf("%.40q is not a MAC address", s)
		}
		m[i] = byte(b)
	}
	return m, nil
}

// String writes the MAC the way that Linux and EC2 do: six lower-case pairs with colons.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText makes a MAC readable in JSON.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMAC(string(b))
	return err
}
