package agent

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// What follows from a lease, or from the lack of one. Who takes the lease is decided in leasing.go.

// onLease takes an event of our client into account: a new or renewed lease, or the reason why there is none.
func (a *Agent) onLease(e dhcp.Event) {
	if e.Err != nil && a.noIPv4() {
		a.leases.stop()
		return
	}
	if e.Lease != nil || !a.held {
		a.warnDHCPOnce(e)
	}
	switch {
	case e.Lease == nil:
		a.onLeaseLost(e.Err)
	case a.lease == nil || !a.held || a.lease.Addr != e.Lease.Addr:
		a.log.Infof("lease of %s from %s", e.Lease.Addr, e.Lease.Server)
		fallthrough
	default:
		a.dirty = a.dirty || a.lease == nil || !a.lease.Start.Equal(e.Lease.Start)
		a.lease = e.Lease
		a.held, a.conflict = true, false
	}
}

// onLeaseLost handles a lease that is no longer valid. What is set up stays, because the cloud grants the address,
// not the lease. Only an address that another host answers for, and that the metadata has not confirmed, is removed.
func (a *Agent) onLeaseLost(why error) {
	if a.held {
		a.dirty = true
		why = cmp.Or(why, dhcp.ErrExpired)
		a.leases.logged[dhcpErrorKind(why)] = true
		if a.daemon {
			a.log.Warnf("the lease of %s is lost: %s; what is set up stays", a.lease.Addr, OneLine(why))
		}
	}
	a.held = false
	if errors.Is(why, dhcp.ErrConflict) && a.settled.MAC == (metadata.MAC{}) {
		a.lease, a.conflict = nil, true
	}
}

// warnDHCPOnce logs each kind of failure once, until there is a lease again.
func (a *Agent) warnDHCPOnce(e dhcp.Event) {
	if e.Err == nil {
		if e.State == dhcp.Bound {
			clear(a.leases.logged)
		}
		return
	}
	if k := dhcpErrorKind(e.Err); a.daemon && !a.leases.logged[k] {
		a.leases.logged[k] = true
		a.log.Warnf("DHCP: %s", OneLine(e.Err))
	}
}

// usableLease is the lease; nil if the metadata says that its address is not this interface's. Then the DHCP server
// is not the cloud's, and nothing that it says is used.
func (a *Agent) usableLease() *dhcp.Lease {
	if a.leaseMismatch() != nil {
		return nil
	}
	return a.lease
}

// leaseMismatch returns an error if metadata and lease name different addresses. The metadata wins.
func (a *Agent) leaseMismatch() error {
	if a.lease == nil || a.settled.MAC == (metadata.MAC{}) || a.settled.Addrs4.Status == metadata.Unavailable {
		return nil
	}
	// An IPv6-only subnet of EC2 leases a link-local address, of which the metadata says nothing.
	if addr := a.lease.Addr.Addr(); !addr.IsLinkLocalUnicast() && !slices.Contains(a.settled.Addrs4.Value, addr) {
		return fmt.Errorf("%s leases %s, which the metadata does not list for this interface: ec2net goes by the metadata", a.lease.Server, addr)
	}
	return nil
}

// leased reports whether nothing more is to be expected from DHCP: there is a lease, there will be none, another
// program sees to it, or our client has tried for leasePatience.
func (a *Agent) leased() bool {
	switch {
	case a.settled.Primary && !a.hosts, a.held, a.noIPv4():
		return true
	case a.dhcpOwner == "":
		return false
	}
	return a.dhcpOwner != native || time.Since(a.dhcpSince) >= leasePatience
}
