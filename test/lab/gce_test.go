package lab

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"
)

const nics = "instance/network-interfaces/?recursive=true"

// google asks Google's service, and wants a status. It returns the ETag too.
func (a *asker) google(want int, path string) (body, tag string) {
	a.t.Helper()
	status, header, body, err := a.do("GET", "/computeMetadata/v1/"+path, "Metadata-Flavor", "Google")
	if err != nil || status != want || header.Get("Metadata-Flavor") != "Google" {
		a.t.Fatalf("%s: %d %v, want %d: %v %s", path, status, err, want, header, body)
	}
	return body, header.Get("ETag")
}

// The whole document, byte for byte: aliases, of a secondary range too, forwarded addresses, and IPv6.
func TestGCEDocument(t *testing.T) {
	machine := GCE.Machine()
	machine.Interfaces[1].Addrs6 = []netip.Addr{netip.MustParseAddr("2001:db8:9ce:2:0:1::")}
	machine.Interfaces[1].Targets = []netip.Addr{netip.MustParseAddr("203.0.113.99")}
	c := newCloud(t, machine)
	must(t, c.Assign("eth1", netip.MustParseAddr("10.20.0.38"), netip.MustParseAddr("10.20.64.7")))
	must(t, c.AssignPrefix("eth1", netip.MustParsePrefix("10.20.65.0/24")))
	for _, p := range []string{"203.0.113.80/32", "2001:db8:f:1::/96"} {
		must(t, c.ForwardTo("eth1", netip.MustParsePrefix(p), true))
	}
	const want = `[{"accessConfigs":[{"externalIp":"203.0.113.70","type":"ONE_TO_ONE_NAT"}],"dnsServers":["169.254.169.254"],"forwardedIps":[],` +
		`"forwardedIpv6s":[],"gateway":"10.10.0.1","ip":"10.10.0.29","ipAliases":[],"mac":"42:01:0a:0a:00:1d","mtu":1460,` +
		`"network":"projects/123456789012/networks/net-a","subnetmask":"255.255.240.0","targetInstanceIps":[]},` +
		`{"accessConfigs":[{"externalIp":"203.0.113.166","type":"ONE_TO_ONE_NAT"}],"dhcpv6Refresh":"2219563210","dnsServers":["169.254.169.254"],` +
		`"forwardedIps":["203.0.113.80"],"forwardedIpv6s":["2001:db8:f:1::/96"],"gateway":"10.20.0.1","gatewayIpv6":"fe80::4001:aff:fe14:1",` +
		`"ip":"10.20.0.37","ipAliases":["10.20.0.38/32","10.20.64.7/32","10.20.65.0/24"],"ipv6":["2001:db8:9ce:2:0:1::/96"],` +
		`"ipv6s":["2001:db8:9ce:2:0:1::"],"mac":"42:01:0a:14:00:25","mtu":1460,"network":"projects/123456789012/networks/net-b",` +
		`"subnetmask":"255.255.240.0","targetInstanceIps":["203.0.113.99"]}]`
	if got, _ := ask(t, c.Instance()).google(200, nics); got != want {
		t.Errorf("the document is\n%s, want\n%s", got, want)
	}
}

// What the service refuses, and how it shows directories and single values.
func TestGCERefusals(t *testing.T) {
	c := newCloud(t, Config{Cloud: GCE})
	a := ask(t, c.Instance())
	flavor := []string{"Metadata-Flavor", "Google"}
	for name, test := range map[string]struct {
		method, path string
		header       []string
		status       int
		body         string
	}{
		"no header":        {"GET", nics, nil, 403, "Error 403 (Forbidden)"},
		"wrong header":     {"GET", nics, []string{"Metadata-Flavor", "Amazon"}, 403, ""},
		"forwarded":        {"GET", nics, append([]string{"X-Forwarded-For", "10.10.0.29"}, flavor...), 403, ""},
		"a directory":      {"GET", "instance/network-interfaces/", flavor, 200, "0/\n1/\n"},
		"one value":        {"GET", "instance/network-interfaces/1/mac", flavor, 200, "42:01:0a:14:00:25"},
		"a number":         {"GET", "instance/network-interfaces/1/mtu", flavor, 200, "1460"},
		"a value as JSON":  {"GET", "instance/network-interfaces/1/mac?alt=json", flavor, 200, `"42:01:0a:14:00:25"`},
		"absent":           {"GET", "instance/network-interfaces/1/ipv6s", flavor, 404, "Error 404"},
		"one too many":     {"GET", "instance/network-interfaces/2/", flavor, 404, ""},
		"the whole of it":  {"GET", "?recursive=true&alt=json", flavor, 200, `"networkInterfaces":[`},
		"a bad time":       {"GET", nics + "&timeout_sec=soon", flavor, 400, ""},
		"a write":          {"PUT", nics, flavor, 405, ""},
		"a news of no one": {"GET", "instance/nothing?wait_for_change=true&timeout_sec=60", flavor, 404, ""},
	} {
		status, _, body, err := a.do(test.method, "/computeMetadata/v1/"+test.path, test.header...)
		if err != nil || status != test.status || !strings.Contains(body, test.body) {
			t.Errorf("%s: %d %v %s, want %d %q", name, status, err, body, test.status, test.body)
		}
	}
	if status, _, _, err := a.do("GET", "/latest/meta-data/", flavor...); err != nil || status != 404 {
		t.Errorf("EC2's path: %d %v", status, err)
	}
}

// poll asks in the background for what is news to who knows an ETag.
func (a *asker) poll(query string) <-chan string {
	said := make(chan string, 1)
	go func() {
		r, err := http.NewRequestWithContext(a.t.Context(), "GET", a.base+"/computeMetadata/v1/"+nics+"&wait_for_change=true&"+query, nil)
		if err != nil {
			said <- err.Error()
			return
		}
		r.Header.Set("Metadata-Flavor", "Google")
		resp, err := a.http.Do(r)
		if err != nil {
			said <- err.Error()
			return
		}
		defer resp.Body.Close()
		var body json.RawMessage
		_ = json.NewDecoder(resp.Body).Decode(&body)
		said <- resp.Header.Get("ETag") + " " + resp.Status + " " + string(body)
	}()
	return said
}

// heard is what a poll brought.
func heard(t *testing.T, said <-chan string) string {
	t.Helper()
	select {
	case s := <-said:
		return s
	case <-time.After(hang):
		t.Fatal("the poll hangs")
		return ""
	}
}

// The long poll: an ETag that is old is answered at once, the one that is right when something changes, by a fault too,
// or when the time is over; a status ends it.
func TestGCEWait(t *testing.T) {
	c := newCloud(t, Config{Cloud: GCE})
	a := ask(t, c.Instance())
	_, tag := a.google(200, nics)
	if got := heard(t, a.poll("last_etag=0")); !strings.HasPrefix(got, tag+" 200") {
		t.Errorf("of an old ETag: %s, want %s", got, tag)
	}
	if got := heard(t, a.poll("last_etag="+tag+"&timeout_sec=1")); !strings.HasPrefix(got, tag+" 200") {
		t.Errorf("after a second without news: %s, want %s", got, tag)
	}
	hangs := func(query string) <-chan string {
		said := a.poll(query)
		must(t, c.IMDS().Waiting(within(t), 1))
		return said
	}
	said := hangs("last_etag=" + tag)
	must(t, c.Assign("eth1", netip.MustParseAddr("10.20.0.38")))
	if got := heard(t, said); strings.HasPrefix(got, tag) || !strings.Contains(got, "10.20.0.38/32") {
		t.Errorf("of an alias: %s", got)
	}
	said = hangs("timeout_sec=60") // what it is now
	id, err := c.IMDS().Inject(Fault{Interface: "eth1", Absent: true})
	must(t, err)
	if got := heard(t, said); strings.Contains(got, "10.20.0.37") || !strings.Contains(got, "10.10.0.29") {
		t.Errorf("of an interface that is gone: %s", got)
	}
	said = hangs("timeout_sec=60")
	c.IMDS().Clear(id)
	if got := heard(t, said); !strings.Contains(got, "10.20.0.37") {
		t.Errorf("of an interface that is back: %s", got)
	}
	said = hangs("timeout_sec=60")
	_, err = c.IMDS().Inject(Fault{Status: 503, Times: 1})
	must(t, err)
	if got := heard(t, said); !strings.Contains(got, "503") {
		t.Errorf("of a server that goes: %s", got)
	}
	said = hangs("timeout_sec=60")
	must(t, c.IMDS().Refuse())
	if got := heard(t, said); strings.Contains(got, "200") {
		t.Errorf("of a server that is gone: %s", got)
	}
}

// What faults do: statuses with Google's page, a document that is cut, a wrong header.
func TestGCEFaults(t *testing.T) {
	c := newCloud(t, Config{Cloud: GCE})
	a := ask(t, c.Instance())
	whole, _ := a.google(200, nics)
	for _, status := range []int{404, 403, 429, 503} {
		_, err := c.IMDS().Inject(Fault{Path: "instance/network-interfaces", Status: status, Times: 1})
		must(t, err)
		if body, _ := a.google(status, nics); !strings.Contains(body, "<title>Error") {
			t.Errorf("%d: %s", status, body)
		}
	}
	id, err := c.IMDS().Inject(Fault{Body: Cut})
	must(t, err)
	if body, _ := a.google(200, nics); body != whole[:len(whole)/2] {
		t.Errorf("cut: %s", body)
	}
	c.IMDS().Clear(id)
	_, err = c.IMDS().Inject(Fault{Header: [][2]string{{"Metadata-Flavor", ""}}, Times: 1})
	must(t, err)
	_, header, body, err := a.do("GET", "/computeMetadata/v1/"+nics, "Metadata-Flavor", "Google")
	if must(t, err); header.Get("Metadata-Flavor") != "" || body != whole {
		t.Errorf("without the header: %v %s", header, body)
	}
}

// The leases: the address alone, the router on the link, the subnet by it, and everything by that of the primary only.
func TestGCEDHCP(t *testing.T) {
	c := newCloud(t, Config{Cloud: GCE})
	for iface, want := range map[string]struct {
		addr    net.IP
		routes  []byte
		routers int
	}{
		"eth0": {net.IPv4(10, 10, 0, 29), []byte{32, 10, 10, 0, 1, 0, 0, 0, 0, 20, 10, 10, 0, 10, 10, 0, 1, 0, 10, 10, 0, 1}, 1},
		"eth1": {net.IPv4(10, 20, 0, 37), []byte{32, 10, 20, 0, 1, 0, 0, 0, 0, 20, 10, 20, 0, 10, 20, 0, 1}, 0},
	} {
		lease, err := exchange(t, c, iface, dhcpv4.OptionInterfaceMTU)
		must(t, err)
		ack := lease.ACK
		mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options)
		must(t, err)
		ones, _ := ack.SubnetMask().Size()
		if !ack.YourIPAddr.Equal(want.addr) || ones != 32 || mtu != 1460 || len(ack.Router()) != want.routers ||
			!ack.ServerIdentifier().Equal(net.IPv4(169, 254, 169, 254)) || !slices.Equal(ack.Options.Get(dhcpv4.OptionClasslessStaticRoute), want.routes) {
			t.Errorf("%s: %s", iface, ack.Summary())
		}
	}
}

// Only the gateway answers ARP: neighbours are reached by it, and not on the link. Networks are apart.
func TestGCENeighbours(t *testing.T) {
	c := newCloud(t, Config{Cloud: GCE})
	near, far := netip.MustParseAddr("10.10.0.30"), netip.MustParseAddr("10.20.0.30")
	_, err := c.AddPeer("near", near)
	must(t, err)
	_, err = c.AddPeer("far", far)
	must(t, err)
	alive(t, c.Instance(), near) // installed: the subnet by the gateway
	alive(t, c.Client(), EIP1)
	dead(t, c.Instance(), far)
	if got := neighbour(t, c.Instance(), "eth0", "10.10.0.1"); got != "42:01:0a:0a:00:01" {
		t.Errorf("the gateway is at %s", got)
	}
	run(t, c.Instance(), "ip route add 10.10.0.30/32 dev eth0") // as if it were on the link
	dead(t, c.Instance(), near)
	if out := run(t, c.Instance(), "ip neigh show 10.10.0.30"); strings.Contains(out, "lladdr") {
		t.Errorf("somebody answers ARP for a neighbour: %s", out)
	}
}

// What is forwarded arrives as it is, and the answer may leave as it is; what is not, may not.
func TestGCEForwarded(t *testing.T) {
	c := newCloud(t, Config{Cloud: GCE})
	public := netip.MustParseAddr("203.0.113.80")
	must(t, c.ForwardTo("eth0", netip.PrefixFrom(public, 32), true))
	run(t, c.Instance(), "ip addr add 203.0.113.80/32 dev lo")
	alive(t, c.Client(), public)
	must(t, c.ForwardTo("eth0", netip.PrefixFrom(public, 32), false))
	dead(t, c.Client(), public)
}

// A router of a secondary interface is one for the subnet alone, which a kernel as Google's images have it takes no
// notice of.
func TestGCEAdvert(t *testing.T) {
	machine := GCE.Machine()
	for i := range machine.Interfaces {
		machine.Interfaces[i].Addrs6 = []netip.Addr{netip.MustParseAddr([]string{"2001:db8:9ce:0:0:1::", "2001:db8:9ce:2:0:1::"}[i])}
	}
	c := newCloud(t, machine)
	for _, iface := range []string{"eth0", "eth1"} {
		must(t, c.Instance().Sysctl("net/ipv6/conf/"+iface+"/accept_ra", "2"))
		must(t, c.Instance().Sysctl("net/ipv6/conf/"+iface+"/accept_ra_rt_info_max_plen", "64"))
		up(t, c, iface)
	}
	router := func(key, route string) string {
		t.Helper()
		_, err := c.Advertise(key, Advert{})
		must(t, err)
		for end := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
			out := run(t, c.Instance(), "ip -6 route show dev "+key+" proto ra")
			if strings.Contains(out, route) {
				return out
			}
			if time.Now().After(end) {
				t.Fatalf("%s: no %q in %s", key, route, out)
			}
		}
	}
	if out := router("eth1", "2001:db8:9ce:2::/64 via fe80::4001:aff:fe14:1"); strings.Contains(out, "default") {
		t.Errorf("the secondary's router is one for everything: %s", out)
	}
	if out := router("eth0", "2001:db8:9ce::/64 via fe80::4001:aff:fe0a:1"); !strings.Contains(out, "default via fe80::4001:aff:fe0a:1") {
		t.Errorf("the primary's router is none for everything: %s", out)
	}
	l, err := c.Instance().Netlink().LinkByName("eth1")
	must(t, err)
	a := ipNet(netip.MustParsePrefix("2001:db8:9ce:2:0:1::/128"))
	must(t, c.Instance().Netlink().AddrAdd(l, &netlink.Addr{IPNet: a}))
	_, err = c.Instance().Ping(within(t), netip.MustParseAddr("fe80::4001:aff:fe14:1").WithZone("eth1"), Ping{Device: "eth1", Tries: 3})
	must(t, err)
}

// What the platform refuses: two interfaces in one network, an IPv6 address with a host part.
func TestGCERefuses(t *testing.T) {
	c := newCloud(t, Config{Cloud: GCE})
	for _, k := range []Interface{
		{Addrs4: []netip.Addr{netip.MustParseAddr("10.20.0.77")}},
		{Addrs4: []netip.Addr{netip.MustParseAddr("10.20.0.1")}},
	} {
		if err := c.Attach(k); err == nil {
			t.Errorf("%v was attached", k.Addrs4)
		}
	}
	must(t, c.Detach("eth1"))
	if err := c.Attach(Interface{Addrs6: []netip.Addr{netip.MustParseAddr("2001:db8:9ce:2::9")}}); err == nil {
		t.Error("an address with a host part was attached")
	}
}
