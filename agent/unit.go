package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"github.com/coreos/go-systemd/v22/unit"
)

// The unit of an interface, and questions to systemd over D-Bus. Escaping is that of systemd-escape(1) --path.

// UnitOf is the unit that manages an interface: an instance of ec2net-ifup@.service, named like the interface's
// device unit, to which it is bound (BindsTo).
func UnitOf(name string) string {
	device := unit.UnitNamePathEscape(sysfsDevices + name)
	return "ec2net-ifup@" + strings.TrimPrefix(device, unit.UnitNamePathEscape(sysfsDevices)+"-") + ".service"
}

// UnitWord is the unit of an interface as a word for a shell, for messages that tell the user what to type.
func UnitWord(name string) string {
	word := strings.TrimSuffix(UnitOf(name), ".service")
	if strings.Contains(word, "\\") {
		return "'" + word + "'"
	}
	return word
}

// StopUnit has systemd stop a unit and not start it again; it does not wait. A unit that is not loaded is no error.
func StopUnit(ctx context.Context, name string) error {
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

// UnitState is the state of a unit: "active", "failed" and so on (systemd(1)), or "masked". It asks systemd's private
// socket, which only root may open, else the system bus.
func UnitState(ctx context.Context, name string) (string, error) {
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

const sysfsDevices = "/sys/subsystem/net/devices/"

const unitFile = "ec2net-ifup@.service"

// UnderSystemd reports whether systemd runs this system (sd_booted(3)) and the package's unit is installed.
func UnderSystemd() bool {
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

// networkStarts reports whether systemd is about to start a program that configures the network. At a boot an
// interface may appear before that program runs; taking the lease then would give it two owners. If systemd cannot be
// asked in a second, the answer is yes. Nothing is lost by waiting.
func networkStarts() bool {
	if !UnderSystemd() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	bus, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return true // systemd is busy, or not ready to be asked
	}
	defer bus.Close()
	jobs, err := bus.ListJobsContext(ctx)
	if err != nil {
		return true
	}
	for _, j := range jobs {
		if j.JobType != "stop" && configuresNetwork(j.Unit) {
			return true
		}
	}
	return false
}

// configuresNetwork reports whether a unit belongs to a program that configures interfaces, or is a target that such
// programs come before (systemd.special(7)).
func configuresNetwork(unit string) bool {
	for _, name := range []string{
		"network.target", "network-pre.target", "NetworkManager.service", "systemd-networkd.service", "networking.service",
		"network.service", "ifup@", "cloud-init", "dhcpcd", "connman", "wicked", "dhclient", "netplan", "systemd-network-generator",
	} {
		if strings.HasPrefix(unit, name) {
			return true
		}
	}
	return false
}

// StopCommand is the command that ends the management of an interface which the configuration leaves alone. With
// systemd that is a restart of the unit: the new process reads the configuration and ends by itself.
func StopCommand(name string) string {
	if UnderSystemd() {
		return "systemctl restart " + UnitWord(name)
	}
	return "ec2net down " + name
}
