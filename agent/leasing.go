package agent

import (
	"context"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
)

// Who takes the lease of an interface: another program that has it already (systemd-networkd, NetworkManager,
// dhclient …), or our own client, package dhcp, in a goroutine that reports leases as events. The client never
// touches the kernel; what a lease means is decided like everything else.

// chooseDHCP decides who takes the lease and starts our client if nobody else does. The loop calls it before each
// event, since a network manager may make up its mind at any time. The client starts once the link has a carrier.
func (a *Agent) chooseDHCP(ctx context.Context) {
	if a.noIPv4() && !a.held { // in an IPv6-only subnet a link-local address may be leased
		a.leases.stop()
	}
	if a.noIPv4() || a.record.LeftTo != "" {
		return
	}
	a.decideDHCP()
	a.hearOwner(ctx)
	stopped := a.dhcpOwner == native && a.leases.quit == nil
	if stopped && a.snap.Carrier && !a.skipsDHCP() && a.mayDiscover() {
		a.startDHCP(ctx)
	}
}

// mayDiscover reports whether our client may ask: the first reading is done or has taken FirstAnswer. It may say that
// the subnet is IPv6-only, where there is no DHCP server.
func (a *Agent) mayDiscover() bool {
	return a.held || !a.record.AskedAt.IsZero() || time.Since(a.startedAt) >= FirstAnswer
}

// skipsDHCP reports whether a one-shot run can go by a lease that is before T1 (RFC 2131 section 4.4.5) and need not
// start the client, whose sockets would cost more time than all the rest.
func (a *Agent) skipsDHCP() bool {
	return !a.daemon && a.held && time.Since(a.lease.Start) < a.lease.Renew
}

// decideDHCP decides who takes the lease. The decision on a secondary interface is final for this process; on the
// primary it is reviewed. A lease that an earlier process held is dropped if somebody else takes over.
func (a *Agent) decideDHCP() {
	if a.role != roleInterface || a.iface.Manage != config.Full || a.undecided() {
		return
	}
	if a.settled.Primary {
		a.decidePrimary()
		return
	}
	if a.where.Traits().PrimaryDHCP && a.settled.MAC != (metadata.MAC{}) {
		a.noDHCP()
		return
	}
	a.reviewOwner()
	if a.dhcpOwner != "" {
		return
	}
	switch {
	case a.iface.DHCP == config.Off:
		a.dhcpOwner = "off"
	case a.iface.DHCP == config.Native:
		a.dhcpOwner = a.client()
	default:
		a.autoDHCP()
	}
	if a.dhcpOwner != "" && a.dhcpOwner != native {
		a.lease = nil // it was an earlier process's
		a.held, a.hosts = false, false
	}
	a.dhcpSince = time.Now()
}

// noDHCP stops our client on a secondary interface of a cloud that has DHCP for the primary alone: until the metadata
// said so, the interface might have been that one.
func (a *Agent) noDHCP() {
	if a.dhcpOwner == "off" {
		return
	}
	a.leases.stop()
	a.dhcpOwner, a.dhcpSince = "off", time.Now()
	a.lease = nil
	a.held, a.hosts = false, false
}

// autoDHCP looks for another program that has the lease (dhcp = "auto"): one that says so, or one whose address is on
// the interface. Only if there is none, our client takes it.
func (a *Agent) autoDHCP() {
	owner, owned := a.configuredBy()
	switch {
	case owned && owner.Pending && time.Since(a.startedAt) < ownerDecideTime:
	case owned && !owner.Pending:
		a.dhcpOwner, a.await = owner.Program, awaitOwner{owner: owner}
		a.log.Infof("%s manages the interface (%s): ec2net leaves the lease to it", owner.Program, owner.Why)
	case a.foreignAddress() != "":
		a.dhcpOwner = "another program"
		a.log.Infof("another program put %s on the interface: ec2net runs no DHCP there", a.foreignAddress())
	default:
		a.dhcpOwner = a.client()
	}
}

// startDHCP starts our client. What is sent before the link has a carrier is lost, and the next try is seconds away
// (RFC 2131 section 4.1), so the caller waits for the carrier.
func (a *Agent) startDHCP(ctx context.Context) {
	ctx, a.leases.quit = context.WithCancel(ctx)
	mac := a.snap.MAC // a copy: the snapshot changes while the client runs
	client := dhcp.Client{Name: a.snap.Name, Index: a.snap.Index, MAC: mac[:], Own: ownMACs, Ask: a.where.Traits().Ask}
	go a.leases.run(ctx, &client, a.lease)
}
