package metadata

import (
	"context"
	"net/netip"
)

// Source asks one cloud's metadata. It may be used from several goroutines.
type Source interface {
	// Read asks once for everything about the interface with this MAC. The error wraps ErrUnknownMAC,
	// ErrNotReady, ErrDisabled, ErrProhibited or ErrUnavailable; Backoff tells when to try again.
	Read(ctx context.Context, mac MAC) (Interface, error)
	// Interfaces lists the interfaces that the cloud knows, and says which of them the instance was started
	// with. Errors are those of Read, without ErrUnknownMAC.
	Interfaces(ctx context.Context) (primary MAC, all []MAC, err error)
	// Others asks once what the cloud says of the instance's interfaces but the one with this MAC. With an error
	// it is what could be had.
	Others(ctx context.Context, mac MAC) ([]Interface, error)
	// Primary is the MAC of the interface that the instance was started with, once a reading has learned
	// it; until then it is the zero MAC.
	Primary() MAC
	// Server is the address that is asked, or the one of several that answered last.
	Server() netip.AddrPort
	// Wait returns nil as soon as a reading may bring news, where the cloud tells so, else errors.ErrUnsupported at
	// once. Other errors are those of Interfaces.
	Wait(ctx context.Context) error
	// Close closes the idle connections. The source can still be used.
	Close()
}
