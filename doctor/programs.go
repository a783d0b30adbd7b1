package doctor

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"ec2net/dhcp"
)

// known is how a program that also sets up interfaces is recognised: by files that are there only while it is
// switched on.
type known struct {
	name, does, cure string
	files            []string // patterns of fs.Glob
	says             string   // what the file has to say; empty: anything
}

// hotplugEnabled is what `cloud-init devel hotplug-hook enable` (24.1 and later) writes. It switches the hook on
// whatever the configuration says (cloudinit/stages.py, update_event_enabled).
const hotplugEnabled = "var/lib/cloud/hotplug.enabled"

// hotplugCure is what ends cloud-init's hotplug hook. On EC2 it is on by default from 24.1 on, so that there is nothing to
// take out: the events have to be listed without it. Its udev rule outlives that, and reboots too, since the module that
// writes and removes it runs once for each instance.
func hotplugCure(root fs.FS) string {
	remove := ""
	if _, err := fs.Stat(root, hotplugEnabled); err == nil {
		remove = "rm /" + hotplugEnabled + "; "
	}
	return "write updates: {network: {when: [boot-new-instance]}} into /etc/cloud/cloud.cfg.d/99-hotplug.cfg, then: " +
		remove + "cloud-init single --name install_hotplug --frequency always"
}

func rivals(root fs.FS) []known {
	return []known{
		{
			"cloud-init", "also configures interfaces when they are plugged in (hotplug)",
			hotplugCure(root),
			[]string{"etc/udev/rules.d/*cloud-init-hook-hotplug.rules", "usr/lib/udev/rules.d/*cloud-init-hook-hotplug.rules"}, "",
		},
		{
			"amazon-ec2-net-utils", "writes rules and routes for the same interfaces",
			"remove the package amazon-ec2-net-utils",
			[]string{"usr/lib/udev/rules.d/*vpc-policy-routes.rules", "lib/udev/rules.d/*vpc-policy-routes.rules", "etc/sysconfig/network-scripts/ec2net-functions"}, "",
		},
		{
			"the VPC CNI plugin", "sets up secondary interfaces for containers",
			"exclude its interfaces: manage = false in a [[interface]] section of ec2net.toml",
			[]string{"etc/cni/net.d/*.conflist", "etc/cni/net.d/*.conf"}, "aws-cni",
		},
		{
			"nm-cloud-setup", "writes rules and addresses for the same interfaces",
			"systemctl disable --now nm-cloud-setup.timer nm-cloud-setup.service",
			[]string{"etc/systemd/system/*/nm-cloud-setup.timer", "etc/systemd/system/*/nm-cloud-setup.service"}, "",
		},
	}
}

// FindPrograms looks for other programs that set up interfaces of a cloud. root is os.DirFS("/") but in tests.
func FindPrograms(root fs.FS) (out []Program) {
	for _, k := range rivals(root) {
		for _, pattern := range k.files {
			if file, ok := k.find(root, pattern); ok {
				out = append(out, Program{Name: k.name, Why: "/" + file + " is there", Does: k.does, Cure: k.cure})
				break
			}
		}
	}
	return out
}

func (k known) find(root fs.FS, pattern string) (string, bool) {
	files, _ := fs.Glob(root, pattern)
	for _, f := range files {
		b, err := fs.ReadFile(root, f)
		if k.says == "" || (err == nil && strings.Contains(string(b), k.says)) {
			return f, true
		}
	}
	return "", false
}

// ReadNetworkd tells whether systemd-networkd runs here, and what it does to the rules and routes of others
// (networkd.conf(5)). root is os.DirFS("/") but in tests.
func ReadNetworkd(root fs.FS, programs dhcp.Programs) Networkd {
	n := Networkd{Running: programs.Running("systemd-networkd"), DropsRules: true, DropsRoutes: true}
	for _, f := range configFiles(root, "networkd.conf") {
		b, err := fs.ReadFile(root, f)
		if err == nil {
			n.read(string(b))
		}
	}
	if _, err := fs.Stat(root, imdsNetwork); err == nil {
		n.IMDS = "/" + imdsNetwork
	}
	return n
}

// imdsNetwork is what `systemd-imdsd --setup-network` writes at boot.
const imdsNetwork = "run/systemd/network/85-imds-early.network"

func (n *Networkd) read(text string) {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case !ok || section != "[Network]":
		case strings.TrimSpace(key) == "ManageForeignRoutingPolicyRules":
			n.DropsRules = isYes(value)
		case strings.TrimSpace(key) == "ManageForeignRoutes":
			n.DropsRoutes = isYes(value)
		}
	}
}

// isYes reads a boolean of systemd's; what it does not understand leaves the default, which is yes.
func isYes(s string) bool {
	return !slices.Contains([]string{"no", "n", "false", "f", "off", "0"}, strings.ToLower(strings.TrimSpace(s)))
}

// configFiles are a configuration file of systemd's and its drop-ins, in the order that they are read: the
// first main file that is there, then drop-ins by their name; of equal names the first folder counts.
func configFiles(root fs.FS, name string) (out []string) {
	dirs := []string{"etc/systemd/", "run/systemd/", "usr/local/lib/systemd/", "usr/lib/systemd/", "lib/systemd/"}
	dropIns := map[string]string{}
	for _, d := range dirs {
		if _, err := fs.Stat(root, d+name); err == nil && len(out) == 0 {
			out = append(out, d+name)
		}
		files, _ := fs.Glob(root, d+name+".d/*.conf")
		for _, f := range files {
			if _, there := dropIns[path.Base(f)]; !there {
				dropIns[path.Base(f)] = f
			}
		}
	}
	names := make([]string, 0, len(dropIns))
	for n := range dropIns {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		out = append(out, dropIns[n])
	}
	return out
}
