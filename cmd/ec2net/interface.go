package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// openInterface looks the interface up and refuses what is no network interface of a cloud.
func openInterface(name string) (*plumb.Link, plumb.Snapshot, error) {
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
		return nil, s, missing(name, err)
	}
	return link, s, nil
}

// asInterface looks at what can be set up, and says whether it is clear that it is an interface: what openInterface
// refuses can not, nor can a virtual function.
func asInterface(name string, where metadata.Cloud, known state.Records) (s plumb.Snapshot, certain bool, err error) {
	link, s, err := openInterface(name)
	if err != nil {
		return s, false, err
	}
	link.Close()
	role := roleOf(s, where, false, driver, func(index int) bool { return index != s.Index && wasSetUp(known, index, s.MAC) })
	switch role {
	case isFunction:
		return s, false, belongs(s)
	case isUnclear:
		return s, false, nil
	}
	return s, true, nil
}

// missing is err, and says which interfaces there are when it means that this one is not.
func missing(name string, err error) error {
	if !errors.Is(err, plumb.ErrGone) {
		return err
	}
	return errorOf(errInvalid, "%w %s here; this host has %s", plumb.ErrGone, name, strings.Join(interfaceNames(), ", "))
}

var errEnslaved = errors.New("is enslaved")

// usable says why a link can not be set up.
func usable(s plumb.Snapshot) error {
	switch {
	case s.Loopback:
		return errorOf(errInvalid, "%s is the loopback device, not a network interface", s.Name)
	case s.Master != 0:
		return belongs(s)
	case plumb.Virtual(s.Kind):
		return errorOf(errInvalid, "%s is a virtual device (%s), not a network interface of the cloud", s.Name, s.Kind)
	case s.MAC == (metadata.MAC{}):
		return errorOf(errInvalid, "%s has no MAC address, so the cloud cannot know it", s.Name)
	}
	return nil
}

// ownName is the name of the interface that has this one or an alternative one. Of an interface that is not here it
// is what was asked for.
func ownName(name string) (string, error) {
	if err := config.ValidAltName(name); err != nil {
		return "", fail(exitUsage, "%w", err)
	}
	if l, err := netlink.LinkByName(name); err == nil {
		return l.Attrs().Name, nil
	}
	if err := config.ValidName(name); err != nil {
		return "", fail(exitUsage, "%w, nor is it an alternative name of an interface here; this host has %s", err, strings.Join(interfaceNames(), ", "))
	}
	return name, nil
}

func nameOf(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return fmt.Sprintf("device %d", index)
}

func interfaceNames() []string {
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

// driver is the name of the kernel module behind the interface, as `ethtool -i` says it; a virtual one
// has none.
func driver(name string) string {
	link, err := os.Readlink(filepath.Join("/sys/class/net", name, "device/driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// keysOf are what sections of the configuration can match an interface by, before the metadata tells more.
func keysOf(s plumb.Snapshot) config.Facts { return config.Local(s.Name, s.MAC, driver(s.Name)) }

// mayChange checks for the right to change the network before anything is waited for.
func mayChange(command string) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the process's capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return errorOf(errDenied, "ec2net %s changes the network, which needs CAP_NET_ADMIN: run it as root (\"ec2net plan\" shows what it would do)", command)
	}
	return nil
}
