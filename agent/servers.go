package agent

import (
	"net/netip"

	"ec2net/config"
	"ec2net/metadata"
)

// Platform are Azure's own addresses, both reached by the first interface alone: the wire server, which also
// sends the probes of load balancers, and the metadata.
func Platform() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("169.254.169.254")}
}

// servers are the cloud's own, which a host asks by its primary interface.
func servers(c metadata.Cloud) []netip.Addr {
	if c == metadata.CloudAzure {
		return Platform()
	}
	return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
}

// services are the cloud's own servers, to be kept on the primary interface. Without [egress] there is
// nothing to keep them from.
func services(c metadata.Cloud, conf config.Config) []netip.Addr {
	if len(conf.Egress.Interfaces) == 0 {
		return nil
	}
	return servers(c)
}

// Gateway6 answers on every subnet of the cloud, also where no router advertisement says so. EC2:
// docs.aws.amazon.com, VPC, "Configure route tables". Azure: what its router advertisements name on
// every machine, and the cloud's own container network is configured with.
func Gateway6(c metadata.Cloud) netip.Addr {
	if c == metadata.CloudAzure {
		return netip.MustParseAddr("fe80::1234:5678:9abc")
	}
	return netip.MustParseAddr("fe80:ec2::1")
}
