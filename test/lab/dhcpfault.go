package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DHCPFault is something that the DHCP server does wrong, or otherwise than EC2's. All faults that match a
// message apply, a later one over an earlier one.
type DHCPFault struct {
	// Which messages. Empty means all.
	Interface string   `json:"interface,omitempty"` // name, MAC or ENI ID
	On        []string `json:"on,omitempty"`        // DISCOVER, REQUEST, SELECTING, INIT-REBOOT, RENEWING, REBINDING, INFORM

	// When.
	Skip  int           `json:"skip,omitempty"`  // so many matching messages pass first
	Times int           `json:"times,omitempty"` // so many are spoilt; 0: until cleared
	For   time.Duration `json:"for,omitempty"`   // counted from Inject; 0: until cleared

	// What.
	Silent   bool          `json:"silent,omitempty"`
	NAK      bool          `json:"nak,omitempty"` // to every REQUEST
	Delay    time.Duration `json:"delay,omitempty"`
	Offer    netip.Addr    `json:"offer,omitzero"`      // in place of the interface's primary address
	Mask     *int          `json:"mask,omitempty"`      // prefix length, 0 to 32
	Router   netip.Addr    `json:"router,omitzero"`     // in place of the subnet's
	NoRouter bool          `json:"no_router,omitempty"` // option 3 left out
	Server   netip.Addr    `json:"server,omitzero"`     // server identifier
	MTU      int           `json:"mtu,omitempty"`
	Lease    time.Duration `json:"lease,omitempty"` // option 51
	T1       time.Duration `json:"t1,omitempty"`    // option 58
	T2       time.Duration `json:"t2,omitempty"`    // option 59
	Mangle   Mangle        `json:"mangle,omitempty"`
	// Options are added as they are, and sent whether asked for or not. An empty one is left out of the answer.
	Options map[uint8][]byte `json:"options,omitempty"`
}

// Mangle is a way to break a DHCP message.
type Mangle string

// The ways to break a message.
const (
	Truncated Mangle = "truncated" // the last option promises more than there is
	Overload  Mangle = "overload"  // option 52; file and sname hold other values of the same options
	Repeated  Mangle = "repeated"  // mask and router come twice, with different values
	NoMagic   Mangle = "nomagic"   // the cookie is wrong
	Stub      Mangle = "stub"      // shorter than a DHCP message can be
	Garbage   Mangle = "garbage"   // the options are noise
)

// mangles lists the ways to break a message.
var mangles = []Mangle{"", Truncated, Overload, Repeated, NoMagic, Stub, Garbage}

// InfiniteLease is a lease time that never ends, on the wire 0xffffffff.
const InfiniteLease = time.Duration(0xffffffff) * time.Second

type injectedDHCP struct {
	DHCPFault
	id      int
	seen    int
	mac     string // of Interface
	expires time.Time
}

var messageNames = []string{"DISCOVER", "REQUEST", "SELECTING", "INIT-REBOOT", "RENEWING", "REBINDING", "INFORM"}

func (f DHCPFault) check() error {
	var errs []error
	for _, on := range f.On {
		if !slices.Contains(messageNames, strings.ToUpper(on)) {
			errs = append(errs, fmt.Errorf("unknown message %q; there are %s", on, strings.Join(messageNames, ", ")))
		}
	}
	if f.Mask != nil && (*f.Mask < 0 || *f.Mask > 32) {
		errs = append(errs, fmt.Errorf("mask /%d is not in 0 to 32", *f.Mask))
	}
	if !slices.Contains(mangles, f.Mangle) {
		errs = append(errs, fmt.Errorf("unknown way to break a message %q; there are %q", f.Mangle, mangles[1:]))
	}
	for _, d := range []time.Duration{f.For, f.Delay, f.Lease, f.T1, f.T2} {
		if d < 0 || d > InfiniteLease {
			errs = append(errs, fmt.Errorf("time %v is not in 0 to %v", d, InfiniteLease))
		}
	}
	if !f.does() {
		errs = append(errs, errors.New("it says nothing of what goes wrong"))
	}
	if f.Skip < 0 || f.Times < 0 || f.MTU < 0 || f.MTU > 65535 {
		errs = append(errs, errors.New("numbers cannot be negative, nor an MTU above 65535"))
	}
	for _, a := range []netip.Addr{f.Offer, f.Router, f.Server} {
		if a.IsValid() && !a.Is4() {
			errs = append(errs, fmt.Errorf("%s is not IPv4", a))
		}
	}
	return errors.Join(errs...)
}

// does says whether the fault changes anything.
func (f DHCPFault) does() bool {
	return slices.Contains([]bool{
		f.Silent, f.NAK, f.NoRouter, f.Delay > 0,
		f.Offer.IsValid(), f.Router.IsValid(), f.Server.IsValid(), f.Mask != nil, f.MTU != 0,
		f.Lease > 0, f.T1 > 0, f.T2 > 0, f.Mangle != "", len(f.Options) > 0,
	}, true)
}

// Inject makes the server do something wrong until the fault's own end or until Clear. The number names
// the fault.
func (d *DHCP) Inject(f DHCPFault) (int, error) {
	if err := f.check(); err != nil {
		return 0, fmt.Errorf("DHCP fault: %w", err)
	}
	in := &injectedDHCP{DHCPFault: f}
	if f.Interface != "" {
		k, err := d.cloud.Interface(f.Interface)
		if err != nil {
			return 0, fmt.Errorf("DHCP fault: %w", err)
		}
		in.mac = k.MAC.String()
	}
	if f.For > 0 {
		in.expires = time.Now().Add(f.For)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastFault++
	in.id = d.lastFault
	d.faults = append(d.faults, in)
	return in.id, nil
}

// Clear ends faults by number, or all of them when none is named.
func (d *DHCP) Clear(ids ...int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = slices.DeleteFunc(d.faults, func(in *injectedDHCP) bool {
		return len(ids) == 0 || slices.Contains(ids, in.id)
	})
}

// Faults lists the faults at work by number.
func (d *DHCP) Faults() map[int]DHCPFault {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[int]DHCPFault{}
	for _, in := range d.faults {
		if !in.over(time.Now()) {
			out[in.id] = in.DHCPFault
		}
	}
	return out
}

func (in *injectedDHCP) over(now time.Time) bool {
	return (!in.expires.IsZero() && now.After(in.expires)) || (in.Times > 0 && in.seen >= in.Skip+in.Times)
}

// strikes counts a message if the fault is about it, and says whether it is spoilt.
func (in *injectedDHCP) strikes(mac string, m DHCPMessage) bool {
	about := len(in.On) == 0 || slices.ContainsFunc(in.On, func(on string) bool {
		return strings.EqualFold(on, m.Type) || strings.EqualFold(on, m.State)
	})
	if in.over(m.Time) || (in.mac != "" && in.mac != mac) || !about {
		return false
	}
	in.seen++
	return in.seen > in.Skip
}
