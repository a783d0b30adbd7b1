package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// tunnels are the ways in which VPNs take all traffic into a tunnel, as commands of ip(8). Nobody is at its other end.
func tunnels() map[string]string {
	return map[string]string{
		"wg-quick": `-4 route add default dev tun0 table 51820; -6 route add default dev tun0 table 51820
			-4 rule add not fwmark 51820 table 51820; -6 rule add not fwmark 51820 table 51820
			-4 rule add table main suppress_prefixlength 0; -6 rule add table main suppress_prefixlength 0`,
		"def1": `route add 0.0.0.0/1 dev tun0; route add 128.0.0.0/1 dev tun0
			-6 route add ::/3 dev tun0; -6 route add 2000::/4 dev tun0; -6 route add 3000::/4 dev tun0; -6 route add fc00::/7 dev tun0`,
		"first default":  `route add default dev tun0 metric 1; -6 route add default dev tun0 metric 1`,
		"rule for all":   `rule add from all table 220 pref 220; -6 rule add from all table 220 pref 220; route add default dev tun0 table 220; -6 route add default dev tun0 table 220`,
		"only a default": `route del default; route add default dev tun0`, // IPv4's; the kernel takes what is left for on the link
	}
}

func bringTunnel(t *testing.T, c *lab.Cloud, commands string) {
	t.Helper()
	ip(t, c, "tuntap add dev tun0 mode tun")
	ip(t, c, "link set tun0 up")
	ip(t, c, "addr add 10.8.0.6/24 dev tun0")
	for _, line := range strings.FieldsFunc(commands, func(r rune) bool { return r == ';' || r == '\n' }) {
		ip(t, c, strings.TrimSpace(line))
	}
}

// TestMetadataBesideATunnel: the metadata is asked by an interface of the cloud, whatever the host's routing says, in
// both families, by an agent process and by commands, and nothing of the cloud's is asked through the tunnel.
func TestMetadataBesideATunnel(t *testing.T) {
	t.Parallel()
	for name, commands := range tunnels() {
		for _, endpoint := range []string{"", "http://[fd00:ec2::254]"} {
			if name == "only a default" && endpoint != "" {
				continue
			}
			t.Run(name+" "+endpoint, func(t *testing.T) {
				t.Parallel()
				c := cloud(t, lab.Config{RPFilter: 2, Interfaces: dualStack()})
				ready6(t, c)
				bringTunnel(t, c, commands)
				env := []string{}
				if endpoint != "" {
					env = append(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+endpoint)
				}
				keep(t, c, "eth0", env...)
				keep(t, c, "eth1", env...)
				if name == "wg-quick" || name == "def1" || name == "first default" {
					settled(t, c, []string{"eth0", "eth1"})
				}
				out, status := on(t, c, "env", append(env, "ec2net", "--cloud", "ec2", "doctor")...)
				switch name {
				case "rule for all": // which comes before all of ours
					if strings.Contains(out, "[metadata]") {
						t.Errorf("doctor blames the metadata, which answers:\n%s", out)
					}
					return
				case "only a default": // the primary has none any more
				case "wg-quick", "def1", "first default":
					if status != exitOK {
						t.Errorf("doctor: exit status %d\n%s", status, out)
					}
					answers(t, c, lab.EIP1)
				}
				answers(t, c, lab.EIP2)
			})
		}
	}
}

// ready6 waits for the primary's router advertisement, whose default route IPv6 is asked by.
func ready6(t *testing.T, c *lab.Cloud) {
	t.Helper()
	eventually(t, hang, "the router of IPv6", func() bool { return strings.Contains(ip(t, c, "-6 route show default"), "eth0") })
}

func dualStack() []lab.Interface {
	eth0, eth1 := lab.Eth0(), lab.Eth1()
	eth0.Addrs6 = []netip.Addr{addr("2001:db8:ec2:0::29")}
	eth1.Addrs6 = []netip.Addr{addr("2001:db8:ec2:2::37")}
	return []lab.Interface{eth0, eth1}
}

// On Azure only the primary is answered, which is known by the routes of its lease.
func TestAzureMetadataBesideATunnel(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Cloud: lab.Azure, RPFilter: 2})
	bringTunnel(t, c, "rule add from all table 220 pref 220; route add default dev tun0 table 220")
	for _, iface := range []string{"eth1", "eth2", "eth3"} {
		keep(t, c, iface)
	}
	if out, _ := on(t, c, "ec2net", "--cloud", "azure", "doctor"); strings.Contains(out, "[metadata]") {
		t.Errorf("doctor blames the metadata, which answers:\n%s", out)
	}
}
