package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	"github.com/coreos/go-systemd/v22/unit"
)

// unitOf is the unit that keeps an interface, named as the interface's device unit, to which it is bound.
func unitOf(name string) string {
	device := unit.UnitNamePathEscape(sysfsDevices + name)
	return "ec2net-ifup@" + strings.TrimPrefix(device, unit.UnitNamePathEscape(sysfsDevices)+"-") + ".service"
}

// unitWord is the unit of an interface as a word for a shell.
func unitWord(name string) string {
	word := strings.TrimSuffix(unitOf(name), ".service")
	if strings.Contains(word, "\\") {
		return "'" + word + "'"
	}
	return word
}

// stopUnit has systemd stop a unit, or not start it again, and does not wait for that. One that is not loaded is stopped.
func stopUnit(ctx context.Context, name string) error {
	bus, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to systemd: %w", err)
	}
	defer bus.Close()
	if _, err := bus.StopUnitContext(ctx, name, "replace", nil); err != nil && !strings.Contains(err.Error(), "not loaded") {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// unitState asks systemd for the state of a unit: by its private socket, which is root's, else by the system bus.
func unitState(ctx context.Context, name string) (string, error) {
	bus, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		bus, err = dbus.NewSystemConnectionContext(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("connect to systemd: %w", err)
	}
	defer bus.Close()
	states := map[string]string{}
	for _, key := range []string{"LoadState", "ActiveState"} {
		p, err := bus.GetUnitPropertyContext(ctx, name, key)
		if err != nil {
			return "", fmt.Errorf("ask systemd about %s: %w", name, err)
		}
		states[key] = strings.Trim(p.Value.String(), `"`)
	}
	if states["LoadState"] == "masked" && states["ActiveState"] != "active" {
		return "masked", nil
	}
	return states["ActiveState"], nil
}
