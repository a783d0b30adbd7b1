package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"ec2net/metadata"
)

func (p *program) upCommand() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use:   "up IF",
		Short: "set an interface up now, and return when it answers",
		Long: `Set an interface up now, and return when it answers. What is done is printed, an
operation a line. While the metadata or the lease is late, it waits, and on a
terminal says for what and how long yet.`,
		Args: oneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("wait") && wait <= 0 {
				return fail(exitUsage, "--wait %s: must be more than 0", wait)
			}
			return p.up(c.Context(), args[0], wait)
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "give up after this `time` (default: as configured, or 2m)")
	return c
}

func (p *program) up(ctx context.Context, name string, wait time.Duration) error {
	return p.upUnless(ctx, name, wait, func() bool { return false })
}

// upUnless is up, and gives up early when there is nothing to wait for.
func (p *program) upUnless(ctx context.Context, name string, wait time.Duration, vain func() bool) error {
	a, err := p.begin(ctx, name, "up")
	if a == nil || err != nil {
		return err
	}
	defer a.close()
	if wait == 0 {
		wait = a.iface.Wait
	}
	if pid := p.store.Holder(name).PID; pid > 0 {
		return p.upByManager(ctx, a, pid, wait)
	}
	line := terminalLine(p.err, p.log)
	a.progress = func(state string) { line.show(name, state, a.begun.Add(wait), a.set()) }
	err = a.loop(ctx, wait, nil, func() (bool, error) { return a.set() || a.hopeless() || a.undone != nil || vain(), nil })
	line.clear()
	if ctx.Err() != nil {
		return fail(exitFailed, "%s: interrupted; \"ec2net down %s\" takes away what was set up so far", name, name)
	}
	if err == nil {
		err = a.release(ctx, p.configFile, "up")
	}
	return a.verdict(err, wait)
}

// begin checks all that can be checked before anything is touched. A nil agent means that there is
// nothing to do here.
func (p *program) begin(ctx context.Context, name, command string) (*agent, error) {
	if p.nowhere() {
		return nil, nil
	}
	a, err := p.newAgent(name)
	if err != nil {
		return nil, err
	}
	var noSource error
	a.cloud, noSource = p.source()
	if a.idle() {
		defer a.close()
		return nil, a.release(ctx, p.configFile, command)
	}
	err = errors.Join(mayChange(command), noSource)
	if err == nil && a.yields(a.snap) {
		err = a.giveUp(ctx)
	}
	if err != nil || a.record.Yielded != "" {
		a.close()
		return nil, err
	}
	return a, nil
}

// hopeless: waiting longer would change nothing.
func (a *agent) hopeless() bool {
	off := errors.Is(a.readErr, metadata.ErrDisabled)
	return a.idle() || (off && !a.degraded && a.leased() && time.Since(a.begun) > confirmAfter)
}

// verdict is the exit status of `up`, and what it says last.
func (a *agent) verdict(err error, wait time.Duration) error {
	switch {
	case errors.Is(err, errGone):
		_, err := a.link.Leave(context.Background(), nil)
		return errors.Join(fail(exitFailed, "%s was taken away meanwhile", a.snap.Name), err)
	case err != nil:
		return err
	case a.idle():
		return nil
	case a.role == isUnclear:
		return fail(exitFailed, "%s: gave up after %s: %w; nothing was changed", a.snap.Name, shorter(wait, a.begun), unclear(a.snap))
	case a.undone != nil:
		return a.takenBack()
	case a.inPart():
		return fail(exitPartial, "%s: set up in part: %s", a.snap.Name, a.state())
	case a.set():
		a.log.Infof("ready: %s", a.state())
		a.hint()
		return nil
	case !a.answered && !a.known():
		return errors.Join(fail(exitUnavailable, "%s: gave up after %s: %w; nothing was changed", a.snap.Name, shorter(wait, a.begun), a.lastErr()), a.undo())
	case a.readErr != nil:
		return fail(exitUnavailable, "%s: gave up after %s: %w; what was set up stays", a.snap.Name, shorter(wait, a.begun), a.readErr)
	}
	a.complain(fromCloud, errors.Join(a.settled.Problems...)) // what lasts no longer than this process is news all the same
	return fail(exitPartial, "%s: gave up after %s: %s", a.snap.Name, shorter(wait, a.begun), a.state())
}

// inPart: the interface is set up, but not with all that it is granted.
func (a *agent) inPart() bool { return a.set() && (a.troubled() || a.degraded) }

// undo leaves an interface of which nothing became known as it was found: not even its link stays up.
func (a *agent) undo() error {
	if a.link.Written() == 0 || !owns(a.leasing) {
		return nil
	}
	if _, err := a.link.Leave(context.Background(), a.record.Before); err != nil {
		return err
	}
	return a.forget()
}

// takenBack is the end of an `up` whose change was undone.
func (a *agent) takenBack() error {
	var err error
	if len(a.origin.Numbers()) == 0 { // nothing of the interface was set up before
		err = a.forget()
	}
	why := strings.Join(a.undone.why, "; ")
	if strings.Contains(why, "the connection of") {
		why += "; set the interface of that connection up first (its unit keeps its answers on it), or keep this one out of main (main_table = false)"
	}
	return errors.Join(fail(exitFailed, "%s: nothing was changed in the end: with this interface set up, %s", a.snap.Name, why), err)
}

func (a *agent) lastErr() error {
	if a.readErr != nil {
		return a.readErr
	}
	return metadata.ErrUnavailable
}

func shorter(wait time.Duration, begun time.Time) time.Duration {
	return min(wait, time.Since(begun)).Round(time.Second / 10)
}

// progressLine shows on a terminal what is waited for; elsewhere it is silent. Several may share a terminal, as
// those of a scan do.
type progressLine struct {
	mu    sync.Mutex
	out   io.Writer
	width int // columns; 0: no terminal
	begun time.Time
	shown bool
}

func terminalLine(w io.Writer, log *logrus.Logger) *progressLine {
	l := &progressLine{out: w, width: viewOf(w).width, begun: time.Now()}
	if l.width != 0 {
		log.AddHook(l)
	}
	return l
}

// Levels implements logrus.Hook.
func (l *progressLine) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook: a line of the log takes the place of this one, and is not written behind it.
func (l *progressLine) Fire(*logrus.Entry) error {
	l.clear()
	return nil
}

func (l *progressLine) show(name, state string, deadline time.Time, set bool) {
	// What is ready within a moment needs no line that flickers.
	if l.width == 0 || set || time.Since(l.begun) < time.Second/2 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf("%s: %s, %s left", name, state, time.Until(deadline).Truncate(time.Second))
	fmt.Fprintf(l.out, "\r\x1b[K%.*s", l.width-2, text)
	l.shown = true
}

func (l *progressLine) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		fmt.Fprint(l.out, "\r\x1b[K")
		l.shown = false
	}
}
