package plumb

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/metadata"
)

// vpns are what programs write into table main for a tunnel that all traffic is to go through.
func vpns() map[string][]string {
	private := "0.0.0.0/5 8.0.0.0/7 12.0.0.0/6 16.0.0.0/4 32.0.0.0/3 64.0.0.0/2 128.0.0.0/3 160.0.0.0/5 168.0.0.0/6 174.0.0.0/7 176.0.0.0/4 194.0.0.0/7 196.0.0.0/6 200.0.0.0/5 208.0.0.0/4"
	return map[string][]string{
		"OpenVPN, redirect-gateway def1 ipv6":         strings.Fields("0.0.0.0/1 128.0.0.0/1 ::/3 2000::/4 3000::/4 fc00::/7"),
		"WireGuard, halves":                           strings.Fields("0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1"),
		"a default route of a better metric":          strings.Fields("default ::/0"),
		"WireGuard, all but what is private":          strings.Fields(private + " ::/1 8000::/2 c000::/3 e000::/4 f000::/5 f800::/6"),
		"all of IPv6 that is given out, as one route": strings.Fields("0.0.0.0/2 64.0.0.0/2 128.0.0.0/2 192.0.0.0/2 2000::/3 fc00::/7"),
	}
}

// tunnel has a VPN come up, or go.
func tunnel(t *testing.T, verb string, routes []string) {
	t.Helper()
	lines := []string{"link add tun0 type veth peer name gw9", "link set gw9 up", "link set tun0 up", "addr add 10.8.0.6/24 dev tun0", "addr add fd08::6/64 dev tun0 nodad"}
	for _, r := range routes {
		lines = append(lines, fmt.Sprintf("route add %s dev tun0 metric 5", r))
	}
	if verb == "del" {
		lines = []string{"link del tun0"}
	}
	batch(t, strings.Join(lines, "\n")+"\n")
}

// cloudside is the cloud's end of both interfaces' wires, with a host on the internet, one in another subnet of the
// VPC whose IPv6 is private (as in Azure), and one far away in 10.0.0.0/8.
func cloudside(t *testing.T) neighbour {
	t.Helper()
	n := newNeighbour(t)
	n.takes("gw0", "gw1")
	n.ip("link set lo up", "addr add 10.0.0.1/24 dev gw0", "addr add 10.0.2.1/24 dev gw1", "addr add 2001:db8::1/64 dev gw0 nodad", "addr add 2001:db8:0:2::1/64 dev gw1 nodad",
		"addr add fe80:ec2::1/64 dev gw0 nodad", "addr add fe80:ec2::1/64 dev gw1 nodad")
	for _, a := range strings.Fields(farAway) {
		n.ip("addr add " + a + " dev lo")
	}
	local(t, n.run, append(strings.Fields(farAway), "2001:db8::1", "2001:db8:0:2::1", "fe80:ec2::1")...)
	return n
}

// local waits until the kernel answers for IPv6 addresses that it has been given.
func local(t *testing.T, run func(string) (string, error), list ...string) {
	t.Helper()
	missing := func(out string) (left []string) {
		for _, a := range list {
			if strings.Contains(a, ":") && !strings.Contains(out, "local "+a+" dev") {
				left = append(left, a)
			}
		}
		return left
	}
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		out, err := run("ip -6 route show table local")
		left := missing(out)
		if err == nil && len(left) == 0 {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the kernel does not answer for %s: %v\n%s", left, err, out)
		}
	}
}

const farAway = "1.2.3.4 100.100.1.1 172.64.0.9 198.51.100.9 203.0.113.9 223.255.0.9 2001:db8:ffff::9 2a00::9 3fff::9 fd99::9"

func firstInterface() metadata.Interface {
	return metadata.Interface{
		MAC: mac("02:00:00:00:00:10"), Primary: true, Addrs4: addrs("10.0.0.29", "10.0.0.40"), Subnets4: prefixes("10.0.0.0/24"),
		Addrs6: addrs("2001:db8::29"), Subnets6: prefixes("2001:db8::/64"),
	}
}

func secondInterface() metadata.Interface {
	c := eth1()
	c.Addrs4 = addrs("10.0.2.37", "10.0.2.101")
	c.Addrs6, c.Subnets6 = addrs("2001:db8:0:2::37"), prefixes("2001:db8:0:2::/64")
	return c
}

// bothInterfaces sets up both: the second first, since the primary's rules are there because of it.
func bothInterfaces(t *testing.T) {
	t.Helper()
	reconcile(t, open(t, "eth1"), secondInterface())
	reconcile(t, open(t, "eth0"), firstInterface())
	reconcile(t, open(t, "eth1"), secondInterface())
	local(t, func(c string) (string, error) { return run("ip", strings.TrimPrefix(c, "ip ")) }, "2001:db8::29", "2001:db8:0:2::37")
}

// answers has each of the cloud's addresses asked from each host far away.
func answers(t *testing.T, cloud neighbour, when string) {
	t.Helper()
	for _, from := range strings.Fields(farAway) {
		six := strings.Contains(from, ":")
		for _, c := range []metadata.Interface{firstInterface(), secondInterface()} {
			list := c.Addrs4.Value
			if six {
				list = c.Addrs6.Value
			}
			for _, a := range list {
				if out, err := cloud.run(fmt.Sprintf("ping -n -c 1 -W 3 -I %s %s", from, a)); err != nil {
					t.Errorf("%s: %s does not answer %s\n%s%s", when, a, from, out, ip(t, "rule"))
				}
			}
		}
	}
}

// TestAnswersBesideATunnel: whatever a VPN writes into table main so that all traffic goes through its tunnel, and
// whenever it comes, each address of the cloud's is answered by its interface.
func TestAnswersBesideATunnel(t *testing.T) {
	for name, routes := range vpns() {
		for filter := range 3 {
			t.Run(fmt.Sprintf("%s, rp_filter %d", name, filter), func(t *testing.T) {
				host(t)
				batch(t, "link set eth1 up\nroute del default\nroute add default via 10.0.0.1 dev eth0 metric 100\nroute add ::/0 via fe80:ec2::1 dev eth0 metric 1024\naddr add 2001:db8::29/64 dev eth0 nodad\n")
				for _, dev := range []string{"all", "eth0", "eth1"} {
					sysctl(t, "ipv4/conf/"+dev+"/rp_filter", fmt.Sprint(filter))
				}
				cloud := cloudside(t)
				tunnel(t, "add", routes)
				bothInterfaces(t)
				answers(t, cloud, "the tunnel came first")
				tunnel(t, "del", nil)
				tunnel(t, "add", routes)
				answers(t, cloud, "the tunnel came second")
				bothInterfaces(t)
				if got := route(t, "100.100.1.1"); !strings.Contains(got, "dev tun0") {
					t.Errorf("what the host sends of itself does not go through its tunnel: %s", got)
				}
			})
		}
	}
}

// TestNetworksBesideATunnel: what the host has of networks still wins, a tunnel or not, up to 10.0.0.0/8 and fd00::/8.
func TestNetworksBesideATunnel(t *testing.T) {
	host(t)
	batch(t, `
link set eth1 up
addr add 2001:db8::29/64 dev eth0 nodad
route add ::/0 via fe80:ec2::1 dev eth0 metric 1024
link add docker0 type bridge
addr add 172.17.0.1/16 dev docker0
addr add fd17::1/64 dev docker0 nodad
link set docker0 up
route add 10.0.0.0/8 via 172.17.0.9 dev docker0
route add 11.0.0.0/8 via 172.17.0.9 dev docker0
route add fd00::/8 via fd17::9 dev docker0
`)
	check := func(when string) {
		t.Helper()
		for _, from := range []string{"10.0.0.29", "10.0.0.40", "10.0.2.37", "10.0.2.101", "2001:db8::29", "2001:db8:0:2::37"} {
			list := []string{"172.17.0.9", "10.77.0.9", "11.1.2.3"}
			if strings.Contains(from, ":") {
				list = []string{"fd17::9", "fdab::9"}
			}
			for _, to := range list {
				if got := route(t, to+" from "+from); !strings.Contains(got, "dev docker0") {
					t.Errorf("%s: %s → %s: %s", when, from, to, got)
				}
			}
		}
	}
	bothInterfaces(t)
	check("no tunnel")
	for name, routes := range vpns() {
		tunnel(t, "add", routes)
		bothInterfaces(t)
		check(name)
		tunnel(t, "del", nil)
	}
}

// TestGuardsOfAnEarlierVersion: the guards were written without the parts of a default route. The new ones are there
// before the old ones go, in every case of both families, and nothing is left.
func TestGuardsOfAnEarlierVersion(t *testing.T) {
	secondHost(t)
	batch(t, "addr add 2001:db8::29/64 dev eth0 nodad\nroute add ::/0 via fe80:ec2::1 dev eth0 metric 1024\n")
	l := open(t, "eth1")
	want := func(s Snapshot) (State, error) {
		in := Input{Interface: secondInterface(), Have: s, OwnAddress: true, MainTable: true, Gateway6: netip.MustParseAddr("fe80:ec2::1"), ByInterface: true,
			Egress: Egress{IPv4: true, IPv6: true}, NAT: []NAT{{prefixes("10.9.0.0/16").Value[0], "eth2"}}}
		return Want(in)
	}
	if err := l.Reconcile(t.Context(), want).Err(); err != nil {
		t.Fatal(err)
	}
	right := ip(t, "rule") + ip(t, "-6 rule")
	if n := strings.Count(right, "suppress_prefixlength 7"); n != 2+2*2+2+1 { // guards, marks, egress, NAT
		t.Fatalf("%d rules that suppress:\n%s", n, right)
	}
	for _, r := range read(t, l).Rules {
		if r.MinBits == 0 {
			continue
		}
		old := r
		old.MinBits = 1
		for _, o := range []Op{{Add, "eth1", old}, {Del, "eth1", r}} {
			if err := l.apply(o, read(t, l)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out := ip(t, "rule") + ip(t, "-6 rule"); strings.Contains(out, "suppress_prefixlength 7") || strings.Count(out, "\n") != strings.Count(right, "\n") {
		t.Fatalf("not as an earlier version has it:\n%s", out)
	}
	var seen Plan
	l.Changing = func(_ Snapshot, _ State, p Plan) { seen = append(seen, p...) }
	done, err := l.Reconcile(t.Context(), want).both()
	if err != nil {
		t.Fatal(err)
	}
	if text := done.String(); strings.Count(text, "+ rule") != 9 || strings.Count(text, "- rule") != 9 || strings.LastIndex(text, "+ rule") > strings.Index(text, "- rule") || len(done) != 18 {
		t.Errorf("the upgrade:\n%s", text)
	}
	if out := ip(t, "rule") + ip(t, "-6 rule"); out != right {
		t.Errorf("after the upgrade:\n%s\nwant\n%s", out, right)
	}
	if again, err := l.Reconcile(t.Context(), want).both(); err != nil || len(again) != 0 {
		t.Errorf("the second plan: %v\n%s", err, again)
	}
}

// TestNothingMatchesWgQuick: "wg-quick down" deletes the first rule that is like this one until its own is gone.
func TestNothingMatchesWgQuick(t *testing.T) {
	secondHost(t)
	l := open(t, "eth1")
	want := func(s Snapshot) (State, error) {
		in := Input{Interface: secondInterface(), Have: s, OwnAddress: true, MainTable: true, ByInterface: true, Egress: Egress{IPv4: true, IPv6: true},
			Gateway6: netip.MustParseAddr("fe80:ec2::1"), NAT: []NAT{{prefixes("10.9.0.0/16").Value[0], "eth2"}}}
		return Want(in)
	}
	if err := l.Reconcile(t.Context(), want).Err(); err != nil {
		t.Fatal(err)
	}
	before := ip(t, "rule") + ip(t, "-6 rule")
	for _, family := range []string{"-4", "-6"} {
		if out, err := run("ip", family+" rule delete table main suppress_prefixlength 0"); err == nil {
			t.Errorf("%s: it deletes one of ours: %s", family, out)
		}
	}
	if after := ip(t, "rule") + ip(t, "-6 rule"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}
