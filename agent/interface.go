package agent

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// Which devices of the host are network interfaces of a cloud, and whether this process may change them.

// OpenInterface looks the interface up and refuses, with ErrInvalid, what is no network interface of a cloud: what is not
// there, the loopback device, virtual ones, and those that are enslaved. The Link is to be closed.
func OpenInterface(name string) (*plumb.Link, plumb.Snapshot, error) {
	link, err := plumb.Open(name)
	if err != nil {
		return nil, plumb.Snapshot{}, err
	}
	s, err := link.Look()
	if err == nil {
		err = usable(s)
	}
	if err != nil {
		link.Close()
		return nil, s, ExplainGone(name, err)
	}
	return link, s, nil
}

// AsInterface looks up a device that may be set up. certain is false while two devices have the same MAC and nothing
// tells yet which of them is the interface. It refuses what OpenInterface refuses, and virtual functions.
func AsInterface(name string, where metadata.Cloud, known state.Records) (s plumb.Snapshot, certain bool, err error) {
	link, s, err := OpenInterface(name)
	if err != nil {
		return s, false, err
	}
	link.Close()
	role := roleOf(s, where.Traits().Twins, false, Driver, func(index int) bool { return index != s.Index && wasSetUp(known, index, s.MAC) })
	switch role {
	case roleFunction:
		return s, false, notStandalone(s)
	case roleAmbiguous:
		return s, false, nil
	}
	return s, true, nil
}

// ExplainGone adds to plumb.ErrGone which interfaces the host has, and makes it ErrInvalid. It returns other errors
// as they are.
func ExplainGone(name string, err error) error {
	if !errors.Is(err, plumb.ErrGone) {
		return err
	}
	return ErrorOf(ErrInvalid, "%w %s here; this host has %s", plumb.ErrGone, name, strings.Join(InterfaceNames(), ", "))
}

// usable returns why a device cannot be set up; nil: it can.
func usable(s plumb.Snapshot) error {
	switch {
	case s.Loopback:
		return ErrorOf(ErrInvalid, "%s is the loopback device, not a network interface", s.Name)
	case s.Master != 0:
		return notStandalone(s)
	case plumb.Virtual(s.Kind):
		return ErrorOf(ErrInvalid, "%s is a virtual device (%s), not a network interface of the cloud", s.Name, s.Kind)
	case s.MAC == (metadata.MAC{}):
		return ErrorOf(ErrInvalid, "%s has no MAC address, so the cloud cannot know it", s.Name)
	}
	return nil
}

// MayChange returns ErrDenied if the process lacks CAP_NET_ADMIN (capabilities(7)), so that a command fails at once
// rather than after a minute of waiting. command is for the message.
func MayChange(command string) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the process's capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return ErrorOf(ErrDenied, "ec2net %s changes the network, which needs CAP_NET_ADMIN: run it as root (\"ec2net plan\" shows what it would do)", command)
	}
	return nil
}
