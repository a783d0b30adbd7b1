package agent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
)

// A host that nobody configures has no way to the metadata until somebody has given it a lease, and which of its
// interfaces is the primary only the metadata tells. So the interfaces ask for a lease in turn, in the order in which
// the kernel found them, until the host leaves by one. The metadata then says whether that was right.

// turnTime is how long each interface has to get a lease before the next one tries.
const turnTime = 10 * time.Second

// hosting reports whether the host itself lives by what ec2net gives the interface, which nobody else configures and
// which is the primary, or may be, as long as the metadata has never answered.
func (n *NIC) hosting() bool {
	return n.hosts && (n.settled.Primary || (n.settled.MAC == (metadata.MAC{}) && n.leasesHost()))
}

// leasesHost reports whether there is a lease by which a host can live. In a subnet of IPv6 alone an address of the
// link is leased.
func (n *NIC) leasesHost() bool { return n.lease != nil && !n.lease.Addr.Addr().IsLinkLocalUnicast() }

// unclaimed reports whether nobody configures the interface, nor has done so since it was plugged in, nor is about
// to. A program that has let it go, as while its DHCP client restarts, takes it up again. What ec2net has given the
// interface is renewed, unless somebody else does now.
func (n *NIC) unclaimed() bool {
	ours := n.record.Hosts || n.snap.Hosts()
	if n.iface.DHCP == config.Off || n.foreignAddress() != "" || (n.record.Foreign && !ours) {
		return false
	}
	owner, owned := dhcp.FindOwner(os.DirFS("/"), n.snap.Name, n.snap.Index)
	switch {
	case owned && !owner.Pending:
		return false
	case ours:
		return !owned || time.Since(n.startedAt) >= ownerDecideTime
	}
	return !owned && !networkStarts()
}

// decidePrimary has the primary keep the lease that others take for it. Only where nobody does, it is ours. A client
// that was started before the metadata said that this is the primary ends otherwise. What there is stays.
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

// startHosting makes the interface the one that the host itself leaves by.
func (a *Agent) startHosting() string {
	if !a.hosts {
		a.hosts, a.dirty = true, true
		if a.daemon {
			a.log.Infof("nobody else configures %s: ec2net takes a lease and adds a default route to the main table; it does not set up DNS", a.snap.Name)
		}
	}
	return native
}

// isTurn reports whether the host leaves by no interface, and this one is to try now.
func (a *Agent) isTurn() bool {
	nowhere, before, err := a.link.Nowhere(a.snap.Index)
	return err == nil && (nowhere || a.snap.LeadsHost()) && time.Since(a.startedAt) >= time.Duration(before)*turnTime
}

// reviewHosting gives way to another program that has given the interface an address, to the primary, and to an interface that the
// host leaves by since, where it does not leave by this one.
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

// plannedHosting is hosting for an interface on which nothing has been started.
func (n *NIC) plannedHosting() bool {
	if !n.settled.Primary || n.iface.Manage != config.Full || n.role != roleInterface {
		return false
	}
	return !n.noIPv4() && n.unclaimed()
}

// hostingStatus says what the host itself lives by, for a person.
func (a *Agent) hostingStatus() string {
	if a.lease == nil {
		return "nobody else configures it: waiting for a lease"
	}
	return fmt.Sprintf("nobody else configures it: lease of %s %s", a.lease.Addr, Until(a.lease))
}

// networkStarts reports whether systemd is about to start what configures the network. Such programs start before
// network.target, or are the ones that write the configuration.
func networkStarts() bool {
	if !UnderSystemd() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	bus, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return true // systemd is busy, or not ready to be asked
	}
	defer bus.Close()
	jobs, err := bus.ListJobsContext(ctx)
	if err != nil {
		return true
	}
	for _, j := range jobs {
		if j.JobType != "stop" && configuresNetwork(j.Unit) {
			return true
		}
	}
	return false
}

// configuresNetwork reports whether the unit is one of a program that configures interfaces, or one that is reached
// after those.
func configuresNetwork(unit string) bool {
	for _, name := range []string{
		"network.target", "network-pre.target", "NetworkManager.service", "systemd-networkd.service", "networking.service",
		"network.service", "ifup@", "cloud-init", "dhcpcd", "connman", "wicked", "dhclient", "netplan", "systemd-network-generator",
	} {
		if strings.HasPrefix(unit, name) {
			return true
		}
	}
	return false
}
