package agent

import (
	"errors"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// basis is what an interface can run on while the metadata has never said anything of it: its lease, or
// what the program that has the lease made of it.
func (t *dhcpState) basis() *dhcp.Lease {
	if t.lease != nil {
		return t.lease
	}
	return t.foreignLease
}

// EffectiveLease is what a degraded interface runs on, by its record: its lease, or another program's address, while
// that is there.
func EffectiveLease(r state.Record, s plumb.Snapshot) *dhcp.Lease {
	if r.Lease != nil {
		return r.Lease
	}
	return s.Foreign()
}

// describeBasis names the basis, for a person.
func (t *dhcpState) describeBasis() string {
	switch {
	case t.lease != nil:
		return t.lease.Addr.String() + " from its lease alone"
	case t.dhcpOwner != "" && !assignsAddress(t.dhcpOwner):
		return t.foreignLease.Addr.String() + " as " + t.dhcpOwner + " set it up"
	}
	return t.foreignLease.Addr.String() + " as it was found"
}

// noteForeignLease keeps the last address that another program set up: should it go, it is that program's to
// put back, and the rules wait for it.
func (a *Agent) noteForeignLease() {
	if l := a.snap.Foreign(); l != nil {
		a.foreignLease = l
	}
}

// onlyLease reports whether there is an address, and the metadata has never said anything of the interface. A lease
// that ends meanwhile takes nothing away: the cloud leases an interface its own address, and no other. Another
// program's address on an interface that the metadata says it does not know is none of the cloud's.
func (a *Agent) onlyLease() bool {
	switch {
	case a.settled.MAC != (metadata.MAC{}), a.iface.Manage != config.Full:
		return false
	case a.lease != nil:
		return !a.lease.Addr.Addr().IsLinkLocalUnicast() && (a.held || a.degraded)
	}
	strange := errors.Is(a.readErr, metadata.ErrUnknownMAC)
	return a.foreignLease != nil && a.dhcpOwner != "" && (a.degraded || !strange)
}

// shouldDegrade reports whether the interface has to run without the metadata. The interface that the host itself
// leaves by is not touched: it may be the primary, which has to stay as its owner made it, unless ec2net itself is
// that.
func (a *Agent) shouldDegrade() bool {
	if !a.onlyLease() {
		return false
	}
	off := errors.Is(a.readErr, metadata.ErrDisabled)
	due := off || time.Since(a.startedAt) >= Silence
	return a.degraded || (due && (a.hosting() || a.isSecondary()))
}

// isSecondary reports whether the host itself leaves by another interface. When the kernel does not tell, nothing is
// risked.
func (a *Agent) isSecondary() bool {
	ok, err := a.link.Elsewhere(a.snap.Index)
	return ok && err == nil
}

// client is who takes the lease where nobody else does: our own client, as soon as it is sure that
// this is not the primary interface, by the metadata or because the host leaves by another one, or that nobody
// configures the host at all. Until then nobody.
func (a *Agent) client() string {
	switch {
	case a.settled.MAC != (metadata.MAC{}), a.isSecondary():
		return native
	case a.unclaimed() && a.isTurn():
		return a.startHosting()
	}
	return ""
}

// degrade says when the interface begins or ends to run without the metadata.
func (a *Agent) degrade() {
	degraded := a.shouldDegrade()
	switch {
	case degraded == a.degraded:
		return
	case degraded:
		a.log.Warnf("degraded: running on %s, because the metadata says nothing about this interface: %s", a.describeBasis(), OneLine(a.lastErr()))
	case a.settled.MAC != (metadata.MAC{}):
		a.log.Info("the metadata knows the interface now: no longer degraded")
	}
	a.degraded, a.dirty = degraded, true
}
