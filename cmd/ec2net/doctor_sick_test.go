package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// upAgain is a cure that sets eth1 up once more.
const upAgain = "ec2net --cloud ec2 up eth1"

// Each world has one thing wrong with it, on the real kernel. The doctor names that, and only that.
func TestDoctorSick(t *testing.T) {
	t.Parallel()
	for _, p := range [][]patient{sickRules(), sickFront(), sickAuthors(), sickMarks(), sickNAT(), sickLinks(), sickOthers(), sickCloud(), sickLife()} {
		for _, p := range p {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.run(t)
			})
		}
	}
}

func sickRules() []patient {
	leaves := []string{"leave"}
	strict := lab.Config{RPFilter: 1}
	return []patient{
		{name: "source rule missing", breaks: []string{"ip rule del pref 20001"}, want: "fail source-rule eth1", because: leaves,
			says: "answers from 10.0.2.37 to hosts outside of 10.0.2.0/24 do not leave by it", cure: []string{upAgain}},
		{name: "source rule missing, strict", cfg: strict, breaks: []string{"ip rule del pref 20001"}, want: "fail source-rule eth1",
			because: []string{"leave", "enter"}, cure: []string{upAgain}},
		{name: "one of four rules missing", cfg: secondaries(), breaks: []string{"ip rule del from 10.0.2.41 pref 20001"},
			want: "fail source-rule eth1", because: leaves, says: "+ rule from 10.0.2.41 lookup 10001", cure: []string{upAgain}},
		{name: "guard missing", breaks: []string{"ip rule del pref 10001"}, want: "fail guard eth1", cure: []string{upAgain}},
		{name: "rule in front", cfg: strict, breaks: []string{"ip rule add pref 100 from 10.0.2.0/24 lookup main"},
			want: "fail rule-in-front eth1", because: []string{"leave", "enter"}, says: "100: from 10.0.2.0/24 lookup main", cure: []string{"ip rule del pref 100"}},
		{name: "rule that prohibits", breaks: []string{"ip rule add pref 100 from 10.0.2.37 prohibit"}, want: "fail rule-in-front eth1",
			because: leaves, cure: []string{"ip rule del pref 100"}},
		{name: "rule at the same preference", breaks: []string{"ip rule add pref 10001 from 10.0.2.37 lookup main"},
			want: "fail rule-collision eth1", because: leaves, cure: []string{"ip rule del pref 10001 from 10.0.2.37 lookup main"}},
		{name: "harmless rule at the same preference", breaks: []string{"ip rule add pref 20001 from 192.0.2.9 lookup main"},
			want: "warn rule-collision eth1", cure: []string{"ip rule del pref 20001 from 192.0.2.9"}},
		{name: "table flushed", cfg: strict, breaks: []string{"ip route flush table 10001"}, want: "fail table eth1",
			because: []string{"leave", "enter"}, cure: []string{upAgain}},
		{name: "table collision", breaks: []string{"ip route replace default via 10.0.0.1 dev eth0 table 10001"},
			want: "fail table-collision eth1", because: leaves, cure: []string{"ip route del default via 10.0.0.1 dev eth0 table 10001", upAgain}},
		{name: "harmless route in the table", breaks: []string{"ip route add 192.0.2.128/25 dev eth1 table 10001"},
			want: "warn table-collision eth1", cure: []string{"ip route del 192.0.2.128/25 dev eth1 table 10001"}},
		{name: "main's default by the second", breaks: []string{"ip route add default via 10.0.2.1 dev eth1 metric 50"},
			want: "fail main-default eth1", says: "not by the primary interface eth0", cure: []string{"ip route del default via 10.0.2.1 dev eth1 metric 50"}},
		{name: "rp_filter", cfg: strict, ifaces: "-", conf: "[[interface]]\nname = \"eth1\"\nmanage = \"link-up\"\n",
			breaks: []string{"ip link set eth1 up", "ip addr add 10.0.2.37/32 dev eth1", "ip route add default via 10.0.2.1 dev eth1 onlink table 80",
				"ip rule add pref 500 uidrange 1-65535 from 10.0.2.37 lookup 80"}, // the reverse look-up is user 0's
			want: "fail rp_filter eth1", says: "sysctl -w net.ipv4.conf.eth1.rp_filter=2", cure: []string{"sysctl -qw net.ipv4.conf.eth1.rp_filter=2"}},
		{name: "rp_filter and marks", cfg: strict, ifaces: "-", conf: "[[interface]]\nname = \"eth1\"\nmanage = \"link-up\"\n",
			breaks: []string{"ip link set eth1 up", "ip addr add 10.0.2.37/32 dev eth1", "ip route add default via 10.0.2.1 dev eth1 onlink table 80",
				"ip rule add pref 500 fwmark 0x80/0x80 lookup 80"},
			want: "fail rp_filter eth1", says: "sysctl -w net.ipv4.conf.eth1.src_valid_mark=1"},
	}
}

// bridged is a bridge of the host with a container behind it; blog is the recipe that is found everywhere.
const (
	bridged = "ip link add docker0 type bridge; ip link set docker0 up; ip addr add 172.17.0.1/16 dev docker0"
	blog    = "ip link set eth1 up; ip route add default via 10.0.2.1 dev eth1 onlink table 100; ip rule add from 10.0.2.37 table 100"
)

// Rules without a preference come before all others.
func sickFront() []patient {
	tunnel := "mkdir -p /etc/wireguard; : > /etc/wireguard/wg0.conf; ip link add wg0 type veth peer name wg1; ip link set wg1 up; ip link set wg0 up; ip addr add 10.8.0.2/32 dev wg0; ip route add 169.254.169.254 via 10.0.0.1 dev eth0; ec2net --cloud ec2 up eth0; " +
		"ip route add default dev wg0 table 51820; ip rule add not fwmark 51820 table 51820; ip rule add table main suppress_prefixlength 0"
	exit := "ip link add tailscale0 type veth peer name ts1; ip link set ts1 up; ip link set tailscale0 up; ip addr add 100.64.7.7/32 dev tailscale0; ip route add default dev tailscale0 table 52; ip route add throw 169.254.169.254 table 52; " +
		"ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main; ip rule add pref 5250 fwmark 0x80000/0xff0000 unreachable; ip rule add pref 5270 lookup 52"
	return []patient{
		{name: "Tailscale's exit node", breaks: []string{exit}, want: "fail rule-in-front eth0, fail rule-in-front eth1", because: []string{"leave"},
			says: "set priority = 1000 at the top of ec2net.toml"},
		{name: "the blog's rule", breaks: []string{bridged, blog}, want: "warn rule-in-front eth1",
			says: "9999: from 10.0.2.37 lookup 100, written by ip by hand, a script, or a program (no protocol); from 10.0.2.37 to 172.17.0.2 via 10.0.2.1 dev eth1, not dev docker0", told: true},
		{name: "the blog's rule, without a bridge", breaks: []string{blog}},
		{name: "the blog's rule for IPv6", cfg: dualSecond(), breaks: []string{"ip link add docker0 type bridge; ip link set docker0 up; ip addr add fd00:17::1/64 dev docker0 nodad",
			"ip -6 route add default via fe80::1 dev eth1 table 100; ip -6 rule add from 2001:db8:ec2:2::37 table 100"}, want: "warn rule-in-front eth1",
			says: "ip -6 rule add pref 32000 from 2001:db8:ec2:2::37 lookup 100", told: true},
		{name: "a static route", breaks: []string{"ip route add 198.18.0.0/15 via 10.0.2.254 dev eth1", upAgain, blog}, want: "warn rule-in-front eth1",
			says: "via 10.0.2.1 dev eth1, not via 10.0.2.254 dev eth1", told: true},
		{name: "a tunnel for all, restarted", breaks: []string{tunnel}, want: "fail rule-in-front eth0, fail rule-in-front eth1", because: []string{"leave"},
			says: "not from all fwmark 0xca6c lookup 51820", harm: frontExplained, told: true},
	}
}

// frontExplained wants explain to name the rule that decides, and not to promise an answer out of the tunnel.
func frontExplained(t *testing.T, c *lab.Cloud) {
	t.Helper()
	says(t, strings.Join(strings.Fields(ec2net(t, c, exitDifferences, "explain", "10.0.2.37", "198.51.100.146")), " "),
		"the rule 9999 of wg-quick, /etc/wireguard/wg0.conf comes before ec2net's own; without it, the packet leaves via 10.0.2.1 dev eth1",
		"no answer comes back through wg0")
}

// dualSecond has both families on eth1.
func dualSecond() lab.Config {
	return lab.Config{Interfaces: []lab.Interface{lab.Eth0(), {Name: "eth1", Subnet: "subnet-c", Addrs4: []netip.Addr{addr("10.0.2.37")},
		Addrs6: []netip.Addr{addr("2001:db8:ec2:2::37")}}}}
}

func sickMarks() []patient {
	broken := func(name, command, want string, because ...string) patient {
		return patient{
			name: name, cfg: lab.Config{RPFilter: 1}, ifaces: "-", want: want, because: because, cure: []string{upAgain},
			harm: func(t *testing.T, c *lab.Cloud) { byInterface(t, c); shell(t, c.Instance(), command) },
		}
	}
	return []patient{
		broken("nftables table missing", "nft delete table inet ec2net-10001", "fail packets eth1"),
		broken("nftables table altered", "nft flush chain inet ec2net-10001 prerouting", "fail packets eth1"),
		broken("rule for marks missing", "ip rule del $(ip rule | sed -n 's/^[0-9]*:\t\\(from all fwmark [^ ]* lookup 10001\\).*/\\1/p')", "fail mark-rule eth1"),
		broken("marks do not count", "sysctl -qw net.ipv4.conf.eth1.src_valid_mark=0", "fail src-valid-mark eth1"),
		broken("source rule missing, beside marks", "ip rule del from 10.0.2.37 pref 20001", "fail source-rule eth1", "leave", "enter"),
	}
}

func sickNAT() []patient {
	broken := func(name, command, want, cure string, because ...string) patient {
		return patient{
			name: name, cfg: wide(), ifaces: "-", want: want, because: because, cure: []string{cure},
			harm: func(t *testing.T, c *lab.Cloud) { natted(t, c); shell(t, c.Instance(), command) },
		}
	}
	return []patient{
		broken("forwarding off", "sysctl -qw net.ipv4.conf.eth1.forwarding=0", "fail forwarding eth1", upAgain),
		broken("NAT rule missing", "ip rule del pref 30020", "fail nat-rule eth1", upAgain, "forwarding"),
		broken("NAT table missing", "nft delete table inet ec2net-10001", "fail packets eth1", upAgain),
		saying(broken("Docker's iptables backend", dropping+"; nft add chain ip filter DOCKER-USER; nft insert rule ip filter FORWARD jump DOCKER-USER",
			"fail forward", "nft delete table ip filter"), "iptables -I DOCKER-USER -i eth0 -o eth1 -j ACCEPT; iptables -I DOCKER-USER -i eth1 -o eth0 -j ACCEPT"),
		toldSo(broken("another firewall that drops", dropping, "fail forward", ""), "nft insert rule ip filter FORWARD iifname eth0 oifname eth1 accept"),
		toldSo(broken("a firewall of which not all is understood", dropping+"; nft add rule ip filter FORWARD ct state established accept; nft add rule ip filter FORWARD tcp dport 443 accept", "warn forward", ""),
			"drops some of the traffic that [nat] forwards, or may drop it"),
		toldSo(broken("a firewall that answers only", dropping+"; nft add rule ip filter FORWARD ct state established,related accept", "fail forward", ""), "policy drop"),
		toldSo(broken("a firewall that refuses by its last rule", refusing, "fail forward", ""), "chain inet firewalld filter_FORWARD: by its rules"),
		broken("a firewall that lets [nat] through", dropping+"; nft add chain ip filter through; nft add rule ip filter through iifname eth0 oifname 'eth*' counter accept; "+
			"nft add rule ip filter FORWARD ct state established accept; nft add rule ip filter FORWARD iifname != eth9 jump through", "", "true"),
		broken("Docker's nftables backend", "nft add table ip docker-bridges; nft add chain ip docker-bridges filter-FORWARD "+
			"'{ type filter hook forward priority 0; policy accept; }'; nft add rule ip docker-bridges filter-FORWARD oifname docker0 drop", "", "true"),
		{name: "NAT of what cannot be", ifaces: "-", harm: byNobody, want: "warn nat", says: "there is no network interface eth9 here"},
	}
}

// refusing is a firewall as firewalld's: its policy accepts, and its last rule refuses the rest.
const refusing = "nft add table inet firewalld; nft add chain inet firewalld filter_FORWARD '{ type filter hook forward priority 10; policy accept; }'; " +
	"nft add rule inet firewalld filter_FORWARD ct state established,related accept; nft add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited"

// toldSo is a patient who is cured by what the report tells to type.
func toldSo(p patient, says string) patient {
	p.says, p.cure, p.told = says, nil, true
	return p
}

// dropping is a firewall that drops what is passed on.
const dropping = "nft add table ip filter; nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'"

// saying is a patient of whom the report says something.
func saying(p patient, says string) patient {
	p.says = says
	return p
}

// byNobody is a NAT gateway without an outside.
func byNobody(t *testing.T, c *lab.Cloud) {
	t.Helper()
	ec2net(t, c, exitOK, "up", "eth1")
	ec2net(t, c, exitOK, "up", "eth0")
	configure(t, c, "[nat]\nfrom = [\"10.0.3.0/24\"]\nin = \"eth0\"\nout = \"eth9\"\n")
}

func sickLinks() []patient {
	six := lab.Config{Interfaces: []lab.Interface{lab.Eth0(), {Name: "eth1", Subnet: "subnet-c", Addrs4: []netip.Addr{addr("10.0.2.37")},
		Addrs6: []netip.Addr{addr("2001:db8:ec2:2::37")}}}}
	return []patient{
		{name: "link down", breaks: []string{"ip link set eth1 down"}, want: "fail link eth1", because: []string{"table", "leave"}, cure: []string{upAgain}},
		{name: "the primary's link down", breaks: []string{"ip link set eth0 down"}, want: "fail link eth0", because: []string{"main-default", "leave"}},
		{name: "no carrier", harm: unplugged, want: "fail carrier eth1"},
		{name: "MTU", breaks: []string{"ip link set eth1 mtu 1500"}, want: "fail mtu eth1", says: "its MTU is 1500", cure: []string{upAgain}},
		{name: "group cleared", breaks: []string{"ip link set eth0 group default"}, want: "fail group eth0", because: []string{"leave"}, cure: []string{upAgain}},
		{name: "altname missing", breaks: []string{"ip link property del dev eth1 altname device-number-1"}, want: "warn altname eth1", cure: []string{upAgain}},
		{name: "secondary address missing", cfg: secondaries(), breaks: []string{"ip addr del 10.0.2.41/32 dev eth1"}, want: "fail address eth1",
			because: []string{"leave"}, says: "+ addr 10.0.2.41/32 dev eth1", cure: []string{upAgain}},
		{name: "address that is not granted", breaks: []string{"ip addr add 10.0.2.99/32 dev eth1"}, want: "warn extra-address eth1", says: "10.0.2.99",
			cure: []string{"ip addr del 10.0.2.99/32 dev eth1"}},
		{name: "an address that moved to another interface", ifaces: "eth1 eth2 eth0", cfg: lab.Config{Interfaces: []lab.Interface{lab.Eth0(), lab.Eth1(),
			{Name: "eth2", Subnet: "subnet-c", Addrs4: []netip.Addr{addr("10.0.2.38"), addr("10.0.2.101")}}}},
			breaks: []string{"ip addr add 10.0.2.101/24 dev eth1", "ec2net explain 10.0.2.101 198.51.100.146"}, want: "warn moved-address eth1",
			says: "it still has 10.0.2.101, which the cloud has moved to eth2", told: true},
		{name: "the function behind the interface", breaks: []string{"ip link add vf1 address $(cat /sys/class/net/eth1/address) type veth peer name vf2",
			"ip link set vf1 up", "ip addr add 10.0.2.37/24 dev vf1 noprefixroute"}, want: "fail vf eth1", says: "ip addr flush dev vf1",
			cure: []string{"ip addr flush dev vf1"}},
		{name: "no ARP", breaks: []string{"sysctl -qw net.ipv4.conf.eth1.arp_ignore=8"}, want: "fail arp eth1", cure: []string{"sysctl -qw net.ipv4.conf.eth1.arp_ignore=0"}},
		{name: "ARP of the primary address only", cfg: secondaries(), breaks: []string{"sysctl -qw net.ipv4.conf.eth1.arp_ignore=2"}, want: "fail arp eth1",
			cure: []string{"sysctl -qw net.ipv4.conf.eth1.arp_ignore=1"}},
		{name: "IPv6 switched off", cfg: six, breaks: []string{"sysctl -qw net.ipv6.conf.eth1.disable_ipv6=1"}, want: "fail ipv6 eth1", because: []string{"leave"},
			cure: []string{"sysctl -qw net.ipv6.conf.eth1.disable_ipv6=0", upAgain}},
	}
}

func sickOthers() []patient {
	return []patient{
		{name: "networkd that was not told", breaks: []string{networkdRuns, untold}, want: "warn networkd", says: "ManageForeignRoutingPolicyRules=no"},
		{name: "networkd restarted", breaks: []string{networkdRuns, untold, "ip rule del pref 20001", "ip rule del pref 10001", "ip route flush table 10001"},
			want: "fail networkd", because: []string{"source-rule", "guard", "table", "leave"}},
		{name: "another manager's default", harm: func(t *testing.T, c *lab.Cloud) { startDhclient(t, c, 10) },
			want: "fail manager eth1", because: []string{"main-default"}, says: "dhclient and ec2net both configure it"},
		{name: "NetworkManager", breaks: []string{"bash -c 'exec -a /usr/sbin/NetworkManager sleep 600' >/dev/null 2>&1 &",
			"mkdir -p /run/NetworkManager/devices; echo connection-uuid=7 > /run/NetworkManager/devices/$(cat /sys/class/net/eth1/ifindex)"},
			want: "warn manager eth1", says: "NetworkManager and ec2net both configure it"},
		{name: "cloud-init hotplug", breaks: []string{file("/etc/udev/rules.d/10-cloud-init-hook-hotplug.rules", "x")}, want: "warn program", says: "cloud-init also configures interfaces"},
		{name: "amazon-ec2-net-utils", breaks: []string{file("/etc/sysconfig/network-scripts/ec2net-functions", "x")}, want: "warn program"},
		{name: "a CNI", breaks: []string{file("/etc/cni/net.d/10-aws.conflist", `{"plugins":[{"type":"aws-cni"}]}`)}, want: "warn program", says: "manage = false"},
		{name: "configuration", conf: "manage = maybe\n", want: "fail config", says: "ec2net.toml:1:"},
	}
}

func sickCloud() []patient {
	dead := "ip link add docker0 type bridge; ip link set docker0 up; ip route add 169.254.169.254/32 dev docker0"
	return []patient{
		{name: "metadata silent", harm: func(_ *testing.T, c *lab.Cloud) { c.IMDS().Silence() }, want: "fail metadata"},
		{name: "metadata refused", harm: func(_ *testing.T, c *lab.Cloud) { c.IMDS().Refuse() }, want: "fail metadata"},
		{name: "metadata switched off", harm: func(t *testing.T, c *lab.Cloud) { spoil(t, c, lab.Fault{Status: 403}) }, want: "fail metadata", says: "switched off"},
		{name: "metadata silent, and the way to it leads by an interface that ec2net never saw", ifaces: "-", harm: func(_ *testing.T, c *lab.Cloud) { c.IMDS().Silence() }, want: "fail metadata"},
		{name: "a key that cannot be asked for", harm: func(t *testing.T, c *lab.Cloud) {
			spoil(t, c, lab.Fault{Interface: "eth1", Path: "local-ipv4s", Status: 503})
		}, want: "warn values eth1"},
		{name: "an interface that is not published yet", ifaces: "eth0", harm: func(t *testing.T, c *lab.Cloud) {
			spoil(t, c, lab.Fault{Interface: "eth1", Path: "device-number", Absent: true})
		}, want: "fail set-up eth1", because: []string{"link"}, says: "do: once it is published: ec2net up eth1"},
		{name: "metadata by the wrong interface", breaks: []string{dead}, want: "warn metadata-route", says: "169.254.169.254 dev docker0",
			cure: []string{"ip route del 169.254.169.254/32"}},
		{name: "metadata in a black hole", breaks: []string{"ip route add blackhole 169.254.169.254"}, want: "fail metadata-route", because: []string{"metadata"},
			cure: []string{"ip route del blackhole 169.254.169.254"}},
		{name: "Azure's metadata by a secondary interface", cfg: azureMachine(2),
			breaks: []string{"ip rule add pref 50 to 169.254.169.254 lookup $(ip rule | sed -n 's/.*from 10.1.1.31 lookup \\([0-9]*\\).*/\\1/p')"},
			want:   "fail metadata-route", because: []string{"metadata"}, says: "50: from all to 169.254.169.254 lookup", cure: []string{"ip rule del pref 50"}},
		{name: "not set up", ifaces: "-", want: "fail set-up eth1", because: []string{"link", "table", "leave"}, cure: []string{upAgain, "ec2net --cloud ec2 up eth0"}},
		{name: "primary not set up", ifaces: "eth1", want: "fail set-up eth0", because: []string{"source-rule", "leave"}, says: "it has no rules beside the other interfaces: hosts in 10.0.2.0/24 get no answer from it; all others do",
			cure: []string{"ec2net --cloud ec2 up eth0"}},
		{name: "assigned, and nobody looks", harm: func(t *testing.T, c *lab.Cloud) { must(t, c.Assign("eth1", addr("10.0.2.50"))) },
			want: "fail address eth1", because: []string{"source-rule", "leave"}, cure: []string{upAgain}},
		{name: "released, and nobody looks", cfg: secondaries(), harm: func(t *testing.T, c *lab.Cloud) { configure(t, c, soon); must(t, c.Release("eth1", addr("10.0.2.42"))) },
			want: "warn leftover eth1", cure: []string{upAgain}},
		{name: "an interface in another namespace", cfg: lab.Config{Interfaces: []lab.Interface{lab.Eth0(), lab.Eth1()}}, ifaces: "-",
			breaks: []string{"ip netns add box", "ip link set eth1 netns box"}, want: "warn absent"},
		{name: "unplugged behind our back", harm: func(t *testing.T, c *lab.Cloud) { must(t, c.Detach("eth1")) }, want: "warn orphan eth1",
			cure: []string{"ec2net --cloud ec2 down eth1", "ec2net --cloud ec2 up eth0"}},
	}
}

func sickLife() []patient {
	started := func(ago string) string {
		return `sed -i "s/\"start\": \"[^\"]*\"/\"start\": \"$(date -u -d '` + ago + `' +%FT%TZ)\"/" /run/ec2net/eth1.json`
	}
	return []patient{
		{name: "stale lease", breaks: []string{started("2 hours ago")}, want: "warn lease eth1", says: "its lease has expired", cure: []string{upAgain}},
		{name: "renewals fail", breaks: []string{started("45 minutes ago")}, want: "warn renewal eth1", says: "its lease is overdue for renewal"},
		{name: "the keeper died", harm: killed, want: "fail process eth1"},
		{name: "the keeper died, and the lease ended", harm: func(t *testing.T, c *lab.Cloud) { killed(t, c); shell(t, c.Instance(), started("2 hours ago")) },
			want: "fail process eth1", because: []string{"lease"}},
		{name: "the host's own way out is missing", ifaces: "-", harm: func(t *testing.T, c *lab.Cloud) { egressed(t, c); ip(t, c, "rule del pref 30200") },
			want: "fail egress-rule eth1"},
		{name: "a change that was undone", cfg: wide(), ifaces: "-", harm: cutOff, want: "fail rolled-back eth1", because: []string{"set-up", "source-rule"},
			says: "the connection of 10.0.0.29:2222"},
		{name: "degraded", ifaces: "-", harm: degraded, want: "fail metadata", because: []string{"degraded"}},
		{name: "degraded, on another program's address", ifaces: "-", breaks: []string{"ip link set eth1 up", "ip addr add 10.0.2.37/24 dev eth1"},
			harm: degraded, want: "fail metadata", because: []string{"degraded"}},
		{name: "degraded, and the metadata is back", ifaces: "-", harm: func(t *testing.T, c *lab.Cloud) { degraded(t, c); c.IMDS().Clear(); ec2net(t, c, exitOK, "up", "eth0") },
			want: "fail degraded eth1", because: []string{"table"}, says: "do: once the metadata answers: ec2net up eth1", cure: []string{upAgain, "ec2net --cloud ec2 up eth0"}},
	}
}

// untold hides the drop-in of the package, which the machine may have.
const untold = "mkdir -p /etc/systemd/networkd.conf.d; : > /etc/systemd/networkd.conf.d/ec2net.conf"

// unplugged takes the cable out of eth1, at the cloud's end.
func unplugged(t *testing.T, c *lab.Cloud) {
	t.Helper()
	shell(t, c.Fabric(), "ip link set p1 down")
	eventually(t, hang, "no carrier", func() bool { return strings.Contains(ip(t, c, "link show dev eth1"), "NO-CARRIER") })
}

// killed is a process that kept eth1.
func killed(t *testing.T, c *lab.Cloud) {
	t.Helper()
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	must(t, k.Process.Kill())
	<-k.ended
}

// degraded sets eth1 up while the metadata is switched off.
func degraded(t *testing.T, c *lab.Cloud) {
	t.Helper()
	spoil(t, c, lab.Fault{Status: 403})
	ec2net(t, c, exitPartial, "up", "eth1")
}

// cutOff keeps eth1, whose set-up would cut the operator off.
func cutOff(t *testing.T, c *lab.Cloud) {
	t.Helper()
	operator(t, c, "10.0.3.200", "10.0.0.29")
	ip(t, c, "rule add from 10.0.0.29 lookup 10001 pref 100")
	start(t, c, "eth1").notify.await(t, "STATUS=rolled back, because the connection of 10.0.0.29:2222")
}
