//go:build system

package system

import "ec2net/test/system/debian"

// networkManager has a profile for each interface.
func networkManager() neighbour {
	profile := func(iface string) string {
		return "[connection]\nid=" + iface + "\ntype=ethernet\ninterface-name=" + iface + "\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=auto\n"
	}
	return neighbour{
		name: "NetworkManager", unmanaged: true, apart: true, second: []string{"ens6:manager"}, cure: func(b *bed) { b.run("systemctl", "restart", "ec2net-ifup@ens6") },
		files: map[string]string{
			"/etc/udev/rules.d/86-test.rules":                          `ENV{ID_NET_DRIVER}=="veth", ENV{NM_UNMANAGED}="0"` + "\n", // it leaves veths alone
			"/etc/NetworkManager/system-connections/eth0.nmconnection": profile("eth0"),
			"/etc/NetworkManager/system-connections/ens6.nmconnection": profile("ens6"),
			"/etc/network/interfaces":                                  "", // else it leaves what is named there alone
		},
		start: "systemctl start NetworkManager",
		acts:  []string{"nmcli device reapply ens6", "nmcli connection up ens6", "systemctl restart NetworkManager"},
		works: "nmcli -t -f DEVICE,STATE device | grep -q ^ens6:connected && nmcli -t -f DEVICE,STATE device | grep -q ^eth0:connected",
	}
}

// What cloud-init wrote for the two interfaces on EC2 (its converter was run by hand, see the versions), but that
// interfaces are matched by their name: netplan's macaddress means the permanent one, which a veth has not.
const (
	rendered12 = `network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      dhcp4-overrides: {route-metric: 100}
      addresses: [10.0.0.40/24]
    ens6:
      dhcp4: true
      dhcp4-overrides: {route-metric: 200}
      addresses: [10.0.2.101/24]
`
	rendered13 = rendered12 + `      routes:
      - {to: 0.0.0.0/0, via: 10.0.2.1, table: 101}
      - {to: 10.0.2.0/24, scope: link, table: 101}
      routing-policy:
      - {from: 10.0.2.37, table: 101}
      - {from: 10.0.2.101, table: 101}
`
)

// cloudInit12 is what cloud-init 22.4.2 renders, with netplan 0.106 and systemd-networkd 252.
func cloudInit12() neighbour { return netplan("cloud-init 22.4, netplan", debian.Bookworm, rendered12) }

// cloudInit13 is what cloud-init 25.1.4 renders, with netplan 1.1.2 and systemd-networkd 257: rules of its own, which
// have no priority.
func cloudInit13() neighbour { return netplan("cloud-init 25.1, netplan", debian.Trixie, rendered13) }

func netplan(name, suite, yaml string) neighbour {
	return neighbour{
		name: name, suite: suite, unmanaged: true, apart: true,
		files: map[string]string{"/etc/netplan/50-cloud-init.yaml": yaml},
		start: "chmod 600 /etc/netplan/50-cloud-init.yaml; netplan generate && systemctl daemon-reload && systemctl start systemd-networkd",
		acts:  []string{"netplan apply", "networkctl reconfigure ens6", "systemctl restart systemd-networkd"},
		works: "networkctl status ens6 | grep -q 'State: routable (configured)' && networkctl status eth0 | grep -q 'State: routable (configured)'",
	}
}
