package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"ec2net/plumb"
	"ec2net/state"
)

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
			err := p.run(c.Context(), args[0])
			if err != nil { // what systemctl status shows of a failed unit
				_, _ = daemon.SdNotify(false, "STATUS="+oneLine(err))
			}
			return err
		},
	}
}

func (p *program) run(ctx context.Context, name string) error {
	a, err := p.begin(ctx, name, "run")
	if noInterface(err) || errors.Is(err, plumb.ErrGone) {
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
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // nothing to do is done
		return err
	}
	defer a.close()
	reload, stop := hangups() // before others know of us: `up` asks whoever holds the interface to read the metadata
	defer stop()
	if err := a.acquire(name); err != nil {
		if !state.NoSpace(err) {
			return err
		}
		a.complain(fromDisk, err) // that is no reason to leave the interface dead
	}
	defer func() { a.lock.Release() }()
	a.stays = true
	told := &notify{}
	a.progress = func(phase state.Phase, text string) { told.tell(text, phase.Settled()) }
	err = a.loop(ctx, 0, reload, func() (bool, error) { return a.idle(), nil })
	if err == nil {
		err = a.release(ctx, "run")
	}
	if err == nil {
		err = a.lookOnce()
	}
	if noInterface(err) {
		a.log.Infof("%s; ec2net has removed everything of its own from it", oneLine(err))
		told.tell("not an interface of its own", true)
		return a.forget()
	}
	if errors.Is(err, errGone) {
		told.tell("the interface is gone", true) // to systemd, an end without READY is a failure
		return errors.Join(a.leaveGone(), gone())
	}
	return errors.Join(err, p.handOver(a, name))
}

// handOver has the unit of the interface's new name take the interface, when this process was started under
// another one: its own unit is bound to the old name, and ends with it. What started the new unit may
// have looked while this process still held the interface, and found it kept.
func (p *program) handOver(a *agent, began string) error {
	if a.record.Name == began || os.Getenv("INVOCATION_ID") == "" || !underSystemd() {
		return nil
	}
	a.lock.Release()
	a.lock = nil
	ctx, cancel := context.WithTimeout(context.Background(), dismissal)
	defer cancel()
	return p.start(ctx, a.record.Name)
}

// gone tells the unit that the interface was taken away: see downIfGone.
func gone() error {
	if os.Getenv("INVOCATION_ID") == "" { // systemd.exec(5); nobody else wants to know
		return nil
	}
	return quiet(exitGone)
}

func vanished(l *plumb.Link) bool {
	_, err := l.Look()
	return errors.Is(err, plumb.ErrGone)
}

// lookOnce looks at the interface once more: systemd stops the unit at the moment that the interface goes, or gets
// another name, and may be faster than the kernel's message.
func (a *agent) lookOnce() error {
	switch s, err := a.link.Look(); {
	case errors.Is(err, plumb.ErrGone):
		return errGone
	case err == nil && s.Name != a.record.Name:
		a.renamed(s.Name)
		a.saved()
	}
	return nil
}

// renamed follows an interface that got another name: record and lock have to be found under that one.
func (a *agent) renamed(to string) {
	from := a.record.Name
	a.log = a.log.WithField("interface", to)
	a.log.Infof("renamed from %s to %s", from, to)
	a.record.Name, a.unsaved = to, true
	a.formerly = append(a.formerly, from)
	if a.stays {
		a.complain(fromDisk, a.acquire(to))
	}
}

// hangups makes a channel of SIGHUP, which is systemctl reload.
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

// leaveGone clears up after an interface that was taken away while we ran.
func (a *agent) leaveGone() error {
	done, err := a.link.Leave(context.Background(), nil)
	a.announce(done)
	a.log.Info("the interface is gone; ec2net has removed everything it had set up for it")
	return errors.Join(err, a.forget())
}
