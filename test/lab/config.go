package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"ec2net/metadata"
)

// The addresses of seed 002, with documentation addresses for the public ones.
var (
	EIP1     = netip.MustParseAddr("203.0.113.70")   // elastic IP of eth0's 10.0.0.29
	EIP2     = netip.MustParseAddr("203.0.113.166")  // elastic IP of eth1's 10.0.2.37
	ClientIP = netip.MustParseAddr("198.51.100.146") // the client on the internet

	// ClientIP6 is the client's IPv6 address.
	ClientIP6 = netip.MustParseAddr("2001:db8:ffff::146")
)

// Config describes a cloud. The zero value is seed 002; with Azure as its only value it is seed 001's network.
type Config struct {
	Cloud      Provider       // whose cloud it is like; default EC2
	VPC        []netip.Prefix // CIDR blocks of the VPC, both families; default 10.0.0.0/16 and 2001:db8:ec2::/56
	Subnets    []Subnet       // default subnet-a 10.0.0.0/24 and subnet-c 10.0.2.0/24, and a /64 each
	Interfaces []Interface    // of the instance, the first as installed; default Eth0() and Eth1(); at least one
	RPFilter   int            // net.ipv4.conf.{all,default}.rp_filter on the instance: 0, 1 strict, 2 loose
	DAD        bool           // leave duplicate address detection for IPv6 on, on the instance (costs 1 to 2 s)
	Instance   Identity       // what the metadata says of the instance
}

// Subnet is a subnet of the VPC, in one availability zone.
type Subnet struct {
	ID   string       // "subnet-…"; made up when empty
	CIDR netip.Prefix // IPv4; the first address is the gateway's. May be invalid in an IPv6-only subnet
	IPv6 netip.Prefix // may be invalid

	Secondary []netip.Prefix // Google's secondary ranges, for alias addresses and blocks
}

// hasAlias says whether a block lies in one of the subnet's secondary ranges.
func (s Subnet) hasAlias(p netip.Prefix) bool {
	return slices.ContainsFunc(s.Secondary, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
}

// Gateway4 is the address of the subnet's IPv4 router: the first one of the whole prefix.
func (s Subnet) Gateway4() netip.Addr { return s.CIDR.Masked().Addr().Next() }

// Gateway6 is the router of every subnet, as on EC2.
var Gateway6 = netip.MustParseAddr("fe80:ec2::1")

// Interface is a network interface (ENI). Name, MAC, ID, Subnet and DeviceNumber may be left out.
type Interface struct {
	Name         string                    // interface name on the host; default the next free ethN
	MAC          metadata.MAC              // default 02:ec:20:…, on Azure 00:0d:3a:…
	ID           string                    // "eni-…"; Azure's interfaces have a name that the host does not learn
	NetworkCard  int                       // index of the physical network card
	DeviceNumber int                       // default the next free one of the network interface
	Subnet       string                    // Subnet.ID; default the subnet of the first address
	Addrs4       []netip.Addr              // the first is the primary
	Addrs6       []netip.Addr              // the first is the primary
	Prefixes4    []netip.Prefix            // delegated to the interface
	Prefixes6    []netip.Prefix            // delegated to the interface
	Forwarded    []netip.Prefix            // Google's: load balancers and forwarding rules send what is for them to the interface as it is
	Targets      []netip.Addr              // Google's: the same, of target instances
	EIPs         map[netip.Addr]netip.Addr // private address → elastic IP; on Azure a public address
	MTU          int                       // bytes, given by DHCP (not on Azure) and used in the fabric; default the provider's
	Late         time.Duration             // how long after the interface is plugged in the metadata begin to show it
	Forwarding   bool                      // may send what is not from its own addresses: EC2's source/destination check off, Azure's IP forwarding on
}

// Eth0 is the first interface of seed 002.
func Eth0() Interface {
	return Interface{
		Name: "eth0", Addrs4: []netip.Addr{netip.MustParseAddr("10.0.0.29")},
		EIPs: map[netip.Addr]netip.Addr{netip.MustParseAddr("10.0.0.29"): EIP1},
	}
}

// Eth1 is the second interface of seed 002.
func Eth1() Interface {
	return Interface{
		Name: "eth1", Addrs4: []netip.Addr{netip.MustParseAddr("10.0.2.37")},
		EIPs: map[netip.Addr]netip.Addr{netip.MustParseAddr("10.0.2.37"): EIP2},
	}
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	setIf(&c.Cloud, EC2, c.Cloud == "")
	machine := c.Cloud.habits().machine()
	setIf(&c.VPC, machine.VPC, c.VPC == nil)
	setIf(&c.Subnets, machine.Subnets, c.Subnets == nil)
	setIf(&c.Interfaces, machine.Interfaces, c.Interfaces == nil)
	c.Subnets = slices.Clone(c.Subnets)
	for i := range c.Subnets {
		if c.Subnets[i].ID == "" {
			c.Subnets[i].ID = fmt.Sprintf("subnet-%017x", i+1)
		}
	}
	c.Instance = c.Instance.withDefaults()
	return c
}

// check refuses a cloud that cannot be built.
func (c Config) check() error {
	errs := []error{c.Cloud.Check()}
	if len(c.Interfaces) == 0 {
		errs = append(errs, errors.New("the instance needs an interface"))
	}
	if c.RPFilter < 0 || c.RPFilter > 2 {
		errs = append(errs, fmt.Errorf("rp_filter %d: it is 0, 1 or 2", c.RPFilter))
	}
	for _, s := range c.Subnets {
		for _, p := range append([]netip.Prefix{s.CIDR, s.IPv6}, s.Secondary...) {
			if p.IsValid() && !c.inVPC(p) {
				errs = append(errs, fmt.Errorf("subnet %s: %s lies in no block of the VPC %v", s.ID, p, c.VPC))
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) inVPC(p netip.Prefix) bool {
	return slices.ContainsFunc(c.VPC, func(block netip.Prefix) bool {
		return block.Bits() <= p.Bits() && block.Contains(p.Addr())
	})
}

// subnetOf finds the subnet of an address.
func (c Config) subnetOf(a netip.Addr) (Subnet, bool) {
	i := slices.IndexFunc(c.Subnets, func(s Subnet) bool { return s.contains(a) })
	if i < 0 {
		return Subnet{}, false
	}
	return c.Subnets[i], true
}

func (s Subnet) contains(a netip.Addr) bool {
	return (s.CIDR.IsValid() && s.CIDR.Contains(a)) || (s.IPv6.IsValid() && s.IPv6.Contains(a))
}

// subnet finds a subnet by its ID.
func (c Config) subnet(id string) (Subnet, bool) {
	i := slices.IndexFunc(c.Subnets, func(s Subnet) bool { return s.ID == id })
	if i < 0 {
		return Subnet{}, false
	}
	return c.Subnets[i], true
}
