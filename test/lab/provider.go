package lab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ec2net/metadata"
)

// Provider is whose cloud the lab behaves like.
type Provider string

// The providers. The zero value of Provider stands for EC2.
const (
	EC2   Provider = "ec2"
	Azure Provider = "azure"
	OCI   Provider = "oci" // Oracle's
	GCE   Provider = "gce" // Google's
)

// Providers lists the providers, EC2 first.
func Providers() []Provider { return []Provider{EC2, Azure, OCI, GCE} }

// Provider is whose cloud this is.
func (c *Cloud) Provider() Provider { return c.cfg.Cloud }

// habits is all in which the providers' clouds differ. A provider is one such value.
type habits struct {
	// The metadata service.
	metadata []netip.Addr        // where it listens
	service  func(*IMDS) service // what it answers
	limit    int                 // requests a second; 0 for any number

	// DHCP.
	plan   func(*iface, DHCPMessage) dhcpPlan // the answer to a message
	leased func(*iface) []StaticRoute         // what the lease of an installed interface routes
	lease6 func(*iface) []netip.Addr          // what DHCPv6 gives an interface; nil where there is none

	// The fabric's addresses and routers.
	wire     netip.Addr                // the host's own address, where there is one
	services []netip.Addr              // other servers of the platform's own, such as its disks
	gateway  func(Subnet) metadata.MAC // of a subnet's router; nil for one of its own on each link
	gateway6 func(Subnet) netip.Addr   // a subnet's router, in IPv6
	lonely   bool                      // nothing is on an interface's link but the router, which alone answers ARP and neighbour discovery
	block6   int                       // bits of the block that belongs to an interface's IPv6 address; 0 for the address alone

	// What the platform drops, and what it lends.
	serves audience // whom the fabric's own servers answer
	closed bool     // the internet has no route to private addresses
	mute   bool     // the subnets' routers answer no ping
	apart  bool     // each subnet is a network of its own: nothing goes from one to another
	lends  bool     // who has no public address uses DefaultOutbound

	// Interfaces.
	mtu    int                       // bytes
	vendor [3]byte                   // a MAC begins with it
	mac    func(*iface) metadata.MAC // where more of it is given than that
	id     string                    // how the name of one begins
	late   time.Duration             // until the metadata show one that was plugged in

	machine func() Config // what is left out of a Config: the network, and the interfaces
}

// Machine is the cloud that a Config stands for which says no more than the provider.
func (p Provider) Machine() Config { return Config{Cloud: p}.withDefaults() }

// same is a router's address, or its MAC, that is the same in every subnet.
func same[T any](v T) func(Subnet) T { return func(Subnet) T { return v } }

// audience is whom the fabric's own servers answer: a packet of anybody else to them is dropped.
type audience int

const (
	everybody        audience = iota
	primaryAddress            // the primary IPv4 address of the primary interface
	primaryInterface          // whatever comes by the primary interface, in both families
)

// habitsOf has the providers' habits by name.
func habitsOf() map[Provider]func() habits {
	return map[Provider]func() habits{EC2: ec2Habits, Azure: azureHabits, OCI: ociHabits, GCE: gceHabits}
}

// habits are those of the provider, and EC2's for one that is not known.
func (p Provider) habits() habits {
	if known, ok := habitsOf()[p]; ok {
		return known()
	}
	return ec2Habits()
}

// Check refuses a provider that the lab does not know.
func (p Provider) Check() error {
	if _, ok := habitsOf()[p]; ok {
		return nil
	}
	var names []string
	for _, known := range Providers() {
		names = append(names, string(known))
	}
	last := len(names) - 1
	return fmt.Errorf("cloud %q: there are %s and %s", string(p), strings.Join(names[:last], ", "), names[last])
}

// Late is how long the metadata of a real cloud may take to show an interface that was plugged in. The lab's take
// Interface.Late.
func (p Provider) Late() time.Duration { return p.habits().late }

// imds4 is where nearly every cloud's metadata are.
var imds4 = netip.MustParseAddr("169.254.169.254")

// own lists what the fabric answers for itself, besides the subnets' gateways.
func (h habits) own() []netip.Addr {
	out := slices.Concat(h.metadata, h.services)
	if h.wire.IsValid() {
		return append([]netip.Addr{h.wire}, out...)
	}
	return out
}

// router is the MAC of the router on the link of the interface with a number.
func (h habits) router(s Subnet, number int) net.HardwareAddr {
	if h.gateway != nil {
		mac := h.gateway(s)
		return mac[:]
	}
	return net.HardwareAddr{0x02, 0xfa, 0xb1, 0, byte(number >> 8), byte(number)}
}
