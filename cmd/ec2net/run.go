package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"ec2net/agent"
	"ec2net/plumb"
)

// runCommand is `ec2net run IF`, what the unit ec2net-ifup@.service runs: it manages the interface until the
// interface is gone. It takes the interface's lock and refuses to run beside another process that holds it. SIGTERM
// ends it with status 0 and leaves everything in place, so that an upgrade interrupts nothing. Under its unit it ends
// with exitGone if the interface was removed, after it has cleaned up. Where there is nothing to do it says READY and
// ends with 0.
func (p *program) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run IF",
		Short: "set an interface up and manage it until it is gone",
		Long: `Set an interface up and manage it until it is gone: read the metadata regularly,
renew the lease, and restore what another program deletes. SIGHUP makes it read
the metadata now. When the process is stopped, the configuration stays; when the
interface goes, ec2net removes everything that belonged to it.`,
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if o, ok := p.err.(*output); ok {
				o.detach()
			}
			p.waits = true
			err := p.run(c.Context(), args[0])
			if err != nil { // so that systemctl status shows why the unit failed
				agent.TellSystemd("STATUS=" + agent.OneLine(err))
			}
			return err
		},
	}
}

// run is runCommand without the flags.
func (p *program) run(ctx context.Context, name string) error {
	a, err := p.begin(ctx, name, "run")
	if agent.IsNotStandalone(err) || errors.Is(err, plumb.ErrGone) {
		// Between udev's event and now it was enslaved, or unplugged: nothing to do any more.
		p.log.Info(err)
		a = nil
		if errors.Is(err, plumb.ErrGone) {
			err = gone()
		} else {
			err = nil
		}
	}
	if a == nil || err != nil {
		agent.TellSystemd(daemon.SdNotifyReady) // with nothing to do the unit has succeeded
		return err
	}
	defer a.Close()
	reload, stop := hangups() // before the lock is taken: from then on `up` may send SIGHUP, which would kill us
	defer stop()
	switch end, err := a.Run(ctx, name, reload); end {
	case agent.EndGone:
		return errors.Join(err, gone())
	case agent.EndEnslaved:
		return err
	default:
		return errors.Join(err, p.handOver(a.Name(), name))
	}
}

// handOver starts the unit of the interface's new name if the interface was renamed while this process ran. This
// process's own unit is bound to the old name and ends with it. Whatever started the new unit may have come while
// this process still held the lock, and have found the interface managed. By now the lock is free.
func (p *program) handOver(name, began string) error {
	if name == began || os.Getenv("INVOCATION_ID") == "" || !agent.UnderSystemd() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return p.start(ctx, name)
}

// gone tells the unit that the interface was removed, by exitGone, which downIfGone looks for. Outside of a unit that
// is no failure and no news.
func gone() error {
	if os.Getenv("INVOCATION_ID") == "" { // not under a unit (systemd.exec(5)): nobody looks for the status
		return nil
	}
	return quiet(exitGone)
}

// hangups turns SIGHUP (systemctl reload, or an `up` beside a run) into a channel of one value: several signals
// before the next look are one request. The function returned ends it.
func hangups() (<-chan struct{}, func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	out := make(chan struct{}, 1)
	go func() {
		for range signals {
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, func() { signal.Stop(signals); close(signals) }
}
