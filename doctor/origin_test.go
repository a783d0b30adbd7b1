package doctor

import (
	"net/netip"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// What the files of other programs say of who wrote a rule or a route.
func TestOrigins(t *testing.T) {
	root := fstest.MapFS{}
	for name, text := range map[string]string{
		"etc/iproute2/rt_protos":        "# reserved\n99 openr\n201\tmine # of this host\n",
		"etc/iproute2/rt_protos.d/x":    "77 unread\n",
		"usr/share/iproute2/rt_tables":  "100 eth1\n",
		"etc/systemd/network/a.network": "[RoutingPolicyRule]\nTable=eth1\nTo=198.51.100.0/24\n\n[RoutingPolicyRule]\nFrom=10.0.2.38\nTable=100\nPriority=7\n[Route]\nDestination=10.9.1.2/16\nGateway=10.0.2.9\nTable=100\n[Route]\nGateway=_dhcp4\nTable=101\n",
		"etc/NetworkManager/system-connections/x": "[ipv4]\nroute1=10.8.0.0/16,10.0.2.8\nroute1_options=table=102\nroute2=0.0.0.0/0,10.0.2.1\nroute-table=103\n" +
			"[ipv6]\nrouting-rule2=priority 9 from 2001:db8::/64 table 104\n",
		"etc/network/interfaces":                      "auto eth1\n  up /sbin/ip -4 ru add from 10.0.2.37 table eth1\n  up ip r add default via 10.0.2.1 table 105\n# ip rule add from 10.0.2.1 table 9\n  up ip rule add from $IP table 106\n",
		"etc/sysconfig/network-scripts/rule-eth1":     "from 10.0.2.40 table 107 prio 3\n",
		"etc/sysconfig/network-scripts/route-eth1":    "default via 10.0.2.1 dev eth1 table 107\n",
		"etc/wireguard/wg0.conf":                      "x",
		"etc/systemd/network/lease.network":           "[Network]\nDHCP=yes\n[DHCPv4]\nRouteTable=10001\n[IPv6AcceptRA]\nUseDNS=no\n",
		"etc/NetworkManager/system-connections/lease": "[ipv4]\nmethod=auto\nroute-table=10002\n[ipv6]\nroute-table=0\n",
		"run/systemd/netif/links/7":                   "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/70-eth4.network\n",
		"run/systemd/netif/links/8":                   "NETWORK_FILE=/etc/systemd/network/a.network\n", "run/systemd/netif/links/9": "NETWORK_FILE=/../x\n", "run/systemd/netif/links/x": "",
		"usr/lib/systemd/network/broken.network":       "[Route\nTable=\n=\n[RoutingPolicyRule]\n",
		"run/systemd/network/10-netplan-eth2.network":  "[RoutingPolicyRule]\nFrom=10.0.3.1\nTable=108\n",
		"run/systemd/network/70-eth3.network.d/x.conf": "# policy-routes@eth3\n[RoutingPolicyRule]\nFrom=10.0.4.1\nTable=10003\nPriority=10003\n",
	} {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	f := FIB{Origins: ReadOrigins(root), Links: []Link{{Name: "wg0", Index: 9}}}
	net := netip.MustParsePrefix
	rule := func(pref, table uint32, from, to string, change ...func(*Rule)) Rule {
		r := Rule{Pref: pref, Table: table, NoShorter: -1, NoGroup: -1, Protocol: unix.RTPROT_STATIC}
		if from != "" {
			r.From = net(from)
		}
		if to != "" {
			r.To = net(to)
		}
		for _, c := range change {
			c(&r)
		}
		return r
	}
	wg := rule(9999, 51820, "", "", func(r *Rule) { r.Not, r.Mark, r.Mask, r.Protocol = true, 51820, ^uint32(0), unix.RTPROT_BOOT })
	bare := rule(9998, tableMain, "", "", func(r *Rule) { r.NoShorter = 0 })
	f.Rules = []Rule{bare, wg}
	f.Routes = []Route{{Table: 51820, Dst: net("0.0.0.0/0"), Hops: []Hop{{Index: 9}}}}
	for _, tt := range []struct {
		rule Rule
		want string
	}{
		{rule(32764, 100, "", "198.51.100.0/24"), "systemd-networkd, /etc/systemd/network/a.network"},
		{rule(7, 100, "10.0.2.38/32", ""), "systemd-networkd, /etc/systemd/network/a.network"},
		{rule(8, 100, "10.0.2.38/32", ""), "a network manager, or ip by hand (protocol static)"}, // another preference than the file's
		{rule(9, 104, "2001:db8::/64", ""), "NetworkManager, /etc/NetworkManager/system-connections/x"},
		{rule(500, 100, "10.0.2.37/32", ""), "a script, /etc/network/interfaces"},
		{rule(500, 9, "10.0.2.1/32", ""), "a network manager, or ip by hand (protocol static)"},
		{rule(500, 106, "", ""), "a network manager, or ip by hand (protocol static)"},
		{rule(3, 107, "10.0.2.40/32", ""), "the network scripts, /etc/sysconfig/network-scripts/rule-eth1"},
		{rule(500, 108, "10.0.3.1/32", ""), "netplan, /run/systemd/network/10-netplan-eth2.network"},
		{rule(10003, 10003, "10.0.4.1/32", ""), "amazon-ec2-net-utils, /run/systemd/network/70-eth3.network.d/x.conf"},
		{wg, "wg-quick, /etc/wireguard/wg0.conf"},
		{bare, "wg-quick, /etc/wireguard/wg0.conf"},
		{rule(5270, 52, "", ""), "Tailscale (recognised by the preferences 5210 to 5270)"},
		{rule(220, 220, "", ""), "strongSwan (recognised by table 220)"},
		{rule(1, 1, "", "", func(r *Rule) { r.Protocol = 18 }), "keepalived (protocol 18)"},
		{rule(1, 1, "", "", func(r *Rule) { r.Protocol = 201 }), "mine (protocol 201)"},
		{rule(1, 1, "", "", func(r *Rule) { r.Protocol = 77 }), "an unknown program (protocol 77)"},
		{rule(1, 1, "", "", func(r *Rule) { r.Protocol = 0 }), "ip by hand, a script, or a program (no protocol)"},
		{rule(1, 1, "", "", func(r *Rule) { r.Protocol = unix.RTPROT_BOOT }), "ip, by hand or a script (protocol boot)"},
		{rule(1, 1, "", "", func(r *Rule) { r.Protocol = unix.RTPROT_ZEBRA }), "zebra (FRR) (protocol 11)"},
		{rule(32000, 220, "", ""), "strongSwan (recognised by table 220)"}, // charon.routing_table_prio
		{rule(1, 1, "", "", func(r *Rule) { r.Protocol = 236 }), ""},
	} {
		if got := f.ofRule(tt.rule).String(); got != tt.want {
			t.Errorf("%d: %s: %q, want %q", tt.rule.Pref, tt.rule, got, tt.want)
		}
	}
	for want, r := range map[string]Route{
		"systemd-networkd, /etc/systemd/network/a.network":                          {Table: 100, Dst: net("10.9.0.0/16"), Hops: []Hop{{Via: netip.MustParseAddr("10.0.2.9")}}},
		"ip by hand, a script, or a program (no protocol)":                          {Table: 100, Dst: net("10.9.0.0/16"), Hops: []Hop{{Via: netip.MustParseAddr("10.0.2.7")}}},
		"systemd-networkd, /etc/systemd/network/lease.network":                      {Table: 10001, Dst: net("10.0.2.0/24"), Protocol: unix.RTPROT_DHCP},
		"NetworkManager, /etc/NetworkManager/system-connections/lease":              {Table: 10002, Dst: net("0.0.0.0/0"), Protocol: unix.RTPROT_DHCP},
		"systemd-networkd (by /run/systemd/network/70-eth4.network, which is gone)": {Table: 10003, Dst: net("0.0.0.0/0"), Protocol: unix.RTPROT_DHCP, Hops: []Hop{{Index: 7}}},
		"a network manager, or ip by hand (protocol static)":                        {Table: 10003, Dst: net("0.0.0.0/0"), Protocol: unix.RTPROT_STATIC, Hops: []Hop{{Index: 8}}},
		"ip, by hand or a script (protocol boot)":                                   {Table: 10003, Dst: net("0.0.0.0/0"), Protocol: unix.RTPROT_BOOT, Hops: []Hop{{Index: 7}}},
		"the kernel (protocol 2)":                                                   {Table: 10001, Dst: net("10.0.2.0/24"), Protocol: unix.RTPROT_KERNEL},
		"NetworkManager, /etc/NetworkManager/system-connections/x":                  {Table: 102, Dst: net("10.8.0.0/16"), Hops: []Hop{{Via: netip.MustParseAddr("10.0.2.8")}}},
		"a script, /etc/network/interfaces":                                         {Table: 105, Dst: net("0.0.0.0/0"), Hops: []Hop{{Via: netip.MustParseAddr("10.0.2.1")}}},
		"the network scripts, /etc/sysconfig/network-scripts/route-eth1":            {Table: 107, Dst: net("0.0.0.0/0"), Hops: []Hop{{Via: netip.MustParseAddr("10.0.2.1")}}},
		"Tailscale (recognised by table 52)":                                        {Table: 52, Dst: net("0.0.0.0/0")},
		"a DHCP client (protocol 16)":                                               {Table: 254, Dst: net("0.0.0.0/0"), Protocol: 16},
	} {
		if got := f.ofRoute(r).String(); got != want {
			t.Errorf("%s: %q, want %q", f.text(r), got, want)
		}
	}
	if got := f.ofRoute(Route{Table: 101, Dst: net("0.0.0.0/0")}); got.Program != "systemd-networkd" {
		t.Errorf("the router of a lease: %v", got)
	}
}
