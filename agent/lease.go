package agent

import (
	"os"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
)

// noIPv4 reports whether the cloud says that the interface has no IPv4 address: one of an IPv6-only subnet, or one
// for EFA alone. There is nothing to wait for from DHCP then. A lease that names a real address contradicts that: the
// metadata is late.
func (n *NIC) noIPv4() bool {
	real := n.held && !n.lease.Addr.Addr().IsLinkLocalUnicast()
	return n.settled.Addrs4.Status == metadata.Absent && !real
}

// stop ends a client that was started; one may be started again.
func (l *leases) stop() {
	if l.quit != nil {
		l.quit()
		l.quit = nil
	}
}

// sameLease reports whether nothing that an interface is given differs between two leases, each of which may be none.
func sameLease(a, b *dhcp.Lease) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Same(*b)
}

// assignsAddress reports whether the interface's primary address is ours to add.
func assignsAddress(leasing string) bool { return leasing == native || leasing == "off" }

// plannedOwnAddress is ownsAddress for an interface on which nothing has been started.
func (n *NIC) plannedOwnAddress() bool {
	if n.iface.DHCP != config.Auto {
		return true
	}
	_, owned := dhcp.FindOwner(os.DirFS("/"), n.snap.Name, n.snap.Index)
	return !owned && n.foreignAddress() == ""
}
