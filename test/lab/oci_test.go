package lab

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// vnics asks OCI's service for the interfaces, and wants a status.
func (a *asker) vnics(want int, path string) string {
	a.t.Helper()
	status, _, body, err := a.do("GET", "/opc/v2/"+path, "Authorization", "Bearer Oracle")
	if err != nil || status != want {
		a.t.Fatalf("%s: %d %v, want %d: %s", path, status, err, want, body)
	}
	return body
}

// The whole document, byte for byte: a secondary private IPv4 address is not in it, all IPv6 addresses are, and a
// subnet without IPv4 has a text for a block.
func TestOCIDocument(t *testing.T) {
	machine := OCI.Machine()
	machine.Subnets = append(machine.Subnets, Subnet{ID: "subnet-6", IPv6: netip.MustParsePrefix("2001:db8:c1:6::/64")})
	machine.Interfaces = append(machine.Interfaces, Interface{Subnet: "subnet-6", Addrs6: []netip.Addr{netip.MustParseAddr("2001:db8:c1:6::9")}})
	c := newCloud(t, machine)
	must(t, c.Assign("eth1", netip.MustParseAddr("10.0.2.38"), netip.MustParseAddr("2001:db8:c1:2::9"), netip.MustParseAddr("2001:db8:c1:2::10")))
	const want = `[
  {
    "macAddr": "02:00:17:00:00:00",
    "privateIp": "10.0.0.231",
    "subnetCidrBlock": "10.0.0.0/24",
    "virtualRouterIp": "10.0.0.1",
    "vlanTag": 1039,
    "vnicId": "ocid1.vnic.oc1.phx.0ec20000000000001"
  },
  {
    "ipv6Addresses": [
      "2001:db8:c1:2::9",
      "2001:db8:c1:2::10"
    ],
    "ipv6SubnetCidrBlock": "2001:db8:c1:2::/64",
    "ipv6VirtualRouterIp": "fe80::200:17ff:fe40:8972",
    "macAddr": "02:00:17:00:01:01",
    "privateIp": "10.0.2.37",
    "subnetCidrBlock": "10.0.2.0/24",
    "virtualRouterIp": "10.0.2.1",
    "vlanTag": 1040,
    "vnicId": "ocid1.vnic.oc1.phx.0ec20000000000002"
  },
  {
    "ipv6Addresses": [
      "2001:db8:c1:6::9"
    ],
    "ipv6SubnetCidrBlock": "2001:db8:c1:6::/64",
    "ipv6VirtualRouterIp": "fe80::200:17ff:fe40:8972",
    "macAddr": "02:00:17:00:02:02",
    "subnetCidrBlock": "\u003cnull\u003e",
    "vlanTag": 1041,
    "vnicId": "ocid1.vnic.oc1.phx.0ec20000000000003"
  }
]`
	if got := ask(t, c.Instance()).vnics(200, "vnics/"); got != want {
		t.Errorf("the document is\n%s, want\n%s", got, want)
	}
}

// What the service refuses, what it shows of a part, and that it answers by IPv6 too.
func TestOCIRefusals(t *testing.T) {
	c := newCloud(t, Config{Cloud: OCI})
	a := ask(t, c.Instance())
	bearer := []string{"Authorization", "Bearer Oracle"}
	for name, test := range map[string]struct {
		method, path string
		header       []string
		status       int
		body         string
	}{
		"no header":       {"GET", "/opc/v2/vnics/", nil, 403, "403 Forbidden"},
		"wrong header":    {"GET", "/opc/v2/vnics/", []string{"Authorization", "Bearer Amazon"}, 403, "403 Forbidden"},
		"forwarded":       {"GET", "/opc/v2/vnics/", append([]string{"X-Forwarded-For", "10.0.0.231"}, bearer...), 403, ""},
		"forwarded host":  {"GET", "/opc/v2/vnics/", append([]string{"X-Forwarded-Host", "x"}, bearer...), 403, ""},
		"no slash":        {"GET", "/opc/v2/vnics", bearer, 200, "10.0.0.231"},
		"one":             {"GET", "/opc/v2/vnics/1/", bearer, 200, "10.0.2.37"},
		"one value":       {"GET", "/opc/v2/vnics/1/macAddr", bearer, 200, "02:00:17:00:01:01"},
		"one too many":    {"GET", "/opc/v2/vnics/2/", bearer, 404, "404 Not Found"},
		"instance":        {"GET", "/opc/v2/instance/", bearer, 200, `"shape"`},
		"root":            {"GET", "/opc/v2/", bearer, 200, "vnics/"},
		"elsewhere":       {"GET", "/latest/meta-data/", bearer, 404, ""},
		"a write":         {"PUT", "/opc/v2/vnics/", bearer, 405, ""},
		"version 1":       {"GET", "/opc/v1/vnics/", nil, 200, "10.0.0.231"},
		"unknown version": {"GET", "/opc/v3/vnics/", bearer, 404, ""},
	} {
		status, _, body, err := a.do(test.method, test.path, test.header...)
		if err != nil || status != test.status || !strings.Contains(body, test.body) {
			t.Errorf("%s: %d %v %s, want %d %q", name, status, err, body, test.status, test.body)
		}
	}
	must(t, c.Assign("eth0", netip.MustParseAddr("2001:db8:c1::9")))
	run(t, c.Instance(), "ip addr add 2001:db8:c1::9/128 dev eth0 nodad")
	run(t, c.Instance(), "ip -6 route add default via fe80::200:17ff:fe40:8972 dev eth0")
	a.base = "http://[fd00:c1::a9fe:a9fe]"
	a.vnics(200, "vnics/")
}

// The metadata and the disks answer the primary VNIC alone, from whichever of its addresses.
func TestOCIServersByPrimaryOnly(t *testing.T) {
	c := newCloud(t, Config{Cloud: OCI})
	second, other := netip.MustParseAddr("10.0.0.232"), netip.MustParseAddr("10.0.2.37")
	must(t, c.Assign("eth0", second))
	run(t, c.Instance(), "ip addr add 10.0.0.232/32 dev eth0")
	l := setUp(t, c, "eth1", netip.PrefixFrom(other, 24))
	policy(t, c.Instance(), l, other, netip.MustParseAddr("10.0.2.1"))
	for _, a := range []netip.Addr{imds4, OCIBootVolume, OCIBlockVolume} {
		alive(t, c.Instance(), a)
		_, err := c.Instance().Ping(within(t), a, Ping{Source: second, Tries: 3})
		must(t, err)
		if _, err := c.Instance().Ping(within(t), a, Ping{Source: other, Timeout: 100 * time.Millisecond}); !errors.Is(err, ErrNoReply) {
			t.Errorf("%s answers %s: %v", a, other, err)
		}
	}
	got, err := c.Astray()
	must(t, err)
	if want := []Drop{{"eth1", other, 3}}; !slices.Equal(got, want) {
		t.Errorf("dropped %v, want %v", got, want)
	}
}

// The primary VNIC has a lease with an MTU of 9000, and link-local addresses on its link. No other gets an answer.
func TestOCIDHCP(t *testing.T) {
	c := newCloud(t, Config{Cloud: OCI})
	lease, err := exchange(t, c, "eth0", dhcpv4.OptionInterfaceMTU)
	must(t, err)
	ack := lease.ACK
	mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options)
	must(t, err)
	ones, _ := ack.SubnetMask().Size()
	routes := []byte{16, 169, 254, 0, 0, 0, 0, 0, 10, 0, 0, 1}
	if !ack.YourIPAddr.Equal(net.IPv4(10, 0, 0, 231)) || ones != 24 || mtu != 9000 || ack.IPAddressLeaseTime(0) != 24*time.Hour ||
		!ack.ServerIdentifier().Equal(net.IPv4(169, 254, 169, 254)) || !slices.Equal(ack.Options.Get(dhcpv4.OptionClasslessStaticRoute), routes) {
		t.Errorf("lease: %s", ack.Summary())
	}
	if _, err := exchange(t, c, "eth1"); err == nil {
		t.Error("a secondary VNIC has an offer")
	}
	for _, m := range c.DHCP().Messages(time.Time{}) {
		if (m.Interface == "eth1") != (m.Reply == "") {
			t.Errorf("recorded %+v", m)
		}
	}
}

// DHCPv6 gives all addresses of a VNIC, also of a secondary one.
func TestOCIDHCP6(t *testing.T) {
	c := newCloud(t, Config{Cloud: OCI})
	must(t, c.Assign("eth1", netip.MustParseAddr("2001:db8:c1:2::9"), netip.MustParseAddr("2001:db8:c1:2::10")))
	up(t, c, "eth1")
	ownAddress(t, c, "eth1")
	got := dhclient6(t, c, "eth1", hang)
	for _, want := range []string{"iaaddr 2001:db8:c1:2::9 {", "iaaddr 2001:db8:c1:2::10 {"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the lease:\n%s", want, got)
		}
	}
}

// A VNIC that is attached while the instance runs is late in the metadata: one by an hour, which is never here, the other
// by as little as can be.
func TestOCILate(t *testing.T) {
	machine := OCI.Machine()
	late := machine.Interfaces[1]
	machine.Interfaces = machine.Interfaces[:1]
	c := newCloud(t, machine)
	a := ask(t, c.Instance())
	late.Late = time.Hour
	must(t, c.Attach(late))
	must(t, c.Attach(Interface{Addrs4: []netip.Addr{netip.MustParseAddr("10.0.2.40")}, Late: time.Millisecond}))
	must(t, c.news.wait(within(t), func() bool { return strings.Contains(a.vnics(200, "vnics/"), "10.0.2.40") }))
	if got := a.vnics(200, "vnics/"); strings.Contains(got, "10.0.2.37") {
		t.Errorf("the VNIC is there: %s", got)
	}
}

// What faults do: statuses with OCI's page, a document that is cut, headers, and a VNIC that is half there.
func TestOCIFaults(t *testing.T) {
	c := newCloud(t, Config{Cloud: OCI})
	a := ask(t, c.Instance())
	for _, status := range []int{404, 403, 429, 503} {
		_, err := c.IMDS().Inject(Fault{Path: "vnics", Status: status, Times: 1})
		must(t, err)
		if body := a.vnics(status, "vnics/"); !strings.Contains(body, "<center>nginx") {
			t.Errorf("%d: %s", status, body)
		}
	}
	whole := a.vnics(200, "vnics/")
	for name, test := range map[string]struct {
		fault Fault
		want  func(body string) bool
	}{
		"cut":        {Fault{Body: Cut}, func(b string) bool { return b == whole[:len(whole)/2] }},
		"late":       {Fault{Interface: "eth1", Absent: true}, func(b string) bool { return !strings.Contains(b, "00:01:01") }},
		"half there": {Fault{Interface: "eth1", Path: "privateIp", Absent: true}, func(b string) bool { return strings.Contains(b, "00:01:01") && !strings.Contains(b, "10.0.2.37") }},
		"reversed":   {Fault{Path: "vnics", Reverse: true}, func(b string) bool { return strings.Index(b, "10.0.2.37") < strings.Index(b, "10.0.0.231") }},
	} {
		id, err := c.IMDS().Inject(test.fault)
		must(t, err)
		if body := a.vnics(200, "vnics/"); !test.want(body) {
			t.Errorf("%s: %s", name, body)
		}
		c.IMDS().Clear(id)
	}
	_, err := c.IMDS().Inject(Fault{Header: [][2]string{{"Content-Type", "text/html"}, {"Server", ""}}})
	must(t, err)
	_, header, _, err := a.do("GET", "/opc/v2/vnics/", "Authorization", "Bearer Oracle")
	if must(t, err); header.Get("Content-Type") != "text/html" || header.Get("Server") != "" {
		t.Errorf("headers %v", header)
	}
}

// The gateway has one MAC and one IPv6 address on all links, a private address cannot be reached from outside, and a
// public one can.
func TestOCIGateway(t *testing.T) {
	c := newCloud(t, Config{Cloud: OCI})
	setUp(t, c, "eth1", netip.MustParsePrefix("10.0.2.37/24"))
	alive(t, c.Client(), EIP1)
	dead(t, c.Client(), netip.MustParseAddr("10.0.0.231"))
	alive(t, c.Instance(), netip.MustParseAddr("10.0.2.1"))
	if got := neighbour(t, c.Instance(), "eth1", "10.0.2.1"); got != "00:00:17:40:89:72" {
		t.Errorf("the gateway is at %s", got)
	}
}
