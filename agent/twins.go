package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// Azure's accelerated networking gives a machine two devices for one interface, with the same MAC: the
// synthetic one (hv_netvsc), which has the addresses, and a virtual function, which the synthetic one
// enslaves. The function may come first, later or in the middle of everything, goes when Azure moves the
// machine, and comes back. It is never configured.

// role is what a device is: an interface, or part of one.
type role uint8

const (
	roleInterface role = iota
	// roleFunction is the virtual function of another device, or a device with a master (bond, bridge, team).
	roleFunction
	// roleAmbiguous is one of two devices with the same MAC when nothing tells yet which belongs to which.
	roleAmbiguous
)

// driverSynthetic is the driver of Azure's interfaces.
const driverSynthetic = "hv_netvsc"

// functionDrivers are those of Azure's virtual functions. The last may also stand alone, and is the interface
// then (learn.microsoft.com, "Linux VMs with the Microsoft Azure Network Adapter").
func functionDrivers() []string { return []string{"mlx4_core", "mlx5_core", driverMANA} }

const driverMANA = "mana"

var (
	errFunction  = errors.New("is the virtual function")
	errAmbiguous = errors.New("it is not known yet which device belongs to which")
)

// roleOf decides by what is the same on every kernel: the master, the driver and, if two devices without a telling
// driver have the same MAC, which of them ec2net had set up before the other one came. young is true for a device
// that has just appeared, whose interface may be on its way. It is pure: driver and setUp answer for the host.
func roleOf(s plumb.Snapshot, where metadata.Cloud, young bool, driver func(name string) string, setUp func(index int) bool) role {
	own := driver(s.Name)
	free := slices.DeleteFunc(slices.Clone(s.Twins), func(t plumb.Twin) bool { return t.Master != 0 })
	synthetic := func(t plumb.Twin) bool { return driver(t.Name) == driverSynthetic }
	switch {
	case s.Master != 0:
		return roleFunction
	case own == driverSynthetic:
		return roleInterface
	case slices.ContainsFunc(free, synthetic):
		return roleFunction
	case where == metadata.CloudAzure && own != driverMANA && slices.Contains(functionDrivers(), own):
		return roleFunction // its interface is still to come
	case where == metadata.CloudAzure && own == driverMANA && young && !setUp(s.Index):
		return roleAmbiguous
	case len(free) == 0 || setUp(s.Index):
		return roleInterface
	case slices.ContainsFunc(free, func(t plumb.Twin) bool { return setUp(t.Index) }):
		return roleFunction
	}
	return roleAmbiguous
}

// roleOf is the role of the NIC's own device.
func (n *NIC) roleOf(s plumb.Snapshot) role {
	return roleOf(s, n.where, time.Since(n.startedAt) < ownerDecideTime, Driver, func(index int) bool {
		if index == s.Index {
			return n.setUp || len(n.record.Numbers) > 0
		}
		return wasSetUp(n.store.All(), index, s.MAC)
	})
}

// wasSetUp reports whether ec2net has set up the device with this index and MAC, by the records.
func wasSetUp(known state.Records, index int, mac metadata.MAC) bool {
	return slices.ContainsFunc(known, func(r state.Record) bool {
		return r.Index == index && r.MAC == mac && (r.Ready || len(r.Numbers) > 0)
	})
}

// notStandalone is the error for a device that is part of another interface; it names that one.
func notStandalone(s plumb.Snapshot) error {
	if s.Master != 0 {
		return ErrorOf(ErrInvalid, "%s %w to %s: set that one up, or release it first", s.Name, errEnslaved, nameOf(s.Master))
	}
	of := "an interface that has not appeared yet"
	if len(s.Twins) > 0 {
		of = s.Twins[0].Name
	}
	return ErrorOf(ErrInvalid, "%s %w of %s, which has the same MAC address: set that one up", s.Name, errFunction, of)
}

// IsNotStandalone reports whether an error says that a device is part of another interface: a virtual function, or
// enslaved.
func IsNotStandalone(err error) bool {
	return errors.Is(err, errEnslaved) || errors.Is(err, errFunction)
}

// Ambiguous is the error that says why nothing is done with a device for the time being.
func Ambiguous(s plumb.Snapshot) error {
	if len(s.Twins) == 0 {
		return fmt.Errorf("%s may belong to an interface that has not appeared yet: %w", s.Name, errAmbiguous)
	}
	return fmt.Errorf("%s and %s have the same MAC address: %w", s.Name, s.Twins[0].Name, errAmbiguous)
}
