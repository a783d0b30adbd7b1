package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ec2net/agent"
	"ec2net/config"
	"ec2net/doctor"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// What doctor is told about one interface: what the cloud grants it, what should be there (by the same decision as
// the agent's, NIC.ExpectedState), what is there, and who manages it.

// iface collects the facts of one interface. One that goes meanwhile is left out; one that may not be read is a gap.
func (x *examination) iface(ctx context.Context, l doctor.Link) error {
	n, err := agent.NewNIC(l.Name, agent.Options{Cloud: x.facts.Cloud, Source: x.cloud, Config: x.conf, Store: x.store, Known: x.records, Log: x.log,
		Programs:  &x.programs,
		ShortHold: !x.store.Managed(l.Name), // its process may rightly be in doubt
	})
	if errors.Is(err, plumb.ErrGone) || (x.only == "" && agent.IsNotStandalone(err)) {
		return nil
	}
	if errors.Is(err, unix.EPERM) {
		x.facts.Interfaces = append(x.facts.Interfaces, doctor.Interface{Name: l.Name, Index: l.Index, MAC: l.MAC, Unread: agent.OneLine(err)})
		return nil
	}
	if err != nil {
		return err
	}
	defer n.Close()
	r, recorded := x.record(l)
	c := doctor.Interface{Name: l.Name, Index: l.Index, MAC: l.MAC, SetUp: recorded && r.Ready}
	x.granted(ctx, n, r, &c)
	c.Managed = n.Settings().Manage == config.Full && !n.OwnedByOther(n.Have())
	c.Alone = n.Settings().Manage == config.None
	c.Primary = c.Granted.Primary || c.MAC == x.primary
	c.Have, c.Refresh = n.Have(), n.Settings().Refresh
	x.runtime(r, recorded, &c)
	x.unitState(ctx, &c)
	if c.Managed && c.Source != doctor.Nowhere {
		c.Hosts = r.Hosts
		c.Want, x.facts.NAT, c.Refused = n.ExpectedState(r, x.records, c.Granted, c.Source == doctor.FromLease)
		c.Plan = plumb.Diff(n.Have().State, c.Want)
	}
	if marked(n.Have()) && !recorded && c.Unsaved == "" && x.store.Readable() {
		c.Unsaved = "it is set up, but there is no record of it in " + x.store.Dir()
	}
	c.SetUp = c.SetUp || marked(n.Have())
	x.facts.Interfaces = append(x.facts.Interfaces, c)
	return nil
}

// granted fills in what the cloud grants the interface: by a reading now, else by its record, else by its lease.
func (x *examination) granted(ctx context.Context, n *agent.NIC, r state.Record, c *doctor.Interface) {
	n.AssumePeers(x.records.Peers(n.Have().MAC))
	if x.facts.Metadata.Err == nil && ctx.Err() == nil { // a time-out of ours would look like a silent cloud
		switch err := n.ReadTwice(ctx); {
		case err == nil, n.Partial() && errors.Is(err, agent.ErrUnsettled): // an open key is this interface's problem, not the cloud's
			c.Granted, c.Source = n.Granted(), doctor.FromMetadata
			c.Problems = n.Granted().Problems
			_ = n.Reread()
			return
		case errors.Is(err, metadata.ErrNotReady): // normal for a new interface
			if r.Interface.MAC != c.MAC {
				c.Waiting = "waiting for the metadata to publish it: " + agent.OneLine(err)
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
		_ = n.Reread()
	case r.Degraded() && agent.EffectiveLease(r, n.Have()) != nil:
		c.Source = doctor.FromLease
	}
}

// runtime fills in how the interface has fared since it was set up, by its record and its process.
func (x *examination) runtime(r state.Record, recorded bool, c *doctor.Interface) {
	c.ReadAt = r.ReadAt
	c.Leasing, c.Lease = r.DHCP, r.Lease
	holder := x.store.Holder(c.Name)
	c.AgentPID, c.Unsaved = holder.PID, holder.Unsaved
	c.Stopped = state.Stopped(c.AgentPID)
	if c.AgentPID > 0 {
		c.Sandbox = doctor.ReadSandbox(os.DirFS("/"), c.AgentPID)
	}
	c.Died, c.Outdated = x.store.Died(c.Name), x.outdated(c.Name)
	if r.Degraded() {
		c.Degraded = r.State
	}
	if recorded && !r.Ready && c.AgentPID != 0 {
		c.Waiting = r.State
	}
	if r.RolledBack != nil {
		c.RolledBack = r.RolledBack.Why
	}
	c.Egress = r.Egress
	if o, ok := x.programs.Owner(c.Name, c.Index); ok {
		c.Manager = o.Program
		if !o.Pending {
			c.Owner = &o
		}
	}
}

// marked reports whether something on the interface is ours.
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

// unitState asks systemd for the unit that manages the interface.
func (x *examination) unitState(ctx context.Context, c *doctor.Interface) {
	if !agent.UnderSystemd() {
		return
	}
	var err error
	c.Unit = agent.UnitOf(c.Name)
	if c.State, err = agent.UnitState(ctx, c.Unit); err != nil {
		x.facts.Gaps["unit"] = agent.OneLine(err)
	}
}
