package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
)

const (
	// undecided is how long a manager that is running may take to say whether it wants the card.
	undecided = 3 * time.Second
	// ownerPatience is how long the program that owns the card may take for its address, before
	// ec2net adds the one that the metadata names.
	ownerPatience = 30 * time.Second
	native        = "native"
)

// chooseDHCP decides who takes the lease, and starts our own client where nobody else does. It is
// asked again while a manager has not made up its mind.
func (a *agent) chooseDHCP(ctx context.Context) {
	if a.leasing == native && !a.leases.started && a.snap.Carrier {
		a.startDHCP(ctx)
	}
	if a.leasing != "" || a.card.Manage != config.Full || a.settled.Primary || a.config.NeedsMetadata(a.facts) {
		return
	}
	switch {
	case a.card.DHCP == config.Off:
		a.leasing = "off"
	case a.card.DHCP == config.Native:
		a.leasing = native
	default:
		a.autoDHCP()
	}
	a.leaseAt = time.Now()
}

func (a *agent) autoDHCP() {
	owner, owned := dhcp.FindOwner(os.DirFS("/"), a.snap.Name, a.snap.Index)
	switch {
	case owned && owner.Pending && time.Since(a.begun) < undecided:
	case owned && !owner.Pending:
		a.leasing = owner.Program
		a.log.Infof("%s has the card (%s): its lease is left alone", owner.Program, owner.Why)
	case a.foreignAddress() != "":
		a.leasing = "another program"
		a.log.Infof("%s was put on the card by another program: no DHCP", a.foreignAddress())
	default:
		a.leasing = native
	}
}

func (a *agent) foreignAddress() string {
	for _, h := range a.snap.Addrs {
		if !h.Ours && h.Prefix.Addr().Is4() && !h.Prefix.Addr().IsLinkLocalUnicast() {
			return h.Prefix.String()
		}
	}
	return ""
}

// ownsAddress: the primary address is ours to add.
func (a *agent) ownsAddress() bool {
	switch a.leasing {
	case native, "off":
		return true
	case "":
		return a.card.DHCP != config.Auto
	}
	return a.answered && time.Since(a.begun) > ownerPatience
}

// startDHCP begins once the link has a signal: what is sent earlier is lost, and the next try is
// seconds away.
func (a *agent) startDHCP(ctx context.Context) {
	a.leases.started = true
	client := dhcp.Client{Name: a.snap.Name, Index: a.snap.Index, MAC: a.snap.MAC[:], Own: ownMACs}
	prior := a.record.Lease
	go func() {
		report := func(e dhcp.Event) {
			select {
			case a.leases.events <- e:
			case <-ctx.Done():
			}
		}
		if err := client.Run(ctx, prior, a.leases.carrier, report); err != nil {
			report(dhcp.Event{Err: fmt.Errorf("DHCP has stopped: %w", err), At: time.Now()})
		}
	}()
}

// onLease works an event of our client in.
func (a *agent) onLease(e dhcp.Event) {
	if e.Err != nil && (a.leaseErr == nil || a.leaseErr.Error() != e.Err.Error()) && a.stays {
		a.log.Warnf("DHCP: %v", e.Err)
	}
	a.leaseErr = e.Err
	if e.Lease != nil && a.lease == nil {
		a.log.Infof("lease of %s from %s", e.Lease.Addr, e.Lease.Server)
	}
	if e.Lease == nil && a.lease != nil && a.stays {
		a.log.Warnf("the lease of %s is lost; what the metadata grants stays", a.lease.Addr)
	}
	a.lease = e.Lease
}

// leased: there is nothing (more) to wait for from DHCP.
func (a *agent) leased() bool {
	switch {
	case a.settled.Primary, a.lease != nil:
		return true
	case a.leasing == "":
		return false
	}
	return a.leasing != native || time.Since(a.leaseAt) >= leasePatience
}

// leases is the connection with our DHCP client.
type leases struct {
	events  chan dhcp.Event
	carrier chan bool
	started bool
}

// signal tells the client of the link; only the newest state counts.
func (l *leases) signal(up bool) {
	if !l.started {
		return
	}
	select {
	case <-l.carrier:
	default:
	}
	l.carrier <- up
}

// ownMACs are the MACs of this host's cards: each may answer ARP for the others.
func ownMACs() []net.HardwareAddr {
	list, _ := net.Interfaces()
	var out []net.HardwareAddr
	for _, i := range list {
		if len(i.HardwareAddr) == 6 {
			out = append(out, i.HardwareAddr)
		}
	}
	return out
}
