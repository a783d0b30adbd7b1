package agent

import (
	"net/netip"

	"ec2net/config"
	"ec2net/metadata"
)

// What differs between the clouds and is not in the metadata: the addresses of their own servers, and the IPv6
// gateway.

// Platform are Azure's own servers: the wire server, which also sends the probes of load balancers, and the metadata.
// Both are reached by the primary interface alone (learn.microsoft.com, "What is IP address 168.63.129.16?").
func Platform() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("169.254.169.254")}
}

// servers are the cloud's own servers, which a host asks by its primary interface.
func servers(c metadata.Cloud) []netip.Addr {
	if c == metadata.CloudAzure {
		return Platform()
	}
	return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
}

// services are the servers that need rules of their own on the primary interface; only [egress] would lead their
// traffic elsewhere.
func services(c metadata.Cloud, conf config.Config) []netip.Addr {
	if len(conf.Egress.Interfaces) == 0 {
		return nil
	}
	return servers(c)
}

// Gateway6 is the link-local address of the cloud's router, which answers on every subnet, also where no router
// advertisement names it. EC2: docs.aws.amazon.com, VPC, "Configure route tables". Azure: what its router
// advertisements name on every machine, and what its own container network is configured with.
func Gateway6(c metadata.Cloud) netip.Addr {
	if c == metadata.CloudAzure {
		return netip.MustParseAddr("fe80::1234:5678:9abc")
	}
	return netip.MustParseAddr("fe80:ec2::1")
}
