//go:build system

package system

import (
	"net/netip"

	"ec2net/test/lab"
)

// neighbours are the programs that hosts have beside ec2net.
func neighbours() []neighbour {
	return append(rules(), exitNode(), keepalived(), docker(), podman(), openvpn(), wireGuard(), wireGuardOff(), networkManager(), cloudInit12(), cloudInit13())
}

// rules are what programs that Debian does not have, or that need more than a machine, put into the kernel.
func rules() []neighbour {
	return []neighbour{
		{
			// Without an exit node there is nothing but the other nodes in its table.
			name: "Tailscale's rules",
			start: `ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main; ip rule add pref 5230 fwmark 0x80000/0xff0000 lookup default
				ip rule add pref 5250 fwmark 0x80000/0xff0000 unreachable; ip rule add pref 5270 lookup 52; ip route add 100.100.0.0/16 dev lo table 52`,
			stop:  `for p in 5210 5230 5250 5270; do ip rule del pref $p; done; ip route flush table 52`,
			works: `ip rule | grep -q ^5270:`,
		},
		{
			// A tunnel to a site: its table has the site's subnet.
			name:  "strongSwan's rule",
			start: `ip rule add pref 220 lookup 220; ip route add 192.168.50.0/24 dev lo table 220`,
			stop:  `ip rule del pref 220; ip route flush table 220`,
			works: `ip rule | grep -q ^220:`,
		},
	}
}

// exitNode is Tailscale with an exit node: its table has a default route, and its rules can not be moved.
func exitNode() neighbour {
	n := rules()[0]
	n.name, n.config, n.apart = "Tailscale's rules, exit node", "priority = 1000\n", true
	n.start = "ip tuntap add tailscale0 mode tun; ip link set tailscale0 up; ip addr add 100.64.7.7/32 dev tailscale0; ip route add default dev tailscale0 table 52\n" + n.start
	n.stop += "; ip link del tailscale0"
	n.causes = []string{"metadata-route"}
	return n
}

// keepalived has addresses that the cloud grants as its virtual ones, and a rule of its own.
func keepalived() neighbour {
	return neighbour{
		name: "keepalived",
		files: map[string]string{"/etc/keepalived/keepalived.conf": `global_defs {
	router_id test
}
vrrp_instance eth0 {
	state MASTER
	interface eth0
	virtual_router_id 50
	priority 100
	advert_int 1
	virtual_ipaddress {
		10.0.0.40/32 dev eth0
	}
	virtual_rules {
		from 10.0.0.40 to 192.168.77.0/24 lookup 177
	}
	virtual_routes {
		192.168.77.0/24 via 10.0.0.1 dev eth0 table 177
	}
}
vrrp_instance ens6 {
	state MASTER
	interface ens6
	virtual_router_id 51
	priority 100
	advert_int 1
	virtual_ipaddress {
		10.0.2.101/32 dev ens6
	}
}
`},
		start: "systemctl start keepalived",
		stop:  "systemctl stop keepalived",
		acts:  []string{"systemctl reload keepalived", "systemctl restart keepalived"},
		works: "ip rule | grep -q 'from 10.0.0.40 to 192.168.77.0/24'",
	}
}

// docker publishes a port, which is asked at every address.
func docker() neighbour {
	return neighbour{
		name:   "Docker",
		files:  map[string]string{"/etc/docker/daemon.json": `{"storage-driver": "vfs"}` + "\n"},
		config: "replies = \"by-interface\"\n",
		world: func(b *bed) {
			b.sh(`systemctl start docker && mkdir -p /tmp/image/bin /tmp/image/www && cp /bin/busybox /tmp/image/bin/ && echo published >/tmp/image/www/index.html &&
				tar -C /tmp/image -c . | docker import - web && docker create --name web --restart always -p 8080:80 web /bin/busybox httpd -f -p 80 -h /www &&
				systemctl stop docker.service docker.socket`)
		},
		start: "systemctl start docker && docker start web",
		stop:  "docker stop web && systemctl stop docker.service docker.socket",
		acts:  []string{"systemctl reload docker", "systemctl restart docker"},
		works: "docker ps | grep -q 0.0.0.0:8080",
		check: func(b *bed) { b.published("8080") },
	}
}

// openvpn sends what the host begins through a tunnel.
func openvpn() neighbour {
	const common = "dev tun0\nproto udp\nsecret /etc/openvpn/static.key\ncipher AES-256-CBC\nauth SHA256\n"
	return neighbour{
		name: "OpenVPN, redirect-gateway def1",
		files: map[string]string{
			"/etc/openvpn/static.key":      staticKey(),
			"/etc/openvpn/outside.conf":    common + "ifconfig 10.8.0.1 10.8.0.2\n",
			"/etc/openvpn/client/vpn.conf": common + "ifconfig 10.8.0.2 10.8.0.1\nnobind\nremote " + lab.ClientIP.String() + "\nredirect-gateway def1\nroute 169.254.169.254 255.255.255.255 net_gateway\n",
		},
		world: func(b *bed) { b.begin(b.outside(b.cloud.Client(), "openvpn", "--config", "/etc/openvpn/outside.conf")) },
		start: "systemctl start openvpn-client@vpn",
		stop:  "systemctl stop openvpn-client@vpn",
		acts:  []string{"systemctl restart openvpn-client@vpn"},
		works: "ip route get 192.0.2.77 | grep -q 'dev tun0'",
		check: func(b *bed) { b.tunnelled(netip.MustParseAddr("10.8.0.1")) },
	}
}
