package agent

import (
	"fmt"
	"time"

	"ec2net/config"
	"ec2net/metadata"
)

// A host that nobody configures has no way to the metadata until somebody has given it a lease, and which of its
// interfaces is the primary only the metadata tells. So the interfaces ask for a lease in turn, in the order in which
// the kernel found them, until the host leaves by one. The metadata then says whether that was right.

// turnTime is how long each interface has to get a lease before the next one tries.
const turnTime = 10 * time.Second

// unclaimed reports whether nobody else configures the interface, has done so since it was plugged in, or is about
// to. A program that has let it go for a moment, as while its DHCP client restarts, will take it up again. What
// ec2net itself has given the interface it goes on renewing, unless somebody else does so now.
func (n *NIC) unclaimed() bool {
	ours := n.record.Hosts || n.snap.Hosts()
	if n.iface.DHCP == config.Off || n.foreignAddress() != "" || (n.record.Foreign && !ours) {
		return false
	}
	owner, owned := n.configuredBy()
	switch {
	case owned && !owner.Pending:
		return false
	case ours:
		return !owned || time.Since(n.startedAt) >= ownerDecideTime
	}
	return !owned && !networkStarts()
}

// decidePrimary decides who has the lease of the primary interface: whoever has it already or, if nobody configures
// the interface, our client. A client that was started before the metadata called the interface primary is stopped in
// the first case; what it has set up stays.
func (a *Agent) decidePrimary() {
	switch {
	case a.dhcpOwner == native && a.hosts, a.dhcpOwner != native && a.dhcpOwner != "":
	case a.unclaimed():
		a.dhcpOwner, a.dhcpSince = a.startHosting(), time.Now()
	default:
		a.leases.stop()
		a.dhcpOwner = ""
		a.hosts = a.hosts && a.foreignAddress() == "" && time.Since(a.startedAt) < ownerDecideTime
	}
}

// startHosting makes the interface the one that the host lives by, and says so in the log. It returns the DHCP owner.
func (a *Agent) startHosting() string {
	if !a.hosts {
		a.hosts, a.dirty = true, true
		if a.daemon {
			a.log.Infof("nobody else configures %s: ec2net takes a lease and adds a default route to the main table; it does not set up DNS", a.snap.Name)
		}
	}
	return native
}

// isTurn reports whether it is this interface's turn to ask for a lease: the host has no way out, and each interface
// that comes before it has had turnTime. All processes see the same order, that of the interface indices.
func (a *Agent) isTurn() bool {
	nowhere, before, err := a.link.Nowhere(a.snap.Index)
	return err == nil && (nowhere || a.snap.LeadsHost()) && time.Since(a.startedAt) >= time.Duration(before)*turnTime
}

// reviewHosting ends hosting when another program has given the interface an address, when the metadata names another
// interface as the primary, or when the host has meanwhile found another way out.
func (a *Agent) reviewHosting() {
	if !a.hosts {
		return
	}
	unknown := a.settled.MAC == (metadata.MAC{})
	stays := a.settled.Primary || (unknown && (a.snap.LeadsHost() || !a.isSecondary()))
	if !stays || a.foreignAddress() != "" {
		a.hosts, a.dirty = false, true
	}
}

// plannedHosting answers the question of hosting for a command that only plans, and has started nothing.
func (n *NIC) plannedHosting() bool {
	if !n.settled.Primary || n.iface.Manage != config.Full || n.role != roleInterface {
		return false
	}
	return !n.noIPv4() && n.unclaimed()
}

// hostingStatus says for a person what the host itself lives by.
func (a *Agent) hostingStatus() string {
	if a.lease == nil {
		return "nobody else configures it: waiting for a lease"
	}
	return fmt.Sprintf("nobody else configures it: lease of %s %s", a.lease.Addr, Until(a.lease))
}
