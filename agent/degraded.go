package agent

import (
	"errors"
	"time"

	"ec2net/config"
	"ec2net/metadata"
)

// An interface about which the metadata has said nothing for ten seconds runs degraded: it is set up with what else is known,
// its lease or the address that another program gave it. It gets a table of its own but no secondary addresses. The
// first answer of the metadata ends it.

// noteForeignLease remembers the last address that another program set up. If it vanishes, it is for that program to
// restore; the policy rules stay meanwhile.
func (a *Agent) noteForeignLease() {
	if l := a.snap.Foreign(); l != nil {
		a.foreignLease = l
	}
}

// onlyLease reports whether an address is all that is known of the interface. A lease that runs out later takes
// nothing away, because the cloud leases an interface its own address and no other. Where the metadata answers but
// does not know the interface, an address of another program's is not taken for the cloud's.
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

// shouldDegrade reports whether the interface has to run without the metadata: after Silence, or at once if the
// metadata is switched off. The interface that may be the primary by all that is known (primary.go) never does, unless
// ec2net alone configures it: the primary has to stay as its owner made it.
func (a *Agent) shouldDegrade() bool {
	if !a.onlyLease() {
		return false
	}
	off := metadata.Closed(a.readErr)
	due := off || time.Since(a.startedAt) >= Silence
	return a.degraded || (due && (a.hosting() || a.isSecondary()))
}

// client is the DHCP owner if nobody else takes the lease: native once it is certain that this is not the primary
// interface (the metadata says so, or the host leaves by another one, see primary.go) or that nobody configures the host at all.
// Until then "", which means undecided.
func (a *Agent) client() string {
	switch {
	case a.settled.MAC != (metadata.MAC{}), a.isSecondary():
		return native
	case a.unclaimed() && a.isTurn():
		return a.startHosting()
	}
	return ""
}

// degrade switches the degraded state on or off, and logs it.
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
