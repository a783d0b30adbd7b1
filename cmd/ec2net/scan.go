package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"github.com/coreos/go-systemd/v22/unit"
	"github.com/spf13/cobra"

	"ec2net/metadata"
	"ec2net/plumb"
)

func (p *program) scanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scan [IF...]",
		Short: "start the cards that the cloud knows and nobody set up",
		Long: `Find the cards that the cloud knows and nobody set up, and start them: where
the package's unit is installed by starting the card's unit, else in this
process, like "ec2net up". Cards that are set up already are left alone. Exit
status 4 when some could be started and others not.`,
		Args: names,
		RunE: func(c *cobra.Command, args []string) error { return p.scan(c.Context(), args) },
	}
}

func (p *program) scan(ctx context.Context, only []string) error {
	if p.nowhere() {
		return nil
	}
	if err := mayChange("scan"); err != nil {
		return err
	}
	for _, name := range only {
		if _, err := net.InterfaceByName(name); err != nil {
			return missing(name, plumb.ErrGone)
		}
	}
	cards, err := p.unset(ctx, only)
	if err != nil || len(cards) == 0 {
		if err == nil && len(only) == 0 {
			p.log.Info("every card is set up")
		}
		return err
	}
	return p.startAll(ctx, cards)
}

// unset are the cards of this host that the cloud knows, that are not the primary, and that nobody
// set up.
func (p *program) unset(ctx context.Context, only []string) ([]string, error) {
	cloud, err := p.source()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, readingTime)
	defer cancel()
	var primary metadata.MAC
	var known []metadata.MAC
	err = patiently(limited, func() (err error) {
		primary, known, err = cloud.Cards(limited)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil, fail(exitFailed, "scan: interrupted")
	case err != nil:
		return nil, fail(exitUnavailable, "scan: %w; nothing was changed", err)
	}
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network cards: %w", err)
	}
	var out []string
	for _, i := range list {
		mac, err := metadata.ParseMAC(i.HardwareAddr.String())
		if err != nil || mac == primary || !slices.Contains(known, mac) || p.isSet(i.Name, mac) {
			continue
		}
		if len(only) > 0 && !slices.Contains(only, i.Name) {
			continue
		}
		// What has the MAC of a card may be none: a slave, a bridge, a virtual function.
		if _, certain, _ := p.asCard(i.Name); certain {
			out = append(out, i.Name)
		}
	}
	for _, name := range only {
		if !slices.Contains(out, name) {
			p.log.Info(p.notStarted(name, primary, known))
		}
	}
	return out, nil
}

// notStarted says why a card that was asked for is not among those to start.
func (p *program) notStarted(name string, primary metadata.MAC, known []metadata.MAC) string {
	s, _, err := p.asCard(name)
	switch {
	case err != nil:
		return err.Error()
	case !slices.Contains(known, s.MAC):
		return fmt.Sprintf("the cloud does not know %s (%s)", name, s.MAC)
	case s.MAC == primary:
		return fmt.Sprintf("%s is the primary card, which scan leaves alone: \"ec2net up %s\" sets it up", name, name)
	}
	return name + " is set up"
}

func (p *program) isSet(name string, mac metadata.MAC) bool {
	r, ok := p.store.load(name)
	return (ok && r.MAC == mac && (r.Ready || r.Yielded != "")) || p.store.holder(name) != 0
}

// startAll starts the cards side by side: one that waits must not hold up the others.
func (p *program) startAll(ctx context.Context, cards []string) error {
	errs := make([]error, len(cards))
	var wg sync.WaitGroup
	for i, name := range cards {
		wg.Go(func() { errs[i] = p.start(ctx, name) })
	}
	wg.Wait()
	failed := 0
	for i, err := range errs {
		if err != nil {
			failed++
			p.log.WithField("card", cards[i]).Warn(err)
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed < len(cards):
		return fail(exitPartial, "%d of %s could not be started", failed, plural(len(cards), "card", "cards"))
	}
	return fail(statusOf(errors.Join(errs...)), "none of %s could be started", plural(len(cards), "card", "cards"))
}

const sysfsDevices = "/sys/subsystem/net/devices/"

const unitFile = "ec2net-ifup@.service"

// start starts the card's unit, or sets the card up here where no unit is installed. A uevent would
// not do: systemd starts what a device wants only when the device is new.
func (p *program) start(ctx context.Context, name string) error {
	if !underSystemd() {
		return p.up(ctx, name, scanWait)
	}
	bus, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to systemd: %w", err)
	}
	defer bus.Close()
	// As in the name of the card's device unit, to which the instance is bound.
	device := unit.UnitNamePathEscape(sysfsDevices + name)
	instance := "ec2net-ifup@" + strings.TrimPrefix(device, unit.UnitNamePathEscape(sysfsDevices)+"-") + ".service"
	if _, err := bus.StartUnitContext(ctx, instance, "replace", nil); err != nil {
		return fmt.Errorf("start %s: %w", instance, err)
	}
	p.log.WithField("card", name).Infof("started %s", instance)
	return nil
}

// scanWait bounds the set-up of a card by scan itself.
const scanWait = time.Minute

// underSystemd: this system was booted by systemd, and the package's unit is there.
func underSystemd() bool {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return false
	}
	for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		if _, err := os.Stat(filepath.Join(dir, unitFile)); err == nil {
			return true
		}
	}
	return false
}
