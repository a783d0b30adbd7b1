package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"github.com/spf13/cobra"

	"ec2net/agent"
	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// scanCommand is `ec2net scan [IF...]`, which ec2net-scan.service runs at boot and after an installation: it starts
// the interfaces whose udev event was missed. It asks the cloud which interfaces there are, and touches none that is
// set up. With the package's units it only starts those; without, it sets the interfaces up itself. Status 3: the
// cloud did not answer, and nothing was changed; 4: some were started; otherwise the status of what failed.
func (p *program) scanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scan [IF...]",
		Short: "start the interfaces that are not set up yet",
		Long: `Find the interfaces that the cloud lists and that are not set up yet, the
primary interface included, and start them: through their units where the
package's unit is installed, otherwise in this process, like "ec2net up". If
the host has no default route, so that the cloud cannot be asked, scan starts
every device that may be such an interface. It does not touch interfaces that
are already set up, and names those that the configuration or a udev rule
(EC2NET_MANAGE=0) leaves alone. It first removes what is left of interfaces
that are gone and whose process was killed. Exit status 4: only some interfaces
could be started.`,
		Args: names,
		RunE: func(c *cobra.Command, args []string) error { return p.scan(c.Context(), args) },
	}
}

// scan clears up after orphans, finds out what is not set up, and starts it.
func (p *program) scan(ctx context.Context, only []string) error {
	if p.outsideCloud() {
		return nil
	}
	if err := agent.MayChange("scan"); err != nil {
		return err
	}
	for _, name := range only {
		if _, err := net.InterfaceByName(name); err != nil {
			return agent.ExplainGone(name, plumb.ErrGone)
		}
	}
	// Only orphans with a record: looking for others would load the nftables modules on hosts that use none.
	cleared, orphans := agent.ClearOrphans(ctx, p.store, p.log)
	if cleared {
		p.publish()
	}
	found, err := p.findUnset(ctx, only)
	if statusOf(err) == exitUnavailable && p.noDefaultRoute() {
		return errors.Join(orphans, p.scanOffline(ctx, only, err))
	}
	if err != nil {
		return errors.Join(orphans, err)
	}
	if all := len(found.names) == 0 && len(only) == 0; all && len(found.left) == 0 && orphans == nil {
		p.log.Info("every interface is set up")
	}
	for _, why := range found.left {
		p.log.Info(why)
	}
	return errors.Join(orphans, p.startAll(ctx, found))
}

// startList are the interfaces that scan starts.
type startList struct {
	// primary is the host's primary interface, whether it is to be started or not.
	primary string
	names   []string
	// macs are those of names, filled in only if the cloud could not be asked.
	macs []metadata.MAC
	// left says why others are not started, of those that were asked for or that nobody has set up.
	left []string
}

// findUnset finds the interfaces of this host that the cloud lists and nobody has set up, the primary included.
func (p *program) findUnset(ctx context.Context, only []string) (out startList, err error) {
	// The cloud says which devices are its interfaces. The host has others (bridges, tunnels), and records may be
	// lost.
	primary, known, err := p.cloudInterfaces(ctx)
	if err != nil {
		return out, err
	}
	conf, err := p.config()
	if err != nil {
		return out, err
	}
	list, err := net.Interfaces()
	if err != nil {
		return out, fmt.Errorf("list the network interfaces: %w", err)
	}
	where, records := p.detected(), p.store.All()
	for _, i := range list {
		s, certain, err := agent.AsInterface(i.Name, where, records)
		if certain && s.MAC == primary {
			out.primary = i.Name
		}
		if len(only) > 0 && !slices.Contains(only, i.Name) {
			continue
		}
		why := p.notStarted(s, certain, err, known, conf)
		switch {
		case why == "":
			out.names = append(out.names, i.Name)
		case len(only) > 0, slices.Contains(known, s.MAC) && err == nil && !p.isFollowed(i.Name, s.MAC):
			out.left = append(out.left, why)
		}
	}
	return out, nil
}

// cloudInterfaces asks the cloud for the machine's interfaces.
func (p *program) cloudInterfaces(ctx context.Context) (primary metadata.MAC, known []metadata.MAC, err error) {
	cloud, err := p.source()
	if err != nil {
		return primary, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, agent.ReadingTime)
	defer cancel()
	err = metadata.Patiently(limited, func() (err error) {
		primary, known, err = cloud.Interfaces(limited)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return primary, nil, fail(exitFailed, "scan: interrupted")
	case err != nil:
		return primary, nil, fail(exitUnavailable, "scan: %w; nothing was changed", err)
	}
	return primary, known, nil
}

// notStarted is why an interface is not started; "": it is. known is nil if the cloud could not be asked.
func (p *program) notStarted(s plumb.Snapshot, certain bool, err error, known []metadata.MAC, conf config.Config) string {
	name, keys := s.Name, agent.MatchKeys(s)
	switch {
	case err != nil:
		return err.Error()
	case known != nil && !slices.Contains(known, s.MAC):
		return fmt.Sprintf("the cloud does not know %s (%s)", name, s.MAC)
	case p.stopped(name) != "":
		return name + ": " + p.stopped(name)
	case p.isSet(name, s.MAC):
		return name + " is set up"
	case !certain: // a device with the MAC of an interface may be its virtual function
		return agent.Ambiguous(s).Error()
	case !conf.NeedsMetadata(keys) && conf.For(keys).Manage == config.None:
		return fmt.Sprintf("%s is left alone, because %s says manage = false", name, p.configFile)
	case agent.UdevProperty(os.DirFS("/"), s.Index, "EC2NET_MANAGE") == "0":
		return name + " is left alone, because a udev rule sets EC2NET_MANAGE=0"
	}
	return ""
}

// isSet reports whether a process manages the interface, or `up` has set it up once. What a process that died has
// left does not count: nobody repairs it or renews its lease.
func (p *program) isSet(name string, mac metadata.MAC) bool {
	if p.store.Managed(name) {
		return true
	}
	r, ok := p.store.Load(name)
	set := r.Ready || r.LeftTo != ""
	return ok && r.MAC == mac && set && !p.store.Died(name)
}

// isFollowed reports whether the interface is set up and the process that manages it, if any, is not stopped.
func (p *program) isFollowed(name string, mac metadata.MAC) bool {
	return p.isSet(name, mac) && p.stopped(name) == ""
}

// stopped says that the process that manages an interface is stopped by a signal or a debugger; "": it is not, or
// there is none.
func (p *program) stopped(name string) string { return state.Stopped(p.store.Holder(name).PID) }

// startAll starts the interfaces and sums up what failed.
func (p *program) startAll(ctx context.Context, found startList) error {
	errs := p.startParallel(ctx, found)
	p.completePrimary(ctx, found, errs)
	return p.summarize(found.names, errs)
}

// startParallel starts the interfaces side by side, since one that waits for the cloud must not hold up the others.
// Only the primary has a head start: with rules of its own, its open connections to the others' subnets are safe when
// those come.
func (p *program) startParallel(ctx context.Context, found startList) []error {
	ifaces, errs := found.names, make([]error, len(found.names))
	var wg sync.WaitGroup
	begin := func(i int) <-chan struct{} {
		done := make(chan struct{})
		wg.Go(func() { defer close(done); errs[i] = p.startWithin(ctx, ifaces[i], headStart) })
		return done
	}
	// The primary first, but no longer than headStart.
	if i := slices.Index(ifaces, found.primary); i >= 0 {
		select {
		case <-begin(i):
		case <-time.After(headStart):
		}
	}
	for i, name := range ifaces {
		if name != found.primary {
			begin(i)
		}
	}
	wg.Wait()
	return errs
}

// completePrimary gives the primary the rules that it needs beside the others, which came after it. Under systemd its
// own process does that.
func (p *program) completePrimary(ctx context.Context, found startList, errs []error) {
	if i := slices.Index(found.names, found.primary); !agent.UnderSystemd() && len(found.names) > 1 && i >= 0 && errs[i] == nil {
		errs[i] = p.up(ctx, found.primary, scanWait)
	}
}

// summarize logs each failure and returns the error for all of them.
func (p *program) summarize(ifaces []string, errs []error) error {
	failed := 0
	for i, err := range errs {
		if err != nil {
			failed++
			p.log.WithField("interface", ifaces[i]).Warn(err)
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed < len(ifaces):
		return fail(exitPartial, "%d of %s could not be started", failed, agent.Plural(len(ifaces), "interface", "interfaces"))
	}
	return fail(statusOf(errors.Join(errs...)), "none of %s could be started", agent.Plural(len(ifaces), "interface", "interfaces"))
}

// headStart is how long the others wait for the primary. Not for ever, since its metadata may be late.
const headStart = 5 * time.Second

// start starts the interface's unit, or sets the interface up right here if no unit is installed. It does not rely on
// a uevent: systemd starts what a device wants only when the device is new.
func (p *program) start(ctx context.Context, name string) error { return p.startWithin(ctx, name, 0) }

// startWithin is start, and waits for up to patience until the unit has set the interface up.
func (p *program) startWithin(ctx context.Context, name string, patience time.Duration) error {
	if !agent.UnderSystemd() {
		return p.up(ctx, name, scanWait)
	}
	if i, err := net.InterfaceByName(name); err == nil {
		if err := agent.NamedForSystemd(os.DirFS("/"), name, i.Index); err != nil {
			return err
		}
	}
	// systemd's private socket, since the system bus may not run yet when scan does, at boot.
	bus, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to systemd: %w", err)
	}
	defer bus.Close()
	instance := agent.UnitOf(name)
	// Starts of an interface that had the name before do not count, nor those that systemd dropped because it was
	// stopping the unit, which it counts (systemd 252): else interfaces that come and go use up the limit on crashes.
	if err := bus.ResetFailedUnitContext(ctx, instance); err != nil {
		p.log.WithField("interface", name).Debugf("reset the start limit of %s: %v", instance, err) // it is not loaded: there is none
	}
	started := make(chan string, 1)
	if _, err := bus.StartUnitContext(ctx, instance, "replace", started); err != nil {
		return fmt.Errorf("start %s: %w", instance, err)
	}
	select {
	case <-started: // or it has failed, which its own status says
	case <-time.After(patience):
	case <-ctx.Done():
	}
	p.log.WithField("interface", name).Infof("started %s", instance)
	return nil
}

// scanWait bounds the set-up of an interface by scan itself.
const scanWait = time.Minute
