package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/doctor"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// interface collects the facts of one interface. One that goes meanwhile is none.
func (x *examination) iface(ctx context.Context, l doctor.Link) error {
	n, err := newNIC(l.Name, options{cloud: x.facts.Cloud, source: x.cloud, config: x.conf, store: x.store, known: x.records, log: x.log})
	if errors.Is(err, plumb.ErrGone) || (x.only == "" && noInterface(err)) {
		return nil
	}
	if errors.Is(err, unix.EPERM) {
		x.facts.Interfaces = append(x.facts.Interfaces, doctor.Interface{Name: l.Name, Index: l.Index, MAC: l.MAC, Unread: oneLine(err)})
		return nil
	}
	if err != nil {
		return err
	}
	defer n.link.Close()
	n.brief = !x.store.Managed(l.Name) // a process that keeps it may be in doubt, and rightly
	r, recorded := x.record(l)
	c := doctor.Interface{Name: l.Name, Index: l.Index, MAC: l.MAC, SetUp: recorded && r.Ready}
	x.granted(ctx, n, r, &c)
	c.Managed = n.iface.Manage == config.Full && !n.yields(n.snap)
	c.Alone = n.iface.Manage == config.None
	c.Primary = c.Granted.Primary || c.MAC == x.primary
	c.Have, c.Refresh = n.snap, n.iface.Refresh
	x.lived(r, recorded, &c)
	x.kept(ctx, &c)
	if c.Managed && c.Source != doctor.Nowhere {
		n.passing(x.records)
		x.facts.NAT = n.nat.refused
		lease := r.Lease
		if c.Source == doctor.FromLease {
			lease = effectiveLease(r, n.snap)
		}
		n.hosts = r.Hosts || (!r.Ready && n.wouldHost())
		c.Hosts = r.Hosts
		f := n.learned()
		f.granted, f.lease = c.Granted, lease
		f.known = true
		f.ownAddress, f.leads = x.owned(n, r), x.leads(n, r)
		c.Want, c.Refused = f.want(n.snap)
		c.Plan = plumb.Diff(n.snap.State, c.Want)
	}
	if marked(n.snap) && !recorded && c.Unsaved == "" && x.store.Readable() {
		c.Unsaved = "it is set up, but there is no record of it in " + x.store.Dir()
	}
	c.SetUp = c.SetUp || marked(n.snap)
	x.facts.Interfaces = append(x.facts.Interfaces, c)
	return nil
}

// granted is what the cloud grants the interface: now, or by the record of an earlier reading.
func (x *examination) granted(ctx context.Context, n *nic, r state.Record, c *doctor.Interface) {
	if len(n.record.Peers) == 0 {
		n.record.Peers = x.records.Peers(n.snap.MAC)
		n.cover()
	}
	if x.facts.Metadata.Err == nil && ctx.Err() == nil { // when the time is over, that is no news of the cloud
		switch err := n.readTwice(ctx); {
		case err == nil, n.partial() && errors.Is(err, errUnsettled): // the one key is the interface's trouble
			c.Granted, c.Source = n.settled, doctor.FromMetadata
			c.Problems = n.settled.Problems
			_ = n.again()
			return
		case errors.Is(err, metadata.ErrNotReady): // as of every new interface for a while
			if r.Interface.MAC != c.MAC {
				c.Waiting = "waiting for the metadata to publish it: " + oneLine(err)
			}
		case !errors.Is(err, metadata.ErrUnknownMAC):
			x.facts.Metadata.Err = err
		case r.Interface.MAC != c.MAC:
			c.Waiting = fmt.Sprintf("the cloud does not know its MAC address %s", c.MAC)
		}
	}
	switch {
	case r.Interface.MAC == c.MAC:
		c.Granted, c.Source = r.Interface, doctor.FromRecord
		_ = n.again()
	case r.Degraded() && effectiveLease(r, n.snap) != nil:
		c.Source = doctor.FromLease
	}
}

// lived is what became of the interface since it was set up.
func (x *examination) lived(r state.Record, recorded bool, c *doctor.Interface) {
	c.ReadAt = r.ReadAt
	c.Leasing, c.Lease = r.DHCP, r.Lease
	holder := x.store.Holder(c.Name)
	c.Keeper, c.Unsaved = holder.PID, holder.Unsaved
	c.Stopped = state.Stopped(c.Keeper)
	if c.Keeper > 0 {
		c.Sandbox = doctor.ReadSandbox(os.DirFS("/"), c.Keeper)
	}
	c.Died, c.Outdated = x.store.Died(c.Name), x.configFile == config.Path && x.store.Outdated(c.Name, x.configFile)
	if r.Degraded() {
		c.Degraded = r.State
	}
	if recorded && !r.Ready && c.Keeper != 0 {
		c.Waiting = r.State
	}
	if r.Undone != nil {
		c.Undone = r.Undone.Why
	}
	c.Egress = r.Egress
	if o, ok := dhcp.FindOwner(os.DirFS("/"), c.Name, c.Index); ok {
		c.Manager = o.Program
		if !o.Pending {
			c.Owner = &o
		}
	}
}

// owned: the interface's primary address is ours to add.
func (x *examination) owned(n *nic, r state.Record) bool {
	if r.Ready && r.DHCP != "" {
		return owns(r.DHCP)
	}
	return n.wouldOwn()
}

// leads: the host's own traffic is to leave by the interface, by what its process decided.
func (x *examination) leads(n *nic, r state.Record) plumb.Egress {
	if r.Ready {
		return r.Egress.Wanted()
	}
	return n.wouldLead(x.records)
}

// marked: something on the interface is ours.
func marked(s plumb.Snapshot) bool {
	for _, r := range s.Routes {
		if r.Ours {
			return true
		}
	}
	for _, a := range s.Addrs {
		if a.Ours {
			return true
		}
	}
	return len(s.Rules) > 0
}

// kept asks systemd for the unit that keeps the interface.
func (x *examination) kept(ctx context.Context, c *doctor.Interface) {
	if !underSystemd() {
		return
	}
	var err error
	c.Unit = unitOf(c.Name)
	if c.State, err = unitState(ctx, c.Unit); err != nil {
		x.facts.Gaps["unit"] = oneLine(err)
	}
}
