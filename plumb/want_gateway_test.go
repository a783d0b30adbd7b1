package plumb

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// in4 is an interface with one address and one subnet.
func in4(addr, subnet string, l *dhcp.Lease, gateway string) Input {
	in := ours(iface(func(c *metadata.Interface) {
		c.Addrs4, c.Subnets4 = addrs(addr), prefixes(subnet)
		if gateway != "" {
			c.Gateway4 = netip.MustParseAddr(gateway)
		}
	}))
	in.Lease, in.MainTable = l, false
	return in
}

// alone is an interface of which the metadata says nothing.
func alone(l *dhcp.Lease) Input {
	in := ours(metadata.Interface{})
	in.Lease, in.MainTable = l, false
	return in
}

func TestWantGateway4(t *testing.T) {
	gw := only("default", "! the lease")
	check(t, []golden{
		{"the lease's router", in4("10.0.2.37", "10.0.2.0/24", lease("10.0.2.37/24", "10.0.2.254", 0), ""), gw,
			"+ route default via 10.0.2.254 dev eth1 table 10001 src 10.0.2.37"},
		{"the lease's router wins over the metadata's", in4("10.0.2.37", "10.0.2.0/24", lease("10.0.2.37/24", "10.0.2.254", 0), "10.0.2.9"), gw,
			"+ route default via 10.0.2.254 dev eth1 table 10001 src 10.0.2.37"},
		{"a router outside of the subnet", in4("10.0.2.37", "10.0.2.0/24", lease("10.0.2.37/24", "10.0.3.1", 0), ""), gw,
			"+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37\n! ignored the lease's router 10.0.3.1: it is outside the subnet 10.0.2.0/24, whose router is 10.0.2.1 according to the cloud"},
		{"the same, and the metadata names another", in4("10.0.2.37", "10.0.2.0/24", lease("10.0.2.37/24", "10.0.3.1", 0), "10.0.2.9"), gw,
			"+ route default via 10.0.2.9 dev eth1 table 10001 src 10.0.2.37\n! ignored the lease's router 10.0.3.1: it is outside the subnet 10.0.2.0/24, whose router is 10.0.2.9 according to the cloud"},
		{"a router outside of the subnet, which the lease alone tells", alone(lease("10.0.2.37/24", "10.0.3.1", 0)), gw,
			"+ route default via 10.0.3.1 dev eth1 table 19003 src 10.0.2.37 onlink"},
		{"a lease of one address", in4("10.0.2.37", "10.0.2.37/32", lease("10.0.2.37/32", "10.0.2.1", 0), ""), gw,
			"+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37 onlink"},
		{"a lease without router", in4("10.0.2.37", "10.0.2.0/24", lease("10.0.2.37/24", "", 0), ""), gw,
			"+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37"},
		{"the metadata's gateway", in4("10.0.2.37", "10.0.2.0/24", nil, "10.0.2.253"), gw,
			"+ route default via 10.0.2.253 dev eth1 table 10001 src 10.0.2.37"},
		{"the metadata's gateway outside of the subnet (GCE)", in4("10.128.0.7", "10.128.0.7/32", nil, "10.128.0.1"), gw,
			"+ route default via 10.128.0.1 dev eth1 table 10001 src 10.128.0.7 onlink"},
		{"no last octet plus one", in4("10.0.255.9", "10.0.254.0/23", nil, ""), gw,
			"+ route default via 10.0.254.1 dev eth1 table 10001 src 10.0.255.9"},
		{"10.0.255.0/24", in4("10.0.255.9", "10.0.255.0/24", nil, ""), gw,
			"+ route default via 10.0.255.1 dev eth1 table 10001 src 10.0.255.9"},
		{"10.0.0.0/15, far up", in4("10.1.255.9", "10.0.0.0/15", nil, ""), gw,
			"+ route default via 10.0.0.1 dev eth1 table 10001 src 10.1.255.9"},
		{"/30", in4("10.0.2.6", "10.0.2.4/30", nil, ""), gw,
			"+ route default via 10.0.2.5 dev eth1 table 10001 src 10.0.2.6"},
		{"a subnet of one address has none", in4("10.0.2.6", "10.0.2.6/32", nil, ""), gw,
			"! no gateway is known for 10.0.2.6/32, so there is no default route"},
		{"the interface itself is no gateway", in4("10.0.2.1", "10.0.2.0/24", nil, ""), gw,
			"! no gateway is known for 10.0.2.0/24, so there is no default route"},
	})
}

// Where the metadata comes first, the lease's router is only what is left, and nothing is guessed.
func TestWantGatewayOrder(t *testing.T) {
	gw := only("default", "! ")
	order := func(in Input) Input {
		in.Gateways = []metadata.GatewaySource{metadata.GatewayOfMetadata, metadata.GatewayOfLease}
		return in
	}
	check(t, []golden{
		{"the metadata's wins over the lease's", order(in4("10.0.2.37", "10.0.2.0/24", lease("10.0.2.37/24", "10.0.2.254", 0), "10.0.2.253")), gw,
			"+ route default via 10.0.2.253 dev eth1 table 10001 src 10.0.2.37"},
		{"the lease's alone", order(in4("10.0.2.37", "10.0.2.0/24", lease("10.0.2.37/24", "10.0.2.254", 0), "")), gw,
			"+ route default via 10.0.2.254 dev eth1 table 10001 src 10.0.2.37"},
		{"none, and none is guessed", order(in4("10.0.2.37", "10.0.2.0/24", nil, "")), gw,
			"! no gateway is known for 10.0.2.0/24, so there is no default route"},
	})
}

// offLink is an interface of Google's kind: its subnet is reached by the gateway, and what lies outside of it is its too.
func offLink() Input {
	in := ours(metadata.Interface{
		MAC: mac("42:01:0a:80:00:07"), DeviceNumber: 1, MTU: 1460,
		Addrs4: addrs("10.128.0.7"), Subnets4: prefixes("10.128.0.0/20"), Prefixes4: prefixes("10.128.0.99/32", "198.51.100.7/32", "10.24.3.0/24"),
		Addrs6: addrs("fd20:0:0:1::"), Subnets6: prefixes("fd20:0:0:1::/96"), Prefixes6: prefixes("fd20:0:0:1::/96"),
		Gateway4: netip.MustParseAddr("10.128.0.1"), Gateway6: netip.MustParseAddr("fe80::4001:aff:fe80:1"),
	})
	in.OffLink, in.Gateways = true, []metadata.GatewaySource{metadata.GatewayOfMetadata, metadata.GatewayOfLease}
	l := lease("10.128.0.7/32", "", 0)
	l.Routes = []dhcp.Route{
		{Dst: netip.MustParsePrefix("10.128.0.1/32"), Via: netip.IPv4Unspecified()},
		{Dst: netip.MustParsePrefix("10.128.0.0/20"), Via: netip.MustParseAddr("10.128.0.1")},
	}
	in.Lease = l
	return in
}

func TestWantOffLink(t *testing.T) {
	bridged := offLink()
	bridged.Have.Networks = prefixes("10.128.0.99/32").Value
	check(t, []golden{{"the gateway alone is on the link", offLink(), all, `
~ link eth1 mtu 1460
~ link eth1 up
~ link eth1 group 236
+ addr 10.128.0.7/32 dev eth1 noprefixroute
+ addr fd20:0:0:1::/128 dev eth1 noprefixroute
+ route 10.128.0.1 dev eth1 table 10001 scope link src 10.128.0.7
+ route 10.128.0.1 dev eth1 scope link src 10.128.0.7 metric 10001
+ route local 10.128.0.99 dev eth1 table local metric 10001
+ route local 198.51.100.7 dev eth1 table local metric 10001
+ route 10.128.0.0/20 via 10.128.0.1 dev eth1 table 10001 src 10.128.0.7 onlink
+ route 10.128.0.0/20 via 10.128.0.1 dev eth1 src 10.128.0.7 metric 10001 onlink
+ route default via 10.128.0.1 dev eth1 table 10001 src 10.128.0.7 onlink
+ route default via 10.128.0.1 dev eth1 src 10.128.0.7 metric 10001 onlink
+ route default via fe80::4001:aff:fe80:1 dev eth1 table 10001 src fd20:0:0:1:: metric 1024
+ route default via fe80::4001:aff:fe80:1 dev eth1 src fd20:0:0:1:: metric 10001
+ rule from 10.128.0.0/20 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 198.51.100.7 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.24.3.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from fd20:0:0:1::/96 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.128.0.7 lookup 10001 pref 20001
+ rule from 10.128.0.99 lookup 10001 pref 20001
+ rule from 198.51.100.7 lookup 10001 pref 20001
+ rule from 10.24.3.0/24 lookup 10001 pref 20001
+ rule from fd20:0:0:1:: lookup 10001 pref 20001
+ rule from fd20:0:0:1::/96 lookup 10001 pref 20001
+ altname device-number-1 dev eth1`},
		{"an address is another device's", bridged, only("local "), "+ route local 198.51.100.7 dev eth1 table local metric 10001"},
	})
}

// Without the metadata only the routes of the lease name the gateway, which has no default route of its own there.
func TestWantOffLinkAlone(t *testing.T) {
	silent := offLink()
	silent.Interface, silent.MainTable = metadata.Interface{}, false
	doubtful := silent
	l := *silent.Lease
	l.Routes = append(l.Routes[:2:2], dhcp.Route{Dst: netip.MustParsePrefix("10.24.0.0/16"), Via: netip.MustParseAddr("10.128.0.2")})
	doubtful.Lease = &l
	check(t, []golden{
		{"the gateway of the lease's routes", silent, only("+ route", "! no gateway"), `
+ route 10.128.0.1 dev eth1 table 19003 scope link src 10.128.0.7
+ route default via 10.128.0.1 dev eth1 table 19003 src 10.128.0.7 onlink
+ route 10.128.0.0/20 via 10.128.0.1 dev eth1 table 19003 onlink`},
		{"they name two", doubtful, only("default", "! no gateway"), "! no gateway is known for 10.128.0.7/32, so there is no default route"},
	})
}

// A forwarded address that somebody has a connection from stays theirs; one that the host has already, or that is in the
// interface's subnet and taken over, does not.
func TestWantConnected(t *testing.T) {
	in := offLink()
	in.Interface.Prefixes4 = prefixes("203.0.113.80/32", "10.128.1.9/32")
	in.Connected = []netip.Addr{netip.MustParseAddr("203.0.113.80"), netip.MustParseAddr("10.128.1.9")}
	there := in
	there.Have.Routes = append(slices.Clone(in.Have.Routes), Route{
		Table: tableLocal, Dst: netip.MustParsePrefix("203.0.113.80/32"), Metric: 10001, Scope: unix.RT_SCOPE_HOST, Ours: true, Local: true,
	})
	check(t, []golden{
		{"somebody is connected from there", in, only("local", "! left out"), `
+ route local 10.128.1.9 dev eth1 table local metric 10001
! left out 203.0.113.80 until the connection that this host has with 203.0.113.80 ends`},
		{"the host has it already", there, only("local", "! left out"), `
+ route local 10.128.1.9 dev eth1 table local metric 10001`},
	})
}

// dual is eth1 of seed 002 with IPv6.
func dual() metadata.Interface {
	return iface(func(c *metadata.Interface) {
		c.Addrs6, c.Subnets6 = addrs("2001:db8:0:2::37", "2001:db8:0:2::4"), prefixes("2001:db8:0:2::/64")
		c.Prefixes6 = prefixes("2001:db8:0:2:1::/80")
	})
}

func TestWantIPv6(t *testing.T) {
	six := only(":")
	ra := ours(dual())
	ra.Have.Routes = []Route{
		foreign("fe80::/64", "", func(r *Route) { r.Metric = 256 }),
		foreign("2001:db8:0:2::/64", "", func(r *Route) { r.Metric = 256 }),
		foreign("::/0", "fe80::1", func(r *Route) { r.Metric = 1024 }),
	}
	ra.Gateway6 = netip.MustParseAddr("fe80:ec2::1")
	ec2 := ours(dual())
	ec2.Gateway6, ec2.MainTable = ra.Gateway6, false
	off := ours(dual())
	off.Have.NoIPv6 = true
	check(t, []golden{
		{"a router advertisement names the gateway", ra, six, `
+ addr 2001:db8:0:2::37/128 dev eth1 noprefixroute
+ addr 2001:db8:0:2::4/128 dev eth1 noprefixroute
+ route fe80::/64 dev eth1 table 10001 metric 256
+ route 2001:db8:0:2::/64 dev eth1 table 10001 src 2001:db8:0:2::37 metric 1024
+ route 2001:db8:0:2::/64 dev eth1 src 2001:db8:0:2::37 metric 10001
+ route default via fe80::1 dev eth1 table 10001 src 2001:db8:0:2::37 metric 1024
+ route default via fe80::1 dev eth1 src 2001:db8:0:2::37 metric 10001
+ rule from 2001:db8:0:2::/64 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 2001:db8:0:2::37 lookup 10001 pref 20001
+ rule from 2001:db8:0:2::4 lookup 10001 pref 20001
+ rule from 2001:db8:0:2:1::/80 lookup 10001 pref 20001`},
		{"none came: EC2's own", ec2, only("default via fe80"),
			"+ route default via fe80:ec2::1 dev eth1 table 10001 src 2001:db8:0:2::37 metric 1024"},
		{"no gateway at all", ours(dual()), func(l string) bool { return six(l) && onlyRoutes(l) }, `
+ route 2001:db8:0:2::/64 dev eth1 table 10001 src 2001:db8:0:2::37 metric 1024
+ route 2001:db8:0:2::/64 dev eth1 src 2001:db8:0:2::37 metric 10001
! no gateway is known for 2001:db8:0:2::/64, so there is no default route`},
		{"IPv6 is off", off, six, ""},
	})
}

// TestWantCopiesStaticRoutes: what the operator routes through the interface holds for the interface's own
// addresses too (cloud-init #5249).
func TestWantCopiesStaticRoutes(t *testing.T) {
	in := ours(eth1())
	in.Have.Routes = []Route{
		foreign("0.0.0.0/0", "10.0.2.1", func(r *Route) { r.Metric = 101 }),
		foreign("10.0.2.0/24", "", func(r *Route) { r.Src, r.Metric = netip.MustParseAddr("10.0.2.37"), 101 }),
		foreign("172.16.0.0/12", "10.0.2.9", func(r *Route) { r.MTU = 1400 }),
		foreign("198.18.0.0/15", ""),
		foreign("192.168.5.0/24", "", func(r *Route) { r.Src = netip.MustParseAddr("192.168.5.1") }),
		foreign("203.0.113.0/24", "192.0.2.1", func(r *Route) { r.OnLink = true }),
		foreign("192.0.2.0/24", "10.0.2.9", func(r *Route) { r.Table = 100 }),
		foreign("fe80::/64", "", func(r *Route) { r.Metric = 256 }),
		foreign("10.77.0.0/16", "10.0.2.9", func(r *Route) { r.Ours = true }),
		foreign("172.17.0.0/16", "10.0.2.37"), // an address that the interface did not have yet
	}
	check(t, []golden{{"through the interface, in main", in, onlyRoutes, `
+ route 198.18.0.0/15 dev eth1 table 10001 scope link
+ route 192.168.5.0/24 dev eth1 table 10001 scope link src 192.168.5.1
+ route 10.0.2.0/24 dev eth1 table 10001 scope link src 10.0.2.37
+ route 10.0.2.0/24 dev eth1 scope link src 10.0.2.37 metric 10001
+ route 172.16.0.0/12 via 10.0.2.9 dev eth1 table 10001 mtu 1400
+ route 203.0.113.0/24 via 192.0.2.1 dev eth1 table 10001 onlink
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001
- route 10.77.0.0/16 via 10.0.2.9 dev eth1
! route 172.17.0.0/16 via 10.0.2.37 dev eth1: its gateway is now the host itself: not copied to table 10001`}})
}

// TestWantForeignRouteInTheWay: an identical one serves as well; one that leads elsewhere is told.
func TestWantForeignRouteInTheWay(t *testing.T) {
	in := ours(eth1())
	in.Have.Routes = []Route{
		foreign("0.0.0.0/0", "10.0.2.1", func(r *Route) { r.Table = 10001 }),
		foreign("0.0.0.0/0", "10.0.2.254", func(r *Route) { r.Metric = 10001 }),
	}
	check(t, []golden{{"two defaults of rc.local", in, onlyRoutes, `
+ route 10.0.2.0/24 dev eth1 table 10001 scope link src 10.0.2.37
+ route 10.0.2.0/24 dev eth1 scope link src 10.0.2.37 metric 10001
! route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001: another program has its own route there: route default via 10.0.2.254 dev eth1 metric 10001`}})
}
