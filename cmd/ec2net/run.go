package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
)

func (p *program) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run IF",
		Short: "set a card up and keep it right until it is gone (what the unit runs)",
		Long: `Set a card up and keep it right until it is gone: the metadata is read again and
again, the lease is renewed, and what somebody deletes is put back. SIGHUP reads
the metadata now. When it is stopped, everything stays as it is; when the card
goes, everything of its goes too.`,
		Args: oneCard,
		RunE: func(c *cobra.Command, args []string) error { return p.run(c.Context(), args[0]) },
	}
}

func (p *program) run(ctx context.Context, name string) error {
	a, err := p.begin(name, "run")
	if a == nil || err != nil {
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // nothing to do is done
		return err
	}
	defer a.link.Close()
	lock, held, err := p.store.lock(name)
	if err != nil {
		return err
	}
	if lock == nil {
		return fail(exitFailed, "process %d keeps %s already", held, name)
	}
	defer lock.Close()
	a.stays = true
	told := &notify{}
	a.progress = func(state string) { told.tell(state, a.set()) }
	reload, stop := hangups()
	defer stop()
	err = a.loop(ctx, reload, func() (bool, error) { return a.idle(), nil })
	if errors.Is(err, errGone) {
		return a.leaveGone()
	}
	return err
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

// leaveGone clears up after a card that was taken away while we ran.
func (a *agent) leaveGone() error {
	done, err := a.link.Leave(context.Background(), nil)
	a.announce(done)
	a.log.Info("the card is gone; nothing of its is left")
	return errors.Join(err, a.store.remove(a.record.Name))
}
