package lab

import (
	"fmt"
	"net"
	"net/netip"

	"ec2net/metadata"
)

// Provider is whose cloud the lab behaves like.
type Provider string

// The providers. The zero value of Provider stands for EC2.
const (
	EC2   Provider = "ec2"
	Azure Provider = "azure"
)

// Provider is whose cloud this is.
func (c *Cloud) Provider() Provider { return c.cfg.Cloud }

// WireServer is the host of an Azure virtual machine as the machine sees it: its DHCP server, its name
// server, and where the probes of load balancers come from.
var WireServer = netip.MustParseAddr("168.63.129.16")

// habits is in what the providers' networks differ.
type habits struct {
	metadata []netip.Addr // where the metadata server listens
	wire     netip.Addr   // the host's own address, where there is one
	gateway  metadata.MAC // of every subnet's router; zero for one of its own on each link
	gateway6 netip.Addr   // the router of every subnet, in IPv6
	mtu      int          // of an interface, in bytes
	vendor   [3]byte      // an interface's MAC begins with it
	id       string       // how the name of an interface begins
}

func (p Provider) habits() habits {
	imds := netip.MustParseAddr("169.254.169.254")
	if p == Azure {
		return habits{
			metadata: []netip.Addr{imds}, wire: WireServer,
			gateway:  metadata.MAC{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc},
			gateway6: netip.MustParseAddr("fe80::1234:5678:9abc"), mtu: 1500,
			vendor: [3]byte{0x00, 0x0d, 0x3a}, id: "nic-0a2e",
		}
	}
	return habits{
		metadata: []netip.Addr{imds, netip.MustParseAddr("fd00:ec2::254")},
		gateway6: Gateway6, mtu: 9001, vendor: [3]byte{0x02, 0xec, 0x20}, id: "eni-0ec2",
	}
}

func (p Provider) check() error {
	if p != EC2 && p != Azure {
		return fmt.Errorf("cloud %q: there are %s and %s", string(p), EC2, Azure)
	}
	return nil
}

// own lists what the fabric answers for itself, besides the subnets' gateways.
func (h habits) own() []netip.Addr {
	if h.wire.IsValid() {
		return append([]netip.Addr{h.wire}, h.metadata...)
	}
	return h.metadata
}

// router is the MAC of the router on the link of the interface with a number.
func (h habits) router(number int) net.HardwareAddr {
	if h.gateway != (metadata.MAC{}) {
		return h.gateway[:]
	}
	return net.HardwareAddr{0x02, 0xfa, 0xb1, 0, byte(number >> 8), byte(number)}
}
