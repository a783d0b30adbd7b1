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
	p, err := bus.GetUnitPropertyContext(ctx, name, "ActiveState")
	if err != nil {
		return "", fmt.Errorf("ask systemd about %s: %w", name, err)
	}
	return strings.Trim(p.Value.String(), `"`), nil
}
