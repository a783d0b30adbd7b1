package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
)

const (
	// ownerDecideTime is how long a manager that is running may take to say whether it wants the interface.
	ownerDecideTime = 3 * time.Second
	// ownerPatience is how long the program that owns the interface may take for its address, before
	// ec2net adds the one that the metadata names.
	ownerPatience = 30 * time.Second
	// restartDHCP is the pause before a client that could not work is started again.
	restartDHCP = 30 * time.Second
	native      = "native"
	// FirstAnswer is how long DHCP waits for what the metadata says first.
	FirstAnswer = time.Second
)

// dhcpState is what is known of the interface's lease.
type dhcpState struct {
	lease        *dhcp.Lease // the last one, also when it has ended: its router stays what it was
	held         bool        // the lease is valid
	conflict     bool        // another host has the leased address, and the metadata does not know better
	dhcpOwner    string      // who has the lease: "native", "off", "dhclient (…)"
	dhcpSince    time.Time   // since when the native client tries
	hosts        bool        // nobody else configures the interface, and the host itself leaves by it, see hosting
	foreignLease *dhcp.Lease // what another program's address says, while the metadata never has
	leases       leases
}

// chooseDHCP decides who takes the lease, and starts our own client where nobody else does. It is
// asked again while a manager has not made up its mind.
func (a *Agent) chooseDHCP(ctx context.Context) {
	if a.noIPv4() && !a.held { // in a subnet of IPv6 alone a link-local address is leased
		a.leases.stop()
	}
	if a.noIPv4() || a.record.LeftTo != "" {
		return
	}
	a.decideDHCP()
	stopped := a.dhcpOwner == native && a.leases.quit == nil
	if stopped && a.snap.Carrier && !a.skipsDHCP() && a.mayDiscover() {
		a.startDHCP(ctx)
	}
}

// mayDiscover reports whether the first reading has ended, or lasts: it may say that the interface is in a subnet
// of IPv6 alone, where no DHCP server is to be asked.
func (a *Agent) mayDiscover() bool {
	return a.held || !a.record.AskedAt.IsZero() || time.Since(a.startedAt) >= FirstAnswer
}

// skipsDHCP reports whether a one-shot run can reuse a lease that is before T1, and skip DHCP: opening its sockets would
// cost more time than all the rest.
func (a *Agent) skipsDHCP() bool {
	return !a.daemon && a.held && time.Since(a.lease.Start) < a.lease.Renew
}

func (a *Agent) decideDHCP() {
	if a.role != roleInterface || a.iface.Manage != config.Full || a.undecided() {
		return
	}
	if a.settled.Primary {
		a.decidePrimary()
		return
	}
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
		a.lease = nil // of an earlier process
		a.held, a.hosts = false, false
	}
	a.dhcpSince = time.Now()
}

func (a *Agent) autoDHCP() {
	owner, owned := dhcp.FindOwner(os.DirFS("/"), a.snap.Name, a.snap.Index)
	switch {
	case owned && owner.Pending && time.Since(a.startedAt) < ownerDecideTime:
	case owned && !owner.Pending:
		a.dhcpOwner = owner.Program
		a.log.Infof("%s manages the interface (%s): ec2net leaves the lease to it", owner.Program, owner.Why)
	case a.foreignAddress() != "":
		a.dhcpOwner = "another program"
		a.log.Infof("another program put %s on the interface: ec2net runs no DHCP there", a.foreignAddress())
	default:
		a.dhcpOwner = a.client()
	}
}

func (n *NIC) foreignAddress() string {
	for _, h := range n.snap.Addrs {
		if h.Foreign4() {
			return h.Prefix.String()
		}
	}
	return ""
}

// ownsAddress reports whether the primary address is ours to add.
func (a *Agent) ownsAddress() bool {
	switch a.dhcpOwner {
	case native, "off":
		return true
	case "":
		return a.iface.DHCP != config.Auto
	}
	return a.answered && time.Since(a.startedAt) > ownerPatience
}

// startDHCP begins once the link has a signal: what is sent earlier is lost, and the next try is
// seconds away.
func (a *Agent) startDHCP(ctx context.Context) {
	ctx, a.leases.quit = context.WithCancel(ctx)
	mac := a.snap.MAC // a copy: the snapshot changes while the client runs
	client := dhcp.Client{Name: a.snap.Name, Index: a.snap.Index, MAC: mac[:], Own: ownMACs, Azure: a.where == metadata.CloudAzure}
	go a.leases.run(ctx, &client, a.lease)
}

// run keeps the client running: one that fails for want of a file or of memory is started again.
func (l *leases) run(ctx context.Context, client *dhcp.Client, prior *dhcp.Lease) {
	report := func(e dhcp.Event) {
		prior = e.Lease
		select {
		case l.events <- e:
		case <-ctx.Done():
		}
	}
	for {
		err := client.Run(ctx, prior, l.carrier, report)
		if err == nil || errors.Is(err, dhcp.ErrNoInterface) {
			return // the end, or the interface's, of which the kernel tells
		}
		report(dhcp.Event{Lease: prior, Err: fmt.Errorf("DHCP has stopped and restarts in %s: %w", restartDHCP, err), At: time.Now()})
		select {
		case <-time.After(restartDHCP):
		case <-ctx.Done():
			return
		}
	}
}

// onLease works an event of our client in.
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

// onLeaseLost: the lease is not valid any more. The cloud's word on the address, or the lack of one, is not
// touched by it; only another host that has the address is.
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

// warnDHCPOnce logs each kind of trouble once, until the lease is bound again.
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

// dhcpErrorKind is the sentinel behind an error of the DHCP client.
func dhcpErrorKind(err error) error {
	for _, k := range []error{dhcp.ErrConflict, dhcp.ErrNak, dhcp.ErrExpired, dhcp.ErrLinkDown, dhcp.ErrSilent} {
		if errors.Is(err, k) {
			return k
		}
	}
	return errOther
}

// errOther stands for the troubles of DHCP that have no name.
var errOther = errors.New("DHCP failed")

// usableLease is the lease, unless the metadata says that its address is not the interface's: then the server
// is somebody else's, and nothing of what it says is used.
func (a *Agent) usableLease() *dhcp.Lease {
	if a.leaseMismatch() != nil {
		return nil
	}
	return a.lease
}

// leaseMismatch: metadata and lease name different addresses. The metadata wins.
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

// leased reports whether there is nothing (more) to wait for from DHCP.
func (a *Agent) leased() bool {
	switch {
	case a.settled.Primary && !a.hosts, a.held, a.noIPv4():
		return true
	case a.dhcpOwner == "":
		return false
	}
	return a.dhcpOwner != native || time.Since(a.dhcpSince) >= leasePatience
}

// leases is the connection with our DHCP client.
type leases struct {
	events  chan dhcp.Event
	carrier chan bool
	quit    context.CancelFunc // of the client; nil: none was started
	logged  map[error]bool     // kinds of trouble, since the lease was bound
}

func newLeases() leases {
	return leases{events: make(chan dhcp.Event, 8), carrier: make(chan bool, 1), logged: map[error]bool{}}
}

// signal tells the client of the link; only the newest state counts.
func (l *leases) signal(up bool) {
	if l.quit == nil {
		return
	}
	select {
	case <-l.carrier:
	default:
	}
	l.carrier <- up
}

// ownMACs are the MACs of this host's interfaces: each may answer ARP for the others.
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
