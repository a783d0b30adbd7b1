package main

import (
	"slices"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// cluster is what a network of Kubernetes' writes on a node, and who is reached through it: pods, and their devices.
type cluster struct {
	writes []string
	pods   map[string]string
}

// clusters are the networks that leave the cloud's interfaces to the host. A veth stands for a tunnel's device: to
// the routing they are the same.
var clusters = map[string]cluster{
	"kube-proxy, IPVS": {append(device("kube-ipvs0"), "addr add 10.96.0.1/32 dev kube-ipvs0", "addr add 10.96.0.10/32 dev kube-ipvs0"), nil},
	"flannel, VXLAN": {slices.Concat(device("flannel.1"), bridge("cni0", "10.244.0.1/24"), []string{
		"addr add 10.244.0.0/32 dev flannel.1", "route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink",
	}), map[string]string{"10.244.0.7": "cni0", "10.244.1.7": "flannel.1"}},
	"flannel, host-gw": {append(bridge("cni0", "10.244.0.1/24"), "route add 10.244.1.0/24 via 10.0.0.50 dev eth0"),
		map[string]string{"10.244.0.7": "cni0", "10.244.1.7": "eth0"}},
	"Calico, BGP": {append(device("cali0ab"), "route add blackhole 192.168.219.64/26 proto 80", "route add 192.168.219.65 dev cali0ab scope link",
		"route add 192.168.7.0/26 via 10.0.0.50 dev eth0 proto 80"), map[string]string{"192.168.219.65": "cali0ab", "192.168.7.1": "eth0"}},
	"Calico, IP in IP": {slices.Concat(device("cali0ab"), device("tunl0"), []string{
		"addr add 192.168.219.64/32 dev tunl0", "route add blackhole 192.168.219.64/26 proto 80", "route add 192.168.219.65 dev cali0ab scope link",
		"route add 192.168.7.0/26 via 10.0.0.50 dev tunl0 proto 80 onlink",
	}), map[string]string{"192.168.219.65": "cali0ab", "192.168.7.1": "tunl0"}},
	"Calico, WireGuard": {slices.Concat(device("cali0ab"), device("wg.cali"), []string{
		"addr add 192.168.219.64/32 dev wg.cali", "route add 192.168.219.65 dev cali0ab scope link",
		"route add 192.168.7.0/26 dev wg.cali scope link table 1", "route add throw 192.168.219.64/26 table 1",
		"rule add pref 99 not fwmark 0x200000/0x200000 lookup 1",
	}), map[string]string{"192.168.219.65": "cali0ab", "192.168.7.1": "wg.cali"}},
	"kube-router": {slices.Concat(device("tun-0a0032"), bridge("kube-bridge", "10.244.0.1/24"), []string{
		"route add 10.244.1.0/24 dev tun-0a0032 table 77", "route add 10.244.1.0/24 dev tun-0a0032 src 10.0.0.29",
		"rule add from 10.244.0.0/24 lookup 77", "rule add pref 32764 fwmark 0x32 lookup 78", "rule add pref 32765 lookup 79",
		"route add local default dev lo table 78",
	}), map[string]string{"10.244.0.7": "kube-bridge", "10.244.1.7": "tun-0a0032"}},
	"Cilium, VXLAN": {ciliumTunnel, map[string]string{"172.20.0.9": "cilium_host"}},
}

// device and bridge have no IPv6 addresses, which would come a while after them.
func device(name string) []string {
	peer := "p-" + name
	return slices.Concat([]string{"link add " + name + " type veth peer name " + peer}, up(peer), up(name))
}

func bridge(name, addr string) []string {
	return slices.Concat([]string{"link add " + name + " type bridge"}, up(name), []string{"addr add " + addr + " dev " + name})
}

func up(name string) []string {
	return []string{"link set " + name + " addrgenmode none", "link set " + name + " up"}
}

// Beside the networks of Kubernetes' that leave the cloud's interfaces alone, each interface answers for its addresses,
// the pods are reached from each of them as without ec2net, and nothing of the network's is touched.
func TestBesideKubernetes(t *testing.T) {
	t.Parallel()
	for name, tt := range clusters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			ips(t, c, tt.writes)
			before := world(t, c)
			for _, iface := range []string{"eth1", "eth0"} {
				ec2net(t, c, exitOK, "up", iface)
			}
			answers(t, c, lab.EIP1)
			answers(t, c, lab.EIP2)
			for pod, dev := range tt.pods {
				for _, src := range []string{"", " from 10.0.0.29", " from 10.0.2.37"} {
					if dev == "eth0" && src == " from 10.0.2.37" {
						continue // the cloud takes no packet of eth1's address from eth0
					}
					if way := ip(t, c, "route get "+pod+src); !strings.Contains(way, " dev "+dev+" ") {
						t.Errorf("to the pod %s%s by %s, not by %s", pod, src, way, dev)
					}
				}
			}
			during := world(t, c)
			for _, line := range lasting(before) {
				if !slices.Contains(lasting(during), line) && !strings.Contains(line, "eth") {
					t.Errorf("%s is gone", line)
				}
			}
			if out := ec2net(t, c, exitOK, "doctor"); strings.Contains(out, "warn") || strings.Contains(out, "fail") {
				t.Errorf("doctor:\n%s", out)
			}
			for _, iface := range []string{"eth1", "eth0"} {
				ec2net(t, c, exitOK, "down", iface)
			}
			unchanged(t, c, before, "up and down")
		})
	}
}
