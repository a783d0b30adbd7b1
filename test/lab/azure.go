package lab

import (
	"net/netip"

	"ec2net/metadata"
)

// WireServer is the host of an Azure virtual machine as the machine sees it: its DHCP server, its name
// server, and where the probes of load balancers come from.
var WireServer = netip.MustParseAddr("168.63.129.16")

func azureHabits() habits {
	return habits{
		metadata: []netip.Addr{imds4}, service: newAzureService, limit: azureLimit,
		plan: planAzure, leased: func(k *iface) []StaticRoute { return azureRoutes(k.subnet.Gateway4()) }, lease6: primary6,
		wire: WireServer, gateway: same(metadata.MAC{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc}),
		gateway6: same(netip.MustParseAddr("fe80::1234:5678:9abc")),
		serves:   primaryAddress, closed: true, mute: true, lends: true,
		mtu: 1500, vendor: [3]byte{0x00, 0x0d, 0x3a}, id: "nic-0a2e",
		machine: azureMachine,
	}
}

// primary6 is the interface's primary IPv6 address, if it has one.
func primary6(k *iface) []netip.Addr { return k.Addrs6[:min(1, len(k.Addrs6))] }

// azureMachine is seed 001's machine with its network.
func azureMachine() Config {
	c := Seed001()
	c.VPC, c.Subnets = azureVNet()
	return c
}
