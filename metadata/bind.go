package metadata

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// control sees a socket before it connects (net.Dialer).
type control func(network, address string, c syscall.RawConn) error

func checkDevice(name string) error {
	if len(name) > 15 || strings.ContainsAny(name, "/ \x00") {
		return fmt.Errorf("metadata interface %.20q: not a name of a network interface", name)
	}
	return nil
}

// binding makes every socket leave by one device, whatever the routing table says: by the one of that name, or
// by the one that towards chooses.
func binding(name string, towards func(netip.AddrPort) string) control {
	switch {
	case name != "":
		return func(_, _ string, c syscall.RawConn) error { return bindTo(name, c) }
	case towards != nil:
		return leaning(towards)
	}
	return nil
}

// leaning binds a socket to the device that choose names, as far as that can be done: before Linux 5.7 it takes
// CAP_NET_RAW, which an ordinary user has not, and the device may go at any time. A socket that is not bound goes
// where the routing table says.
func leaning(choose func(server netip.AddrPort) string) control {
	return func(_, address string, c syscall.RawConn) error {
		server, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil //nolint:nilerr // no server of the cloud's
		}
		name := choose(server)
		if name == "" {
			return nil
		}
		err = bindTo(name, c)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		return err
	}
}

func bindTo(name string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) }); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("bind socket to %s: %w", name, err)
	}
	return nil
}
