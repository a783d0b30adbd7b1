package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"ec2net/agent"
	"ec2net/state"
)

// upCommand is `ec2net up IF`. It sets the interface up once and stays until the interface answers, --wait is over or
// the user stops it. If a process already manages the interface, it asks that one instead (upByManager). Each change
// is a line on stderr; stdout stays empty. Status 0: set up; 1: failed or rolled back; 3: no metadata, nothing
// changed; 4: set up in part, which stays. It takes no lock, starts no unit, and leaves nothing running.
func (p *program) upCommand() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use:   "up IF",
		Short: "set an interface up now, and return when it answers",
		Long: `Set an interface up now, and return when it answers. Each change is printed, one
operation per line. While the metadata or the lease is not available yet, up
waits; on a terminal it shows what it waits for and how much time is left.`,
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

// up sets an interface up; wait 0 means the configured time.
func (p *program) up(ctx context.Context, name string, wait time.Duration) error {
	return p.upUnless(ctx, name, wait, func() bool { return false })
}

// upUnless is up, but stops waiting as soon as giveUp says so.
func (p *program) upUnless(ctx context.Context, name string, wait time.Duration, giveUp func() bool) error {
	a, err := p.begin(ctx, name, "up")
	if a == nil || err != nil {
		return err
	}
	defer a.Close()
	if wait == 0 {
		wait = a.Settings().Wait
	}
	if pid := p.store.Holder(name).PID; pid > 0 {
		return p.upByManager(ctx, a, pid, wait)
	}
	line := terminalLine(p.err, p.log)
	a.OnProgress(func(phase state.Phase, text string) { line.show(name, text, a.StartedAt().Add(wait), phase.Settled()) })
	defer line.clear()
	return a.Up(ctx, wait, giveUp)
}

// begin makes an agent with the options of the command line; nil without an error: there is nothing to do.
func (p *program) begin(ctx context.Context, name, command string) (*agent.Agent, error) {
	if p.outsideCloud() {
		return nil, nil
	}
	o, err := p.options()
	if err != nil {
		return nil, err
	}
	return agent.Begin(ctx, name, command, o)
}

// progressLine shows on a terminal what is waited for and how much time is left, in one line that is drawn over;
// elsewhere it is silent. A scan has several agents that share a terminal, hence the mutex.
type progressLine struct {
	mu  sync.Mutex
	out io.Writer
	// width is the terminal's, in columns; 0: it is none.
	width int
	begun time.Time
	shown bool
}

// terminalLine makes the progress line of a command. It hooks into the log, so that a log line first clears it.
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

// show draws the line, unless the interface is set up already or the command has just begun.
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

// clear removes the line, for a line of the log or for the end of the command.
func (l *progressLine) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		fmt.Fprint(l.out, "\r\x1b[K")
		l.shown = false
	}
}
