package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ec2net/plumb"
)

// `ec2net status --watch`: it draws the status again after each change of a record (inotify(7)) or of the kernel's
// network (rtnetlink(7)), and nothing while nothing changes.

// redrawPause is how long after a change the status is drawn again, since one change is many notifications.
const redrawPause = 200 * time.Millisecond

// watchStatus draws the status again whenever a record or the kernel has changed, until ctx ends.
func (p *program) watchStatus(ctx context.Context, args []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	records, err := p.store.Watch(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(exitFailed, "nothing to watch yet: no interface has been set up since the boot (there is no %s)", p.store.Dir())
	}
	if errors.Is(err, fs.ErrPermission) {
		return fail(exitFailed, "--watch needs root: %w", err)
	}
	if err != nil {
		return err
	}
	kernel, err := plumb.Changes(ctx)
	if err != nil {
		return err
	}
	for last := ""; ; {
		text, err := p.frame(args)
		if err != nil {
			return err
		}
		if text != last {
			last = text
			if _, err := fmt.Fprint(p.out, p.cleared(text)); err != nil {
				return fmt.Errorf("write the status: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-records:
		case _, ok := <-kernel:
			if !ok {
				return errors.New("the kernel's notifications have ended")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(redrawPause):
		}
	}
}

// frame is the status of now; with --json one document on one line.
func (p *program) frame(args []string) (string, error) {
	list, err := p.ifaces(args)
	if err != nil {
		return "", err
	}
	if p.json { // a document a line
		b, err := json.Marshal(filled(list))
		return string(b) + "\n", err
	}
	v := viewOf(p.out)
	v.still = true
	if text := v.text(list); text != "" {
		return text, nil
	}
	return emptyText(args) + "\n", nil
}

// cleared is a frame with what removes the one before from a terminal; elsewhere an empty line separates them.
func (p *program) cleared(text string) string {
	switch {
	case p.json:
		return text
	case viewOf(p.out).width > 0:
		return "\x1b[H\x1b[2J" + text
	}
	return text + "\n"
}
