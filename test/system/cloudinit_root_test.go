//go:build system

package system

import (
	"os"
	"slices"
	"strings"

	"ec2net/test/lab"
	"ec2net/test/system/debian"
)

// clouded are the releases with cloud-init switched on.
var clouded = map[string]string{debian.Bookworm: debian.Bookworm + "-cloud-init", debian.Trixie: debian.Trixie + "-cloud-init", debian.Forky: debian.Forky + "-cloud-init"}

// cloudedRoots makes the roots, or finds them: the crowd's, where there is one.
func cloudedRoots() error {
	for suite, name := range clouded {
		if !slices.Contains(suites, suite) {
			continue
		}
		more := []string{"cloud-init", "netplan.io", "nftables"}
		if crowded[suite] != "" {
			more = crowd(suite)
		}
		root, err := debian.Root(suite, more...)
		if err != nil {
			return err
		}
		os.Setenv(rootEnv+name, root)
		os.Setenv(rootEnv+name+"-ifupdown", root)
	}
	return nil
}

// awaken leaves of the crowd cloud-init alone to start, and what it renders for: ifupdown, or systemd-networkd, as
// Debian's images for EC2 have it.
func awaken(root string, ifupdown bool) error {
	for _, unit := range quiet {
		if strings.HasPrefix(unit, "cloud-") {
			continue
		}
		if err := turn(root, "disable", unit); err != nil {
			return err
		}
	}
	if ifupdown {
		return turn(root, "enable", "networking.service")
	}
	for _, tool := range []string{"ifup", "ifdown", "ifquery"} { // with them, cloud-init prefers ifupdown
		if err := os.Remove(root + "/usr/sbin/" + tool); err != nil {
			return err
		}
	}
	return turn(root, "enable", "systemd-networkd.service")
}

// amazonHardware is what a program finds that asks for the hardware: an instance of EC2's.
func amazonHardware() map[string]string {
	return map[string]string{
		"/usr/local/bin/systemd-detect-virt": "#!/bin/sh\ncase \"$*\" in *--container*) exit 1;; esac\necho amazon\n",
		"/usr/local/sbin/dmidecode": `#!/bin/sh
case $2 in
system-uuid | system-serial-number) echo ec2ec2ec-2ec2-ec2e-c2ec-2ec2ec2ec2ec ;;
system-manufacturer | chassis-asset-tag) echo "Amazon EC2" ;;
system-product-name) echo c5n.large ;;
esac
`,
		// cloud-init's udev rule knows the drivers of EC2's interfaces alone.
		"/etc/udev/rules.d/89-test.rules": `SUBSYSTEM=="net", ENV{ID_NET_DRIVER}=="veth", ENV{EC2NET_MANAGE}="1", ENV{ID_NET_DRIVER}="ena"` + "\n",
	}
}

// cloudConfig has cloud-init do what concerns the network, and nothing else: it shares the kernel with the machine that
// the test runs on. Its hook is on by default from 24.1 on. There is no DNS server, for which it would wait.
func cloudConfig(suite string) map[string]string {
	files := map[string]string{
		"/etc/cloud/cloud.cfg.d/90-test.cfg": "datasource_list: [ Ec2 ]\ncloud_init_modules: []\ncloud_config_modules: []\n" +
			"cloud_final_modules: [ install_hotplug, final_message ]\n",
		"/etc/resolv.conf": "",
	}
	if suite == debian.Bookworm {
		files["/etc/cloud/cloud.cfg.d/91-test.cfg"] = "updates: {network: {when: [ boot, hotplug ]}}\n"
	}
	return files
}

// permanent has netplan's files match a veth, whose address is never a permanent one.
func permanent(name string, c lab.Interface) map[string]string {
	match := "[Match]\nPermanentMACAddress=\nMACAddress=" + c.MAC.String() + "\n"
	return map[string]string{"/etc/systemd/network/10-netplan-" + name + ".network.d/test.conf": match}
}
