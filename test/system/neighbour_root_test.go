//go:build system

package system

import (
	"os"
	"slices"
	"strings"

	"ec2net/test/system/debian"
)

// crowded are the releases with the programs that hosts have beside ec2net, in roots of their own.
var crowded = map[string]string{debian.Bookworm: debian.Bookworm + "-crowded", debian.Trixie: debian.Trixie + "-crowded"}

// crowd are the packages of those programs. None starts by itself: a test starts the one that it is about.
func crowd(suite string) []string {
	list := []string{"keepalived", "openvpn", "wireguard-tools", "wireguard-go", "docker.io", "podman", "netavark", "iptables", "nftables",
		"busybox-static", "cloud-init", "netplan.io"}
	if suite == debian.Trixie {
		list = append(list, "docker-cli") // a package of its own there
	}
	return list
}

// crowdedRoots makes the roots, or finds them.
func crowdedRoots() error {
	for suite, name := range crowded {
		if !slices.Contains(suites, suite) {
			continue
		}
		root, err := debian.Root(suite, crowd(suite)...)
		if err != nil {
			return err
		}
		os.Setenv(rootEnv+name, root)
	}
	return nil
}

// quiet are the units that the packages of the crowd enable.
var quiet = []string{"keepalived.service", "openvpn.service", "docker.service", "docker.socket", "containerd.service", "nftables.service",
	"cloud-init.service", "cloud-init-local.service", "cloud-init-main.service", "cloud-init-network.service", "cloud-config.service", "cloud-final.service",
	"cloud-init-hotplugd.socket", "podman.service", "podman.socket", "podman-restart.service", "podman-auto-update.service", "podman-auto-update.timer",
	"podman-clean-transient.service"}

// hush keeps the crowd from starting.
func hush(root, name string) error {
	if strings.Contains(name, "-cloud-init") {
		return awaken(root, strings.HasSuffix(name, "-ifupdown"))
	}
	if !slices.Contains([]string{crowded[debian.Bookworm], crowded[debian.Trixie]}, name) {
		return nil
	}
	for _, unit := range quiet {
		if err := turn(root, "disable", unit); err != nil {
			return err
		}
	}
	return debian.Write(root+"/etc/cloud/cloud-init.disabled", "", 0o644)
}

// turn enables or disables a unit of a root, if it is there.
func turn(root, what, unit string) error {
	if _, err := os.Stat(root + "/usr/lib/systemd/system/" + unit); err != nil {
		return nil // of another release
	}
	return debian.Run("systemctl", "--root="+root, what, "--quiet", unit)
}
