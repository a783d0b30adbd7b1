package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ec2net/agent"
	"ec2net/state"
)

// downCommand is `ec2net down IF`. It ends the process that manages the interface and removes everything that carries
// our mark, then the record; each change is a line on stderr. Nothing of other programs is touched. It works for an
// interface that is gone, too. Where ec2net alone configures the host, the lease's address and default route stay,
// unless --lease is given. A removal that would cut a connection off is rolled back, with status 1, and the process
// started again.
func (p *program) downCommand() *cobra.Command {
	var ifGone, lease bool
	c := &cobra.Command{
		Use:   "down IF",
		Short: "remove everything that ec2net set up on an interface",
		Long: `Remove everything that ec2net set up on an interface, and nothing else: rules,
routes and addresses that carry its mark, and the interface group. The link is
set back to how ec2net found it. This also works after the interface is gone.
It first stops a running "ec2net run" of the interface. Where nobody else
configures the interface, the leased address and the default route stay,
because the host depends on them; --lease removes them too.`,
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if ifGone {
				return p.downIfGone(c.Context(), args[0])
			}
			return p.takeDown(c.Context(), args[0], lease)
		},
	}
	c.Flags().BoolVar(&lease, "lease", false, "also remove the lease and default route of the host itself")
	c.Flags().BoolVar(&ifGone, "if-gone", false, "do nothing while the interface exists, under whatever name")
	return c
}

// downIfGone is `ec2net down --if-gone`, the last command of the unit (ExecStopPost). It does nothing while the
// interface is there. If another interface has taken the name by now, it starts the unit again: systemd drops a start
// that the device wants while the unit is still stopping.
func (p *program) downIfGone(ctx context.Context, name string) error {
	// Two signs that the interface went: run has said so by its status, or the record's interface is no longer there.
	gone := os.Getenv("EXIT_STATUS") == strconv.Itoa(exitGone) // of run, see systemd.exec(5)
	_, known := p.store.Load(name)
	switch _, err := net.InterfaceByName(name); {
	case !p.present(name):
		gone = true
		// Another interface's agent process may have cleared up after it meanwhile.
		if err := p.down(ctx, name); err != nil && !errors.Is(err, errNothingToRemove) {
			return err
		}
	case !known && (err != nil || byASignal()):
		gone = true // and a scan, or another interface's process, has cleared up after it
		if _, err := p.sweep(ctx); err != nil {
			return err
		}
	}
	if !gone || !agent.UnderSystemd() {
		return nil
	}
	// One that udev is about to give the name would come while the unit is still stopping, and be dropped.
	if err := agent.AwaitUdev(ctx); err != nil {
		p.log.Debug(err)
	}
	if _, err := net.InterfaceByName(name); err != nil {
		return nil
	}
	return p.start(ctx, name)
}

// byASignal reports whether the unit's process was ended by a signal, other than because it did not stop in time, by what
// systemd tells the unit's last command (systemd.exec(5)).
func byASignal() bool {
	return os.Getenv("EXIT_CODE") == "killed" && os.Getenv("SERVICE_RESULT") != "timeout"
}

// present reports whether the interface that was recorded under this name is there, or nothing was recorded.
func (p *program) present(name string) bool {
	r, known := p.store.Load(name)
	return !known || r.Present()
}

// stopTime is how long the managing process may take to stop, even in the middle of a change; then it is killed.
const stopTime = 10 * time.Second

// down removes an interface's set-up, but not what the host itself lives by.
func (p *program) down(ctx context.Context, name string) error { return p.takeDown(ctx, name, false) }

// takeDown stops the managing process and removes what it has set up; all includes what the host itself lives by.
func (p *program) takeDown(ctx context.Context, name string, all bool) error {
	if err := agent.MayChange("down"); err != nil {
		return err
	}
	kept, err := p.stopManager(ctx, name)
	if err != nil {
		return err
	}
	r := agent.Removal{Store: p.store, Log: p.log, Server: p.knownServer, All: all}
	switch err := r.Run(ctx, name); {
	case errors.Is(err, agent.ErrUnrecorded):
		return p.downUnknown(ctx, name)
	case errors.Is(err, agent.ErrRolledBack):
		return errors.Join(err, p.restartManager(ctx, name, kept.PID != 0))
	case err != nil:
		return err
	}
	p.publish()
	return nil
}

// stopManager ends the process that manages the interface. If it had to be killed, its unit is stopped too, or
// systemd would start it again.
func (p *program) stopManager(ctx context.Context, name string) (state.Dismissal, error) {
	d, err := p.store.Dismiss(ctx, name, stopTime)
	if !d.Killed {
		return d, err
	}
	p.log.Warnf("process %d, which managed %s, did not end within %s: killed it", d.PID, name, stopTime)
	if agent.UnderSystemd() {
		err = errors.Join(err, agent.StopUnit(ctx, agent.UnitOf(name)))
	}
	return d, err
}

// knownServer is the metadata's address; false if the machine is on no known cloud, or the environment names an endpoint
// that is none.
func (p *program) knownServer() (netip.AddrPort, bool) {
	cloud, err := p.source()
	if err != nil {
		return netip.AddrPort{}, false
	}
	return cloud.Server(), true
}

// restartManager starts the managing process again after a removal that was rolled back: the interface stays as it
// was.
func (p *program) restartManager(ctx context.Context, name string, kept bool) error {
	switch {
	case !kept:
		return nil
	case agent.UnderSystemd():
		return p.start(ctx, name)
	}
	return fmt.Errorf("%s: the process that managed it has ended; to manage it again: ec2net run %s", name, name)
}

// errNothingToRemove says that an interface that is not here has left nothing behind either.
var errNothingToRemove = errors.New("none has left anything behind")

// downUnknown handles a name that no interface and no record has. What it left under another name is removed all the
// same.
func (p *program) downUnknown(ctx context.Context, name string) error {
	found, err := p.sweep(ctx)
	if err == nil && !found {
		return fail(exitUsage, "there is no network interface %s here, and %w", name, errNothingToRemove)
	}
	return err
}

// sweep removes what is left of interfaces that are gone, and reports whether there was anything.
func (p *program) sweep(ctx context.Context) (bool, error) {
	found, cleared, err := agent.Sweep(ctx, p.store, p.log)
	if cleared {
		p.publish()
	}
	return found, err
}

// publish writes the metrics once an interface is no longer among them. A failure is only logged: the removal stands.
func (p *program) publish() {
	conf, err := p.config()
	if err == nil {
		var w state.Publisher
		w.Publish(p.store, conf.MetricsFile)
		err = w.Finish()
	}
	if err != nil {
		p.log.Warnf("metrics: %s", agent.OneLine(err))
	}
}
