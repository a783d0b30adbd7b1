package agent

import (
	"errors"
	"fmt"
	"slices"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// A cloud may give a machine two devices for one interface, with the same MAC: the synthetic one, which has the
// addresses, and a virtual function, which the synthetic one enslaves (Azure's accelerated networking). The function
// may come first, later or in the middle of everything, goes when the cloud moves the machine, and comes back. It is
// never configured.

// role is what a device is: an interface, or part of one.
type role uint8

const (
	roleInterface role = iota
	// roleFunction is the virtual function of another device, or a device with a master (bond, bridge, team).
	roleFunction
	// roleAmbiguous is one of two devices with the same MAC when nothing tells yet which belongs to which.
	roleAmbiguous
)

var (
	errFunction  = errors.New("is the virtual function")
	errAmbiguous = errors.New("it is not known yet which device belongs to which")
)

// roleOf decides by what is the same on every kernel: the master, the driver and, if two devices without a telling
// driver have the same MAC, which of them ec2net had set up before the other one came. young is true for a device
// that has just appeared, whose interface may be on its way. It is pure: driver and setUp answer for the host.
func roleOf(s plumb.Snapshot, twins metadata.Twins, young bool, driver func(name string) string, setUp func(index int) bool) role {
	own := driver(s.Name)
	free := slices.DeleteFunc(slices.Clone(s.Twins), func(t plumb.Twin) bool { return t.Master != 0 })
	synthetic := func(name string) bool { return slices.Contains(metadata.InterfaceDrivers(), driver(name)) }
	switch {
	case s.Master != 0:
		return roleFunction
	case synthetic(s.Name):
		return roleInterface
	case slices.ContainsFunc(free, func(t plumb.Twin) bool { return synthetic(t.Name) }):
		return roleFunction
	case slices.Contains(twins.Function, own):
		return roleFunction // its interface is still to come
	case slices.Contains(twins.Either, own) && young && !setUp(s.Index):
		return roleAmbiguous
	case len(free) == 0 || setUp(s.Index):
		return roleInterface
	case slices.ContainsFunc(free, func(t plumb.Twin) bool { return setUp(t.Index) }):
		return roleFunction
	}
	return roleAmbiguous
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

var errEnslaved = errors.New("is enslaved")
