package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ec2net/agent"
	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// statusCommand is `ec2net status [IF]`. It prints on stdout what the records say, compared with the kernel, and asks
// no cloud; warnings go to stderr. It changes nothing. Users other than root see what the kernel shows. Status 0 also
// if there is drift (plan and doctor have statuses for that); 2: no such interface.
func (p *program) statusCommand() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "status [IF]",
		Short: "show the interfaces that ec2net set up",
		Long: `Show the interfaces that ec2net set up: ENI, addresses, routing table, lease,
the process that manages them, and where the kernel differs from what was set
up (drift). With several interfaces, a summary table comes first. The cloud is
not asked. Only root may read and watch the records; other users see what the
kernel shows.`,
		Args: atMostOneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if watch {
				return p.watchStatus(c.Context(), args)
			}
			return p.status(args)
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "keep running, and show the status again after each change")
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
	return c
}

// interfaceStatus is what status knows of one interface.
type interfaceStatus struct {
	state.Record
	Process        int      `json:"process"`                        // that manages the interface; 0: none
	Died           bool     `json:"died,omitempty"`                 // the process that managed it was killed
	Stopped        bool     `json:"stopped,omitempty"`              // that process does nothing: a signal or a debugger has stopped it
	OutdatedConfig bool     `json:"former_configuration,omitempty"` // that process has read an older configuration
	Present        bool     `json:"present"`
	Table          uint32   `json:"table,omitempty"`   // where the interface's own traffic is looked up
	Tables         []string `json:"nftables"`          // what the interface's nftables table does
	NAT            string   `json:"nat,omitempty"`     // for whom the interface forwards traffic
	Drift          []string `json:"drift" null:""`     // operations that would put it right; null: not known
	Broken         bool     `json:"broken,omitempty"`  // the configuration has an error: what should be there is not known
	LeftOut        []string `json:"left_out"`          // what can not be set up as things are, and why
	Unsaved        string   `json:"unsaved,omitempty"` // why the managing process could not write its record, which is old
	Limited        bool     `json:"limited,omitempty"` // there is no record, or no right to read it: the kernel tells this
}

// status prints the status once.
func (p *program) status(args []string) error {
	list, err := p.ifaces(args)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if err := checkExists(args); err != nil {
			return err
		}
	}
	if p.json {
		return p.encode(list)
	}
	if len(list) == 0 {
		p.log.Info(emptyText(args))
		return nil
	}
	if _, err := fmt.Fprint(p.out, viewOf(p.out).text(list)); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	if !p.store.Readable() {
		return nil
	}
	return p.showRefused()
}

// checkExists returns an error for a name that no interface has; the caller knows that no record has it either.
func checkExists(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if _, err := net.InterfaceByName(args[0]); err != nil {
		return fail(exitUsage, "there is no network interface %s here, nor any record of one; this host has %s", args[0], strings.Join(agent.InterfaceNames(), ", "))
	}
	return nil
}

// emptyText says that there is nothing to show, about one interface or about the host.
func emptyText(args []string) string {
	if len(args) == 0 {
		return "ec2net has set up no interface"
	}
	if err := checkExists(args); err != nil {
		return err.Error()
	}
	return "ec2net has not set up " + args[0]
}

// ifaces are the interfaces that are named, or all. A broken configuration does not stop status: it shows the
// interfaces with the default settings, and leaves out what depends on the rest.
func (p *program) ifaces(args []string) ([]interfaceStatus, error) {
	list := []interfaceStatus{}
	if !p.store.Readable() {
		p.log.Warnf("only root may read %s: lease, metadata, managing process and drift are unknown", p.store.Dir())
		return p.fromKernel(args)
	}
	conf, err := p.config()
	if err != nil {
		conf = config.Default()
	}
	known := p.store.All()
	roles, _ := agent.NATRoles(known, conf)
	for _, r := range known {
		if len(args) == 0 || slices.Contains(args, r.Name) {
			c := p.compareWithRecord(r, known.Peers(metadata.MAC{}), conf, roles[r.Name])
			if c.Broken = err != nil; c.Broken || c.Unsaved != "" {
				c.Drift, c.LeftOut = nil, nil
			}
			list = append(list, c)
		}
	}
	if p.store.Full() {
		p.log.Warnf("no space is left in %s: the records may be out of date", p.store.Dir())
	}
	return p.unrecorded(args, known, list)
}

// unrecorded adds interfaces that are set up according to the kernel but have no record: the disk was full, or
// somebody has deleted it.
func (p *program) unrecorded(args []string, known state.Records, list []interfaceStatus) ([]interfaceStatus, error) {
	host, err := plumb.ReadHost() // cheaper than reading each interface, on a host with many
	if err != nil {
		return list, fmt.Errorf("look for interfaces without a record: %w", err)
	}
	for _, r := range known {
		delete(host.Numbers, r.MAC)
	}
	if len(host.Numbers) == 0 {
		return list, nil
	}
	more, err := p.fromKernel(args)
	for _, c := range more {
		if _, set := host.Numbers[c.MAC]; !set {
			continue
		}
		c.State = "set up, according to the kernel, but there is no record of it"
		holder := p.store.Holder(c.Name)
		c.Process, c.Unsaved = holder.PID, holder.Unsaved
		c.Stopped = state.Stopped(holder.PID) != ""
		c.Died = p.store.Died(c.Name)
		list = append(list, c)
	}
	return list, err
}

// fromKernel are the interfaces that carry our mark, without their records.
func (p *program) fromKernel(args []string) ([]interfaceStatus, error) {
	list := []interfaceStatus{}
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces: %w", err)
	}
	for _, i := range links {
		if len(args) > 0 && !slices.Contains(args, i.Name) {
			continue
		}
		c, err := unprivileged(i.Name)
		if err != nil {
			return nil, err
		}
		if c.Limited {
			list = append(list, c)
		}
	}
	return list, nil
}

// unprivileged is what any user may see of an interface. It is Limited if something on it is ours.
func unprivileged(name string) (c interfaceStatus, err error) {
	link, err := plumb.Open(name)
	if err != nil {
		return c, err
	}
	defer link.Close()
	s, err := link.Read()
	if errors.Is(err, plumb.ErrGone) {
		return c, nil
	}
	good := s.Granted()
	if held := s.Held(); good.MAC == (metadata.MAC{}) {
		good = held
	}
	c.Name, c.Index = s.Name, s.Index
	c.MAC, c.Interface = s.MAC, good
	c.Present = true
	c.Limited = err == nil && len(good.Addrs4.Value)+len(good.Addrs6.Value) > 0
	if c.State = "set up, according to the kernel"; len(s.Numbers()) > 0 {
		c.Table = plumb.Table(s.Numbers()[0])
	}
	return c, err
}

// outdatedConfig reports whether a process manages the interface by a configuration that the file no longer has.
func (p *program) outdatedConfig(pid int, r state.Record, conf config.Config) bool {
	if pid == 0 {
		return false
	}
	alone := conf.For(config.Local(r.Name, r.MAC, agent.Driver(r.Name)).Learn(r.Interface)).Manage == config.None
	return alone || p.outdated(r.Name)
}

// compareWithRecord compares what the record says with what the kernel has, by the same decision that the managing
// process makes. Drift is the plan that would be left to do; null in JSON means that it is not known.
func (p *program) compareWithRecord(r state.Record, peers []metadata.MAC, conf config.Config, nat agent.NATRole) interfaceStatus {
	// What follows from the record and the process is filled in first: it holds also if the interface is gone.
	holder := p.store.Holder(r.Name)
	c := interfaceStatus{Record: r, Process: holder.PID, Unsaved: holder.Unsaved, Stopped: state.Stopped(holder.PID) != "", Died: p.store.Died(r.Name), Table: r.Table(), Drift: []string{}}
	link, err := plumb.Open(r.Name)
	if err != nil {
		return c
	}
	defer link.Close()
	scope := r.Scope()
	scope.Peers = peers
	link.Cover(scope)
	have, err := link.Read()
	if errors.Is(err, plumb.ErrGone) || have.MAC != r.MAC {
		return c
	}
	c.Present, c.Tables = true, agent.Texts(have.Packets)
	if c.Table != 0 {
		c.Table = plumb.Table(have.Number(r.Interface))
	}
	f := agent.Recorded(r, have, conf, nat)
	c.OutdatedConfig = p.outdatedConfig(c.Process, r, conf)
	if !r.Ready || (r.Interface.MAC != r.MAC && !(r.Degraded() && f.Lease != nil)) {
		return c
	}
	c.NAT = nat.Text()
	if f.Settings.Manage != config.Full { // nothing has to be there, but an earlier configuration may have left something
		if len(have.Numbers()) == 0 {
			c.Table = 0
		}
		return c
	}
	// From here on the interface is managed and was set up: compare.
	want, refused := f.Want(have)
	if led := func(o plumb.Route) bool { return o.Ours && o.Table == c.Table }; r.Interface.Primary && !slices.ContainsFunc(want.Routes, led) && !slices.ContainsFunc(have.Routes, led) {
		c.Table = 0 // it needs a table only beside other interfaces
	}
	for _, o := range plumb.Diff(have.State, want) {
		c.Drift = append(c.Drift, o.String())
	}
	if refused != nil {
		c.LeftOut = strings.Split(refused.Error(), "\n")
	}
	return c
}

// showRefused logs errors of [egress] and [nat], which no single interface's record can show.
func (p *program) showRefused() error {
	conf, err := p.config()
	if err != nil {
		return err
	}
	known := p.store.All()
	primary, _ := known.Primary()
	_, refused := agent.NATRoles(known, conf)
	for _, problem := range append(agent.EgressMistakes(conf, primary.Name), refused...) {
		p.log.Warn(problem)
	}
	return nil
}
