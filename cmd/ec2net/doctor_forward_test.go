package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ec2net/doctor"
	"ec2net/test/lab"
)

// What doctor says of other programs' nftables chains is so on the wire: where it fails nothing is passed on, where it
// finds nothing all is, and what it tells to type mends it, after which it finds nothing.
func TestDoctorOfForwardChains(t *testing.T) {
	t.Parallel()
	conf := write(t, "[nat]\nfrom = [\"10.0.3.0/24\"]\nout = \"eth2\"\n")
	l := egressLab{egressCloud(t), conf}
	inside, err := l.AddPeer("test", addr("10.0.3.200"))
	must(t, err)
	for _, iface := range []string{"eth2", "eth3"} {
		must(t, l.Forward(iface, true))
	}
	must(t, l.AddRoute(lab.Route{Subnet: "subnet-c", Prefix: netip.MustParsePrefix("0.0.0.0/0"), NextHop: addr("10.0.3.37")}))
	for _, iface := range []string{"eth0", "eth2", "eth3"} {
		l.keep(t, iface)
	}
	eventually(t, hang, "forwarding", func() bool { return forwarding(t, l.Cloud, "eth0", "eth2", "eth3") == "0 1 1" })
	l.settled(t, "eth0", "eth2", "eth3")
	passes := func() bool {
		_, err := inside.Ping(t.Context(), lab.ClientIP, lab.Ping{Tries: 2, Timeout: 300 * time.Millisecond})
		return err == nil
	}
	if !passes() {
		t.Fatal("nothing is passed on without any firewall")
	}
	const policy, open = "chain FORWARD { type filter hook forward priority 0; policy drop; ", "chain f { type filter hook forward priority 0; "
	for _, tt := range []struct{ name, rules, want string }{
		{"a policy", "ip x { " + policy + "} }", "fail"},
		{"both ways", "ip x { " + policy + "iifname eth3 oifname eth2 accept; iifname eth2 oifname eth3 accept; } }", ""},
		{"one way", "ip x { " + policy + "iifname eth3 oifname eth2 accept; } }", "fail"},
		{"one way, and answers", "inet x { " + policy + "iifname eth3 oifname eth2 counter accept; ct state established,related accept; } }", ""},
		{"by index", "inet x { " + policy + "iif eth3 oif eth2 accept; iif eth2 oif eth3 accept; } }", ""},
		{"by pattern", "inet x { " + policy + "iifname \"eth*\" oifname \"eth*\" meta nfproto ipv4 accept; } }", ""},
		{"by another pattern", "inet x { " + policy + "iifname \"ens*\" accept; } }", "fail"},
		{"all but", "inet x { " + policy + "iifname != eth0 accept; } }", ""},
		{"in a chain", "ip x { chain in { iifname eth3 return; accept; }; chain both { jump in; ct state invalid drop; accept; }; " + policy + "jump both; } }", ""},
		{"in a chain that returns", "ip x { chain in { return; accept; }; " + policy + "jump in; } }", "fail"},
		{"goto", "ip x { chain in { iifname eth2 accept; }; " + policy + "iifname eth2 goto in; iifname eth3 goto in; accept; } }", "fail"},
		{"IPv6 alone", "inet x { " + policy + "meta nfproto ipv6 accept; } }", "fail"},
		{"an address that fits", "ip x { " + policy + "ip saddr 10.0.0.0/8 accept; ip daddr 10.0.0.0/8 accept; } }", ""},
		{"an address that does not", "ip x { " + policy + "ip saddr 192.0.2.0/24 accept; } }", "fail"},
		{"refused at the end", "inet x { " + open + "ct state established accept; reject with icmpx admin-prohibited; } }", "fail"},
		{"a set", "inet x { " + open + "iifname { docker0, virbr0 } drop; } }", ""},
		{"invalid dropped", "inet x { " + open + "ct state invalid drop; ct state new log; } }", ""},
		{"Docker 29's", "ip docker-bridges { map filter-forward-in-jumps { type ifname : verdict; elements = { \"docker0\" : jump in }; }; chain in { oifname docker0 accept; drop; }; " +
			open + "iifname vmap @filter-forward-in-jumps; } }", ""},
		{"ports", "ip x { " + policy + "tcp dport 443 accept; } }", "warn"},
		{"all but an address", "ip x { " + policy + "ip saddr != 10.0.3.0/24 accept; } }", "fail"},
		{"a range of addresses", "ip x { " + open + "ip saddr 10.0.2.9-10.0.3.255 drop; } }", "fail"},
		{"a range of others", "ip x { " + open + "ip saddr 10.0.3.0-10.0.3.255 counter; ip saddr 10.0.2.9-10.0.2.255 drop; } }", ""},
		{"a blocked subnet", "inet x { set s { type ipv4_addr; flags interval; elements = { 10.0.3.0/25, 10.0.3.128/25, 192.0.2.7 } }; " + open + "ip saddr @s drop; } }", "fail"},
		{"others are blocked", "ip x { set s { type ipv4_addr; flags interval; elements = { 10.0.2.0/24, 10.0.4.0/22 } }; " + open + "ip saddr @s drop; } }", ""},
		{"a single address is blocked", "ip x { set s { type ipv4_addr; elements = { 10.0.3.7 } }; " + open + "ip saddr @s drop; } }", ""},
		{"nobody is blocked", "ip x { set s { type ipv4_addr; flags timeout; }; " + open + "ip saddr @s drop; } }", ""},
		{"a subnet is allowed", "ip x { set s { type ipv4_addr; flags interval; elements = { 10.0.0.0-10.0.3.255 } }; " + policy + "ip saddr @s accept; ip daddr @s accept; } }", ""},
		{"part of it is allowed", "ip x { " + policy + "ip saddr { 10.0.3.0/25, 192.0.2.1 } accept; ct state established accept; } }", "warn"},
		{"all but a set", "ip x { " + policy + "ip saddr != { 192.0.2.1, 192.0.2.9 } ct state new accept; ct state established accept; } }", ""},
		{"answers from all but a set", "ip x { " + policy + "ip saddr != { 192.0.2.1, 192.0.2.9 } accept; } }", "warn"},
		{"interfaces in a map", "ip x { chain back { ct state established accept; drop; }; " + policy + "iifname vmap { eth3 : accept, eth2 : jump back }; } }", ""},
		{"interfaces in a map that drops", "ip x { " + open + "iifname vmap { eth0 : accept, eth3 : drop }; } }", "fail"},
		{"patterns in a map", "inet x { " + open + "iifname vmap { \"ens*\" : accept, \"eth*\" : drop }; } }", "fail"},
		{"the rest of a map", "ip x { " + open + "iifname vmap { lo : accept, * : drop }; } }", "fail"},
		{"states in a map", "inet x { chain n { iif eth3 accept; }; " + policy + "ct state vmap { established : accept, related : accept, new : jump n }; } }", ""},
		{"two interfaces in a set", "ip x { " + policy + "iifname . oifname { eth3 . eth2, eth2 . eth3 } accept; } }", ""},
		{"the wrong two", "ip x { " + policy + "iifname . oifname { eth3 . eth0, eth2 . eth3 } accept; } }", "fail"},
		{"subnets and interfaces", "ip x { set s { type ipv4_addr . ifname; flags interval; elements = { 10.0.3.0/24 . \"eth2\", 192.0.2.0/24 . \"eth3\" } }; " +
			open + "ip saddr . oifname @s drop; } }", "fail"},
		{"others, and ports", "ip x { " + open + "iifname . tcp dport { eth0 . 80, eth1 . 443 } drop; } }", ""},
		{"firewalld's", "inet x { chain zones { iifname eth0 accept; }; " + open + "ct state { established, related } accept; ct status dnat accept; jump zones; reject with icmpx admin-prohibited; } }", "fail"},
		{"iptables-legacy's policy", "iptables-legacy -P FORWARD DROP", "fail"},
		{"iptables-legacy's rules", "iptables-legacy -P FORWARD DROP; -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; -A FORWARD -s 10.0.3.0/24 -i eth3 -o eth+ -j ACCEPT", ""},
		{"iptables-legacy that rejects", "iptables-legacy -N one; -A one -i eth1 -j RETURN; -A one ! -s 127.0.0.1 -j REJECT; -A FORWARD -m state --state NEW -j one", "fail"},
		{"iptables-legacy's ports", "iptables-legacy -P FORWARD DROP; -A FORWARD -p icmp -j ACCEPT", "warn"},
		{"iptables-legacy with what says nothing", "iptables-legacy -A FORWARD -i eth0 -j DROP; -t mangle -N one; -t mangle -A FORWARD -g one; -t mangle -A one -j RETURN", ""},
		{"Docker's with iptables-legacy", "iptables-legacy -P FORWARD DROP; -N DOCKER-USER; -A FORWARD -j DOCKER-USER; -A FORWARD -o docker0 -j ACCEPT", "fail"},
		{"iptables-nft", "iptables-nft -P FORWARD DROP; -A FORWARD -m conntrack ! --ctstate NEW -j ACCEPT; -A FORWARD -s 10.0.3.0/24 -i eth3 -o eth2 -j ACCEPT", ""},
		{"IPv6's table", "ip6 x { " + policy + "} }", ""},
	} {
		set, remove := firewall(tt.rules)
		shell(t, l.Instance(), set)
		found := forwardFinding(t, l, conf)
		if got := strings.TrimPrefix(found.Verdict.String(), "ok"); got != tt.want {
			t.Errorf("%s: %q, want %q: %s", tt.name, got, tt.want, found.Summary)
		}
		if on := passes(); (tt.want == "" && !on) || (tt.want == "fail" && on) {
			t.Errorf("%s: doctor says %q, and it is passed on: %v", tt.name, tt.want, on)
		}
		if _, commands, told := strings.Cut(found.Remedy, "until then: "); told {
			shell(t, l.Instance(), commands)
			if after := forwardFinding(t, l, conf); after.Verdict != doctor.OK || !passes() {
				t.Errorf("%s: after %s: %s, %s; it is passed on: %v", tt.name, commands, after.Verdict, after.Summary, passes())
			}
		}
		shell(t, l.Instance(), remove)
	}
}

// firewall are the commands that set rules up, and remove them: a table as nft(8) takes it, or a kind of iptables and its
// arguments, command by command.
func firewall(rules string) (set, remove string) {
	words := strings.Fields(rules)
	if program := words[0]; strings.HasPrefix(program, "iptables-") {
		set = strings.ReplaceAll(rules, "; ", "; "+program+" -w ")
		for _, table := range []string{"filter", "mangle"} {
			remove += strings.ReplaceAll("PROGRAM -P FORWARD ACCEPT; PROGRAM -F; PROGRAM -X; ", "PROGRAM", program+" -w -t "+table)
		}
		return set, remove
	}
	return "nft 'table " + strings.ReplaceAll(rules, "} }", "}; }") + "'", "nft delete table " + strings.Join(words[:2], " ")
}

// forwardFinding is what doctor says of chains.
func forwardFinding(t *testing.T, l egressLab, conf string) (out doctor.Finding) {
	t.Helper()
	findings, _ := diagnosis(t, l.Cloud, "--config", conf)
	if i := slices.IndexFunc(findings, func(f doctor.Finding) bool { return f.ID == "forward" }); i >= 0 {
		out = findings[i]
	}
	return out
}
