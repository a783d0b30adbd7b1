package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

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

// AsInterface looks at what can be set up, and says whether it is certain that it is an interface of its own: of two
// devices with one MAC that may not be known yet. What OpenInterface refuses can not be set up, nor can a virtual function.
func AsInterface(name string, where metadata.Cloud, known state.Records) (s plumb.Snapshot, certain bool, err error) {
	link, s, err := OpenInterface(name)
	if err != nil {
		return s, false, err
	}
	link.Close()
	role := roleOf(s, where, false, Driver, func(index int) bool { return index != s.Index && wasSetUp(known, index, s.MAC) })
	switch role {
	case roleFunction:
		return s, false, notStandalone(s)
	case roleAmbiguous:
		return s, false, nil
	}
	return s, true, nil
}

// ExplainGone is err; where that is plumb.ErrGone, it says which interfaces there are.
func ExplainGone(name string, err error) error {
	if !errors.Is(err, plumb.ErrGone) {
		return err
	}
	return ErrorOf(ErrInvalid, "%w %s here; this host has %s", plumb.ErrGone, name, strings.Join(InterfaceNames(), ", "))
}

var errEnslaved = errors.New("is enslaved")

// usable says why a link can not be set up.
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

func nameOf(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return fmt.Sprintf("device %d", index)
}

// InterfaceNames are those of the host's devices but for the loopback one; "none" if there is no other.
func InterfaceNames() []string {
	list, _ := net.Interfaces()
	out := []string{}
	for _, i := range list {
		if i.Flags&net.FlagLoopback == 0 {
			out = append(out, i.Name)
		}
	}
	if len(out) == 0 {
		return []string{"none"}
	}
	return out
}

// Driver is the name of the kernel module behind the interface, as `ethtool -i` says it; a virtual one
// has none.
func Driver(name string) string {
	link, err := os.Readlink(filepath.Join("/sys/class/net", name, "device/driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// MatchKeys are what sections of the configuration can match an interface by, before the metadata tells more.
func MatchKeys(s plumb.Snapshot) config.Facts { return config.Local(s.Name, s.MAC, Driver(s.Name)) }

// MayChange checks for the right to change the network (CAP_NET_ADMIN, capabilities(7)) before anything is waited for;
// ErrDenied. command is for the message.
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
