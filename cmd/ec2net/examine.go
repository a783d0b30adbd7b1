package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/agent"
	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/doctor"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// What doctor is told: facts about the host. This file reads, package doctor judges; it neither reads nor writes.
// What only root may read becomes a gap (doctor.Facts.Gaps) and not an error, so that no check passes for want of a
// fact.

// doctorTime bounds how long all interfaces together wait for the metadata, since a person is waiting.
const doctorTime = 8 * time.Second

// examination collects the facts of one run of doctor.
type examination struct {
	*program
	// only is the one interface to examine; "": all.
	only    string
	facts   doctor.Facts
	conf    config.Config
	cloud   metadata.Source
	primary metadata.MAC
	// known are the interfaces that the cloud lists.
	known   []metadata.MAC
	records state.Records
	// programs are what runs on the host.
	programs dhcp.Programs
}

// repairTime is how long a process may take to repair its interface; what is repaired within it is no finding.
const repairTime = 1500 * time.Millisecond

// examined collects the facts of all interfaces, or of one. If a process has something to repair, it looks again
// after repairTime: of a repair that is under way nobody would want to hear.
func (p *program) examined(ctx context.Context, only string) (doctor.Facts, error) {
	f, err := p.examineOnce(ctx, only)
	underWay := func(c doctor.Interface) bool { return c.AgentPID != 0 && len(c.Plan) > 0 }
	if err != nil || !slices.ContainsFunc(f.Interfaces, underWay) {
		return f, err
	}
	select {
	case <-time.After(repairTime): // no event announces what another process repairs
		return p.examineOnce(ctx, only)
	case <-ctx.Done():
		return f, ctx.Err()
	}
}

// examineOnce collects the facts once. Interfaces come last but one: their facts need the cloud's answer and the
// records, and the kernel's look-ups (probe) need all interfaces.
func (p *program) examineOnce(ctx context.Context, only string) (doctor.Facts, error) {
	x := examination{program: p, only: only, facts: doctor.Facts{
		Cloud: p.detected(), Kernel: kernelRelease(), Now: time.Now(), Gaps: map[string]string{},
	}}
	var err error
	if x.facts.FIB, err = doctor.ReadFIB(); err != nil {
		return x.facts, err
	}
	if err := x.settings(); err != nil {
		return x.facts, err
	}
	if only != "" { // a device that cannot be set up has no facts, which would look like health
		if _, _, err := agent.AsInterface(only, x.facts.Cloud, p.store.All()); err != nil {
			return x.facts, err
		}
	}
	// What needs no cloud comes first; outside of a cloud that is all.
	root := os.DirFS("/")
	x.programs = dhcp.ReadPrograms(root)
	x.facts.FIB.Origins = doctor.ReadOrigins(root)
	x.facts.Programs, x.facts.Networkd = doctor.FindPrograms(root), doctor.ReadNetworkd(root, x.programs)
	if x.facts.Cloud == metadata.CloudNone {
		for _, r := range x.store.All() {
			x.facts.Recorded = r.Cloud
		}
		return x.facts, nil
	}
	if err := x.readChains(); err != nil {
		return x.facts, err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	x.readRecords()
	if err := x.askCloud(ctx); err != nil {
		return x.facts, err
	}
	for _, l := range x.candidates() {
		if err := x.iface(ctx, l); err != nil {
			return x.facts, err
		}
	}
	x.findOrphans()
	return x.facts, x.probe()
}

// settings reads the configuration. A broken file is a finding; one that is asked for and not there is not.
func (x *examination) settings() (err error) {
	if x.conf, err = x.config(); errors.Is(err, errNoFile) {
		return err
	}
	if x.facts.Config = err; err != nil {
		x.conf = config.Default()
	}
	if errors.Is(x.facts.Config, fs.ErrPermission) { // so nothing is known about its content
		for _, id := range []string{"config", "set-up", "plan", "left-out"} {
			x.facts.Gaps[id] = "only root may read the configuration " + x.configFile
		}
	}
	return nil
}

// readChains reads what others do with traffic that is forwarded; only root may.
func (x *examination) readChains() (err error) {
	x.facts.Chains, err = doctor.ReadChains()
	if errors.Is(err, unix.EPERM) {
		x.facts.Gaps["forward"], err = "nftables cannot be read: "+unix.EPERM.Error(), nil
	}
	return err
}

// readRecords reads the records; only root may.
func (x *examination) readRecords() {
	if x.store.Full() {
		x.facts.Full = x.store.Dir()
	}
	if !x.store.Readable() {
		for _, id := range []string{"manager", "lease", "process", "reading-age", "record", "degraded", "orphan"} {
			x.facts.Gaps[id] = "only root may read the records in " + x.store.Dir()
		}
		return
	}
	x.records = x.store.All()
	primary, _ := x.records.Primary()
	x.facts.Primary, x.facts.Egress = primary.Name, agent.EgressMistakes(x.conf, primary.Name)
}

// askCloud asks the cloud for its interfaces, and the kernel which way the request goes: for us, who bind it to a
// device, and for other programs. A metadata server that does not answer is a finding, not an error.
func (x *examination) askCloud(ctx context.Context) (err error) {
	if x.cloud, err = x.source(); err != nil {
		return err
	}
	x.facts.Metadata.Err = metadata.Patiently(ctx, func() (err error) {
		x.primary, x.known, err = x.cloud.Interfaces(ctx)
		return err
	})
	x.facts.Metadata.Server = x.cloud.Server().Addr()
	if l, ok := x.facts.FIB.Named(x.towards(x.cloud.Server())); ok {
		x.facts.Metadata.Out = l.Index
	}
	a, err := doctor.Ask(doctor.Packet{Dst: x.facts.Metadata.Server, Out: x.facts.Metadata.Out, UID: uint32(os.Geteuid())})
	if err != nil {
		return err
	}
	x.facts.Metadata.Route = &a
	others, err := doctor.Ask(doctor.Packet{Dst: x.facts.Metadata.Server})
	if err != nil {
		return err
	}
	x.facts.Metadata.Others = &others
	return nil
}

// candidates are the devices to examine: those that the cloud lists, or that ec2net knows while the cloud does not
// answer.
func (x *examination) candidates() (out []doctor.Link) {
	for _, l := range x.facts.FIB.Links {
		if l.Loopback || l.Master != 0 || l.MAC == (metadata.MAC{}) || plumb.Virtual(l.Kind) {
			continue
		}
		if x.asked(l) && !x.isDuplicate(l) {
			out = append(out, l)
		}
	}
	return out
}

// asked reports whether a device is to be examined: it is the one that was asked for or, if none was, one that the
// cloud or ec2net knows.
func (x *examination) asked(l doctor.Link) bool {
	if x.only != "" {
		return l.Name == x.only
	}
	return x.knows(l)
}

// knows reports whether ec2net has a record of a device, or the cloud lists it; while the cloud does not answer, a
// device in our interface group counts too.
func (x *examination) knows(l doctor.Link) bool {
	_, recorded := x.record(l)
	return recorded || slices.Contains(x.known, l.MAC) || (x.facts.Metadata.Err != nil && l.Group == plumb.Group)
}

// isDuplicate reports whether another device with the same MAC is the interface: by our record, by its group or,
// failing both, because it was there first.
func (x *examination) isDuplicate(l doctor.Link) bool {
	rank := func(k doctor.Link) int {
		_, recorded := x.record(k)
		switch {
		case recorded:
			return 0
		case k.Group == plumb.Group:
			return 1
		}
		return 2
	}
	return slices.ContainsFunc(x.facts.FIB.Links, func(o doctor.Link) bool {
		if o.MAC != l.MAC || o.Index == l.Index || plumb.Virtual(o.Kind) {
			return false
		}
		return cmp.Or(cmp.Compare(rank(o), rank(l)), cmp.Compare(o.Index, l.Index)) < 0
	})
}

// record is the record of a device, if there is one.
func (x *examination) record(l doctor.Link) (state.Record, bool) {
	i := slices.IndexFunc(x.records, func(r state.Record) bool { return r.MAC == l.MAC && r.Index == l.Index })
	if i < 0 {
		return state.Record{}, false
	}
	return x.records[i], true
}

// findOrphans finds records of interfaces that are gone, and interfaces of the cloud that have no device here.
func (x *examination) findOrphans() {
	has := func(mac metadata.MAC) bool {
		return slices.ContainsFunc(x.facts.FIB.Links, func(l doctor.Link) bool { return l.MAC == mac })
	}
	for _, r := range x.records {
		if !has(r.MAC) {
			x.facts.Orphans = append(x.facts.Orphans, r.Name)
		}
	}
	for _, mac := range x.known {
		if !has(mac) && x.only == "" {
			x.facts.Missing = append(x.facts.Missing, mac)
		}
	}
}

// probe has the kernel look up which way each address's packets go, once all interfaces and their subnets are known.
func (x *examination) probe() (err error) {
	ifaces := x.facts.Interfaces
	for i, c := range ifaces {
		if ifaces[i].Probes, err = doctor.ProbeInterface(c, ifaces, doctor.Ask); err != nil {
			return err
		}
	}
	return nil
}
