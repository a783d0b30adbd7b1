package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
)

// newAzure is seed 001's machine, without a limit to how much a test may ask.
func newAzure(t testing.TB) *Cloud {
	t.Helper()
	c := newCloud(t, Config{Cloud: Azure})
	c.IMDS().Limit(0)
	return c
}

// metadata asks Azure's service, and wants a status.
func (a *asker) metadata(want int, path string) string {
	a.t.Helper()
	status, _, body, err := a.do("GET", "/metadata/"+path, "Metadata", "true")
	if err != nil || status != want {
		a.t.Fatalf("%s: %d %v, want %d: %s", path, status, err, want, body)
	}
	return body
}

const network = "instance/network?api-version=2021-02-01&format=json"

// The whole of the network's document, byte for byte.
func TestAzureNetwork(t *testing.T) {
	c := newAzure(t)
	must(t, c.Assign("eth2", netip.MustParseAddr("172.22.5.9"), netip.MustParseAddr("2001:db8:a2e:2::9")))
	want := `{"interface":[` +
		`{"ipv4":{"ipAddress":[{"privateIpAddress":"172.22.5.68","publicIpAddress":"203.0.113.70"}],"subnet":[{"address":"172.22.5.64","prefix":"26"}]},"ipv6":{"ipAddress":[]},"macAddress":"000D3A000000"},` +
		`{"ipv4":{"ipAddress":[{"privateIpAddress":"172.22.5.4","publicIpAddress":"203.0.113.166"},{"privateIpAddress":"172.22.5.9","publicIpAddress":""}],"subnet":[{"address":"172.22.5.0","prefix":"26"}]},"ipv6":{"ipAddress":[{"privateIpAddress":"2001:db8:a2e:2::9"}]},"macAddress":"000D3A000101"},` +
		`{"ipv4":{"ipAddress":[{"privateIpAddress":"172.22.5.132","publicIpAddress":""}],"subnet":[{"address":"172.22.5.128","prefix":"26"}]},"ipv6":{"ipAddress":[]},"macAddress":"000D3A000202"}]}`
	if got := ask(t, c.Instance()).metadata(200, network); got != want {
		t.Errorf("the document is\n%s, want\n%s", got, want)
	}
}

// What the service refuses, and how it says so.
func TestAzureRefusals(t *testing.T) {
	c := newAzure(t)
	a := ask(t, c.Instance())
	const newest = `"newest-versions":["2025-04-07","2024-07-17","2024-03-15"]`
	for name, test := range map[string]struct {
		method, path string
		header       []string
		status       int
		body         string
	}{
		"no Metadata header":     {"GET", "/metadata/" + network, nil, 400, "metadata header"},
		"Metadata: false":        {"GET", "/metadata/" + network, []string{"Metadata", "false"}, 400, "metadata header"},
		"Metadata: True":         {"GET", "/metadata/" + network, []string{"Metadata", "True"}, 200, "macAddress"},
		"through a proxy":        {"GET", "/metadata/" + network, []string{"Metadata", "true", "X-Forwarded-For", "172.22.5.68"}, 400, "X-Forwarded-For"},
		"unknown version":        {"GET", "/metadata/instance?api-version=2017-07-01", []string{"Metadata", "true"}, 400, newest},
		"no version":             {"GET", "/metadata/instance", []string{"Metadata", "true"}, 400, newest},
		"root":                   {"GET", "/metadata", []string{"Metadata", "true"}, 400, newest},
		"repeated parameter":     {"GET", "/metadata/" + network + "&format=text", []string{"Metadata", "true"}, 400, "repeated"},
		"versions need no other": {"GET", "/metadata/versions", []string{"Metadata", "true"}, 200, `"apiVersions":["2017-03-01",`},
		"PUT":                    {"PUT", "/metadata/" + network, []string{"Metadata", "true"}, 405, "error"},
		"no such key":            {"GET", "/metadata/instance/netwerk?api-version=2021-02-01", []string{"Metadata", "true"}, 404, "Not found"},
		"no such interface":      {"GET", "/metadata/instance/network/interface/3?api-version=2021-02-01", []string{"Metadata", "true"}, 404, "Not found"},
		"a leaf as JSON":         {"GET", "/metadata/instance/compute/name?api-version=2021-02-01&format=json", []string{"Metadata", "true"}, 400, "Format"},
		"a leaf as text":         {"GET", "/metadata/instance/network/interface/0/macAddress?api-version=2021-02-01&format=text", []string{"Metadata", "true"}, 200, "000D3A000000"},
		"a list as text":         {"GET", "/metadata/instance/network/interface?api-version=2021-02-01&format=text", []string{"Metadata", "true"}, 200, "0/\n1/\n2/"},
		"EC2's path":             {"GET", "/latest/meta-data/mac", []string{"Metadata", "true"}, 404, "Not found"},
	} {
		status, header, body, err := a.do(test.method, test.path, test.header...)
		must(t, err)
		if status != test.status || !strings.Contains(body, test.body) {
			t.Errorf("%s: %d %s, want %d with %q", name, status, body, test.status, test.body)
		}
		if format := header.Get("Content-Type"); !strings.HasPrefix(format, "application/json") && !strings.Contains(test.path, "text") {
			t.Errorf("%s: Content-Type %q", name, format)
		}
	}
}

// Versions that the server has not heard of yet, or has forgotten.
func TestAzureVersions(t *testing.T) {
	c := newAzure(t)
	a := ask(t, c.Instance())
	c.IMDS().Versions("2017-08-01", "2019-06-01")
	if got := a.metadata(400, network); !strings.Contains(got, `"newest-versions":["2019-06-01","2017-08-01"]`) {
		t.Errorf("it names %s", got)
	}
	a.metadata(200, "instance/network?api-version=2019-06-01")
}

// Five requests in any second, of whichever kind; those that were refused do not count.
func TestAzureLimit(t *testing.T) {
	s, begin := limiter{perSecond: azureLimit}, time.Now()
	for i, at := range []struct {
		ms      time.Duration
		refused bool
	}{{0, false}, {10, false}, {20, false}, {900, false}, {910, false}, {920, true}, {999, true}, {1000, false}, {1001, true}, {1010, false}, {1900, false}} {
		if got := s.throttled(begin.Add(at.ms * time.Millisecond)); got != at.refused {
			t.Errorf("request %d, after %d ms: refused %t", i, at.ms, got)
		}
	}
	c := newCloud(t, Config{Cloud: Azure})
	a := ask(t, c.Instance())
	for c.IMDS().Stats().ByStatus[429] == 0 {
		_, _, _, err := a.do("GET", "/metadata/"+network, "Metadata", "true")
		must(t, err)
		if n := c.IMDS().Stats().Requests; n > 200 {
			t.Fatalf("none of %d requests was one too many", n)
		}
	}
}

// What faults do to the document, as the next request sees it.
func TestAzureFaults(t *testing.T) {
	c := newAzure(t)
	a := ask(t, c.Instance())
	text := func(s string) *string { return &s }
	macs := func(doc string) (out []string) {
		var d struct {
			Interface []*struct{ MacAddress string }
		}
		must(t, json.Unmarshal([]byte(doc), &d))
		for _, i := range d.Interface {
			if i == nil {
				out = append(out, "null")
				continue
			}
			out = append(out, i.MacAddress)
		}
		return out
	}
	for name, test := range map[string]struct {
		fault Fault
		macs  string
		not   string // is not in the document
		has   string
	}{
		"late interface": {Fault{Interface: "eth2", Absent: true}, "000D3A000000 000D3A000202", "172.22.5.4\"", ""},
		"reversed":       {Fault{Path: "instance/network/interface", Reverse: true}, "000D3A000202 000D3A000101 000D3A000000", "", ""},
		"a hole":         {Fault{Interface: "eth2", JSON: text("null")}, "000D3A000000 null 000D3A000202", "", ""},
		"same MAC":       {Fault{Interface: "eth3", Path: "macAddress", Value: text("000D3A000101")}, "000D3A000000 000D3A000101 000D3A000101", "", ""},
		"no ipv6":        {Fault{Path: "instance/network/interface/*/ipv6", Absent: true}, "000D3A000000 000D3A000101 000D3A000202", "ipv6", ""},
		"no subnet":      {Fault{Interface: "eth3", Path: "ipv4/subnet", Absent: true}, "000D3A000000 000D3A000101 000D3A000202", "172.22.5.128", "172.22.5.64"},
		"wrong type":     {Fault{Path: "**/prefix", JSON: text("26")}, "000D3A000000 000D3A000101 000D3A000202", `"26"`, `"prefix":26`},
		"not an object":  {Fault{Path: "instance/network", JSON: text(`{"interface":[]}`)}, "", "", `[]`},
	} {
		id, err := c.IMDS().Inject(test.fault)
		must(t, err)
		body := a.metadata(200, network)
		if got := strings.Join(macs(body), " "); got != test.macs {
			t.Errorf("%s: interfaces %q, want %q", name, got, test.macs)
		}
		if (test.not != "" && strings.Contains(body, test.not)) || !strings.Contains(body, test.has) {
			t.Errorf("%s: %q is there, or %q is not: %s", name, test.not, test.has, body)
		}
		c.IMDS().Clear(id)
	}
}

// A fault of an interface follows it when the list is in another order, and counts only what it changes.
func TestAzureFaultOfInterface(t *testing.T) {
	c := newAzure(t)
	a := ask(t, c.Instance())
	_, err := c.IMDS().Inject(Fault{Path: "instance/network/interface", Reverse: true})
	must(t, err)
	_, err = c.IMDS().Inject(Fault{Interface: "eth1", Absent: true, Skip: 1, Times: 1})
	must(t, err)
	a.metadata(200, "instance/compute?api-version=2021-02-01")
	for i, want := range []int{3, 2, 3} {
		if got := strings.Count(a.metadata(200, network), "macAddress"); got != want {
			t.Errorf("request %d shows %d interfaces, want %d", i, got, want)
		}
	}
}

// Answers that are wrong as a whole, and faults that cannot be.
func TestAzureAnswers(t *testing.T) {
	c := newAzure(t)
	a := ask(t, c.Instance())
	_, err := c.IMDS().Inject(Fault{Path: "instance/network", Status: 429, RetryAfter: "2", Times: 1})
	must(t, err)
	status, header, body, err := a.do("GET", "/metadata/"+network, "Metadata", "true")
	must(t, err)
	if status != 429 || header.Get("Retry-After") != "2" || body != `{"error":"Too Many Requests"}` {
		t.Errorf("%d %v %s", status, header, body)
	}
	a.metadata(200, network)
	_, err = c.IMDS().Inject(Fault{Absent: true, Path: "instance"})
	must(t, err)
	a.metadata(404, network)
	bad := "{"
	for _, f := range []Fault{{Interface: "eth2", Status: 503}, {JSON: &bad}, {Interface: "eth9", Absent: true}, {Reverse: true, Absent: true}} {
		if _, err := c.IMDS().Inject(f); err == nil {
			t.Errorf("%+v was taken", f)
		}
	}
	if _, err := newCloud(t, Config{}).IMDS().Inject(Fault{Reverse: true}); err == nil {
		t.Error("EC2's server took a fault of Azure's document")
	}
}

// exchange is a client's conversation on an interface of the machine.
func exchange(t *testing.T, c *Cloud, iface string, params ...dhcpv4.OptionCode) (*nclient4.Lease, error) {
	t.Helper()
	return dhcpClient(t, c, iface).Request(within(t), func(d *dhcpv4.DHCPv4) {
		d.UpdateOption(dhcpv4.OptParameterRequestList(append(params, dhcpv4.OptionRouter, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionDomainNameServer)...))
	})
}

// The leases of a primary and of a secondary interface.
func TestAzureDHCP(t *testing.T) {
	c := newAzure(t)
	routes := []byte{0, 172, 22, 5, 65, 32, 168, 63, 129, 16, 172, 22, 5, 65, 32, 169, 254, 169, 254, 172, 22, 5, 65}
	for iface, want := range map[string]struct {
		addr    net.IP
		routes  []byte
		routers int
		wire    []byte
	}{
		"eth1": {net.IPv4(172, 22, 5, 68), routes, 1, []byte{0xa8, 0x3f, 0x81, 0x10}},
		"eth2": {net.IPv4(172, 22, 5, 4), nil, 0, nil},
	} {
		lease, err := exchange(t, c, iface)
		must(t, err)
		ack := lease.ACK
		ones, _ := ack.SubnetMask().Size()
		if !ack.YourIPAddr.Equal(want.addr) || ones != 26 || !ack.ServerIdentifier().Equal(net.IPv4(168, 63, 129, 16)) ||
			ack.IPAddressLeaseTime(0) != InfiniteLease || len(ack.Router()) != want.routers ||
			!bytes.Equal(ack.Options.Get(dhcpv4.OptionClasslessStaticRoute), want.routes) ||
			!bytes.Equal(ack.Options.Get(dhcpv4.GenericOptionCode(245)), want.wire) {
			t.Errorf("%s: %s", iface, ack.Summary())
		}
	}
}

// Who asks for the MTU gets nothing.
func TestAzureDHCPWithMTU(t *testing.T) {
	c := newAzure(t)
	if _, err := exchange(t, c, "eth2", dhcpv4.OptionInterfaceMTU); err == nil {
		t.Error("an offer came")
	}
	if m := c.DHCP().Messages(time.Time{}); len(m) == 0 || m[0].Reply != "" {
		t.Errorf("recorded %+v", m)
	}
}

// The router has one MAC on all links and answers no ping, and has one IPv6 address.
func TestAzureGateway(t *testing.T) {
	c := newAzure(t)
	setUp(t, c, "eth2", netip.MustParsePrefix("172.22.5.4/26"))
	alive(t, c.Client(), EIP1)
	for iface, gateway := range map[string]string{"eth1": "172.22.5.65", "eth2": "172.22.5.1"} {
		_, err := c.Instance().Ping(within(t), netip.MustParseAddr(gateway), Ping{Device: iface, Timeout: 100 * time.Millisecond})
		if !errors.Is(err, ErrNoReply) {
			t.Errorf("%s: %v", gateway, err)
		}
		if got := neighbour(t, c.Instance(), iface, gateway); got != "12:34:56:78:9a:bc" {
			t.Errorf("%s is at %s", gateway, got)
		}
	}
	l, err := c.Instance().Netlink().LinkByName("eth2")
	must(t, err)
	must(t, c.Instance().Netlink().AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("fe80::2/64"))}))
	_, err = c.Instance().Ping(within(t), netip.MustParseAddr("fe80::1234:5678:9abc").WithZone("eth2"), Ping{Device: "eth2", Tries: 3})
	must(t, err)
}

// setUp gives an interface an address and its subnet's route, and nothing else.
func setUp(t testing.TB, c *Cloud, iface string, addr netip.Prefix) netlink.Link {
	t.Helper()
	up(t, c, iface)
	l, err := c.Instance().Netlink().LinkByName(iface)
	must(t, err)
	must(t, c.Instance().Netlink().AddrAdd(l, &netlink.Addr{IPNet: ipNet(addr)}))
	return l
}

func neighbour(t testing.TB, n *Node, iface, addr string) string {
	t.Helper()
	l, err := n.Netlink().LinkByName(iface)
	must(t, err)
	list, err := n.Netlink().NeighList(l.Attrs().Index, netlink.FAMILY_V4)
	must(t, err)
	for _, e := range list {
		if e.IP.String() == addr {
			return e.HardwareAddr.String()
		}
	}
	return "nowhere"
}
