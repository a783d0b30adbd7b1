package plumb

import (
	"errors"
	"fmt"
	"net/netip"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// What Want decides from (Input), and what it decides into (want).

// Input is all that Want decides from.
type Input struct {
	Interface metadata.Interface // settled; the zero value when the metadata never answered
	Lease     *dhcp.Lease        // nil while there is none
	Have      Snapshot           // the kernel's side
	// OwnAddress: the primary address is ec2net's to add. False while another program does DHCP on
	// the interface: then routes and rules wait until it has put the address there.
	OwnAddress bool
	// Host: nobody else configures the interface, and the host itself is to leave by it: it is the primary, or may
	// be, as long as the metadata has not said which is.
	Host bool
	// NoDHCP: there is to be no lease, so that the MTU of an earlier one is given back.
	NoDHCP bool
	// MainTable: write the interface's subnet and default route to main too, with metric T.
	MainTable bool
	// Gateways are where an interface's IPv4 gateway is looked for, in this order; nil: metadata.UsualGateways.
	Gateways []metadata.GatewaySource
	// OffLink: the interface's subnet is reached by its gateway, which is the only one on the link (metadata.Traits).
	OffLink bool
	// Gateway6 is where IPv6 leaves when neither a router advertisement nor the metadata named a router (EC2: fe80:ec2::1).
	Gateway6 netip.Addr
	// ByInterface: an interface also answers the connections that came in by it and were passed on to another
	// address of the host's, such as a container's.
	ByInterface bool
	// Priority is the preference at which the rules for the host's interfaces begin; 0: each has preferences of its own.
	Priority uint32
	// Baseline is how the interface was found, for what is given back while the interface stays; or nil.
	Baseline *Baseline
	// Prefixes says what becomes of the blocks that are delegated to the interface.
	Prefixes Delegation
	// Connected are the addresses at the other ends of the host's open connections. None that is beyond the interface's
	// subnets becomes the host's own: the answers to it would stay here.
	Connected []netip.Addr
	// Egress: what no source rule caught leaves by this interface.
	Egress Egress
	// NAT are ranges of other hosts that leave by this interface, and Inside those that arrive by it.
	NAT    []NAT
	Inside []netip.Prefix
	// Servers are the cloud's own servers, which the host asks by the primary interface: no lease of another one leads there.
	Servers []netip.Addr
	// Services are the cloud's own servers, which stay reachable by the primary interface when traffic leaves
	// by another one. Any at all give the primary interface its table and its rules even where it is alone.
	Services []netip.Addr
}

// ErrNoAddress says that nothing can be set up yet: neither the metadata nor a lease has named an
// address, or the program that owns the interface has not added it.
var ErrNoAddress = errors.New("no address yet")

// Egress says that the host's own traffic leaves by the interface. Several interfaces may have the rules for a
// moment, while one takes over from another: the lowest rank has it.
type Egress struct {
	Rank       int // place in the order of preference, 0 to maxRank
	IPv4, IPv6 bool
}

// on says whether one family leaves by the interface.
func (e Egress) on(six bool) bool { return (six && e.IPv6) || (!six && e.IPv4) }

// NAT is a range whose packets leave by the interface, under the interface's address.
type NAT struct {
	From netip.Prefix // IPv4
	In   string       // the interface that they arrive by
}

// Delegation says what becomes of the blocks of addresses that are delegated to an interface.
type Delegation uint8

// want is the state while it is being worked out.
type want struct {
	in   Input
	out  State
	errs []error

	number int // that the table and the rules go by

	places map[routeKey]bool // of out.Routes, of which the first seen are in it
	seen   int
	others map[routeKey][]Route // of other programs
}

func (w *want) refuse(format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf(format, args...))
}

func (w *want) n() int { return w.number }
