package agent

import (
	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
)

// What follows from a lease, or from the lack of one. Who takes the lease is decided in leasing.go.

// noIPv4 reports whether the cloud says that the interface has no IPv4 address, as in an IPv6-only subnet or on an
// interface for EFA alone. DHCP is then not waited for. A lease with a real address contradicts that: the metadata is
// late.
func (n *NIC) noIPv4() bool {
	real := n.held && !n.lease.Addr.Addr().IsLinkLocalUnicast()
	return n.settled.Addrs4.Status == metadata.Absent && !real
}

// stop ends the running client, if any. Another one may be started later.
func (l *leases) stop() {
	if l.quit != nil {
		l.quit()
		l.quit = nil
	}
}

// sameLease reports whether two leases, each of which may be nil, give the interface the same.
func sameLease(a, b *dhcp.Lease) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Same(*b)
}

// assignsAddress reports whether the primary address is ours to add, given who has the lease: our client, or nobody
// because the configuration says dhcp = "off".
func assignsAddress(leasing string) bool { return leasing == native || leasing == "off" }

// plannedOwnAddress answers the question of ownsAddress for a command that only plans, and has started nothing.
func (n *NIC) plannedOwnAddress() bool {
	if n.iface.DHCP != config.Auto {
		return true
	}
	_, owned := n.configuredBy()
	return !owned && n.foreignAddress() == ""
}
