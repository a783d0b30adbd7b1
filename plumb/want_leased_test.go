package plumb

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// leasing is an input whose lease has static routes: "10.9.0.0/16 via 10.0.2.9", or "10.9.0.0/16" for one on the link.
func leasing(in Input, routes ...string) Input {
	in.Lease = lease("10.0.2.37/24", "10.0.2.1", 0)
	for _, r := range routes {
		dst, via, ok := strings.Cut(r, " via ")
		if !ok {
			via = "0.0.0.0"
		}
		in.Lease.Routes = append(in.Lease.Routes, dhcp.Route{Dst: netip.MustParsePrefix(dst), Via: netip.MustParseAddr(via)})
	}
	return in
}

// inNetworks has other devices in networks of main.
func inNetworks(in Input, networks ...string) Input {
	for _, n := range networks {
		in.Have.Networks = append(in.Have.Networks, netip.MustParsePrefix(n))
	}
	return in
}

// The static routes of a lease (option 121) hold for the interface's own addresses and, in main, for what the host sends.
func TestWantStatic(t *testing.T) {
	azure := func(in Input) Input {
		in.Servers = []netip.Addr{netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("169.254.169.254")}
		return in
	}
	plain := ours(eth1())
	notMain := ours(eth1())
	notMain.MainTable = false
	operator := ours(eth1())
	operator.Have.Routes = []Route{foreign("10.9.0.0/16", "10.0.2.8")}
	single := ours(iface(func(c *metadata.Interface) { c.Subnets4 = prefixes("10.0.2.37/32") }))
	single = leasing(single, "10.0.2.1/32", "10.0.0.0/8 via 10.0.2.1")
	single.Lease.Addr = netip.MustParsePrefix("10.0.2.37/32")
	const rest = `
+ route 10.9.0.0/16 via 10.0.2.9 dev eth1 table 10001
+ route 10.9.0.0/16 via 10.0.2.9 dev eth1 src 10.0.2.37 metric 10001
`
	check(t, []golden{
		{"by a router of the subnet, by one outside, and on the link", leasing(plain, "10.9.0.0/16 via 10.0.2.9", "10.8.0.0/16 via 10.0.3.1", "10.7.0.0/16"),
			only(" 10.9.", " 10.8.", " 10.7."), `
+ route 10.7.0.0/16 dev eth1 table 10001 scope link
+ route 10.7.0.0/16 dev eth1 scope link src 10.0.2.37 metric 10001
+ route 10.9.0.0/16 via 10.0.2.9 dev eth1 table 10001
+ route 10.9.0.0/16 via 10.0.2.9 dev eth1 src 10.0.2.37 metric 10001
+ route 10.8.0.0/16 via 10.0.3.1 dev eth1 table 10001 onlink
+ route 10.8.0.0/16 via 10.0.3.1 dev eth1 src 10.0.2.37 metric 10001 onlink`},
		{"a lease of one address, as of Google", single, onlyRoutes, `
+ route 10.0.2.37 dev eth1 table 10001 scope link src 10.0.2.37
+ route 10.0.2.37 dev eth1 scope link src 10.0.2.37 metric 10001
+ route 10.0.2.1 dev eth1 table 10001 scope link
+ route 10.0.2.1 dev eth1 scope link src 10.0.2.37 metric 10001
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37 onlink
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001 onlink
+ route 10.0.0.0/8 via 10.0.2.1 dev eth1 table 10001 onlink
+ route 10.0.0.0/8 via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001 onlink`},
		{"main_table = false", leasing(notMain, "10.9.0.0/16 via 10.0.2.9"), only(" 10.9."), "+ route 10.9.0.0/16 via 10.0.2.9 dev eth1 table 10001"},
		{"the metadata is silent", leasing(ours(metadata.Interface{}), "10.9.0.0/16 via 10.0.2.9"), only(" 10.9."),
			"+ route 10.9.0.0/16 via 10.0.2.9 dev eth1 table 19003"},
		{"the operator has his own", leasing(operator, "10.9.0.0/16 via 10.0.2.9"), only(" 10.9."), "+ route 10.9.0.0/16 via 10.0.2.8 dev eth1 table 10001"},
		{"the gateway is the host itself", leasing(plain, "10.8.0.0/16 via 10.0.2.37", "10.9.0.0/16 via 10.0.2.9"), only(" 10.8.", " 10.9."), rest +
			"! route 10.8.0.0/16 via 10.0.2.37 dev eth1 table 10001 of the lease: its gateway is the host itself: left out"},
		{"Azure's servers, of a secondary interface", azure(leasing(plain, "168.63.129.16/32 via 10.0.2.1", "169.254.169.254/32 via 10.0.2.1", "10.9.0.0/16 via 10.0.2.9")),
			only(" 168.", " 169.", " 10.9."), `
+ route 168.63.129.16 via 10.0.2.1 dev eth1 table 10001
+ route 169.254.169.254 via 10.0.2.1 dev eth1 table 10001` + rest},
		{"what holds the metadata", azure(leasing(plain, "169.254.0.0/15 via 10.0.2.1", "168.63.0.0/16 via 10.0.2.1", "10.9.0.0/16 via 10.0.2.9")),
			only("dev eth1 src", " 10.9."), "+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001" + rest + `! the lease's route to 169.254.0.0/15 is not added to the main table: it leads to 169.254.169.254, a server of the cloud, too
! the lease's route to 168.63.0.0/16 is not added to the main table: it leads to 168.63.129.16, a server of the cloud, too`},
		{"what may hold the cloud's other servers", leasing(plain, "169.254.0.0/16 via 10.0.2.1"), only(" 169."),
			"+ route 169.254.0.0/16 via 10.0.2.1 dev eth1 table 10001"},
		{"a part of the Internet", leasing(plain, "128.0.0.0/1 via 10.0.2.1"), only(" 128."), `
+ route 128.0.0.0/1 via 10.0.2.1 dev eth1 table 10001
! the lease's route to 128.0.0.0/1 is not added to the main table: it leads to a part of the Internet`},
		{"the primary's subnet, a part of it, and what holds it",
			inNetworks(leasing(plain, "10.0.0.0/24 via 10.0.2.1", "10.0.0.5/32 via 10.0.2.1", "10.0.0.0/16 via 10.0.2.1"), "10.0.0.0/24"), only(" 10.0.0."), `
+ route 10.0.0.0/24 via 10.0.2.1 dev eth1 table 10001
+ route 10.0.0.5 via 10.0.2.1 dev eth1 table 10001
+ route 10.0.0.0/16 via 10.0.2.1 dev eth1 table 10001
+ route 10.0.0.0/16 via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001
! the lease's route to 10.0.0.0/24 is not added to the main table: another interface is in 10.0.0.0/24
! the lease's route to 10.0.0.5/32 is not added to the main table: another interface is in 10.0.0.0/24`},
		{"within its own subnet", leasing(plain, "10.0.2.1/32"), only("route 10.0.2.1 dev"), `
+ route 10.0.2.1 dev eth1 table 10001 scope link
+ route 10.0.2.1 dev eth1 scope link src 10.0.2.37 metric 10001`},
		{"within its own subnet, and another interface's", inNetworks(leasing(plain, "10.0.2.1/32"), "10.0.2.0/24"), only("route 10.0.2.1 dev"),
			"+ route 10.0.2.1 dev eth1 table 10001 scope link"},
	})
}

// The host's own lease leads the host, to the cloud's servers too.
func TestWantStaticOfTheHost(t *testing.T) {
	host := func(change func(*Input)) Input {
		in := leasing(hostOf(false, change), "168.63.129.16/32 via 10.0.0.1", "169.254.169.254/32 via 10.0.0.2", "10.8.0.0/16", "172.17.0.0/24 via 10.0.0.1")
		in.Lease.Addr, in.Lease.Router = netip.MustParsePrefix("10.0.0.29/24"), netip.MustParseAddr("10.0.0.1")
		return inNetworks(in, "172.17.0.0/16")
	}
	const want = `
+ route 10.8.0.0/16 dev eth0 scope link src 10.0.0.29 metric 512
+ route 168.63.129.16 via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512
+ route 169.254.169.254 via 10.0.0.2 dev eth0 src 10.0.0.29 metric 512
! the lease's route to 172.17.0.0/24 is not added to the main table: another interface is in 172.17.0.0/16`
	keep := only(" 10.8.", " 168.", " 169.", " 172.")
	check(t, []golden{
		{"found", host(func(*Input) {}), keep, want},
		{"before the metadata has answered", host(func(in *Input) { in.Interface = metadata.Interface{} }), keep, want},
	})
	given := host(func(in *Input) { in.Have.OthersManaged = true })
	state, _ := Want(given)
	given.Have.State = state
	if again := planOf(given, all); strings.Contains(again, "\n+") || strings.HasPrefix(again, "+") {
		t.Errorf("a second time:\n%s", again)
	}
	given.Host = false // another program is about to take over
	if left := planOf(given, only(" metric 512")); left != "" {
		t.Errorf("what the host lives by goes:\n%s", left)
	}
	given.Host, given.Lease.Routes = true, nil
	const gone = `
- route 168.63.129.16 via 10.0.0.1 dev eth0 src 10.0.0.29 metric 512
- route 169.254.169.254 via 10.0.0.2 dev eth0 src 10.0.0.29 metric 512
- route 10.8.0.0/16 dev eth0 scope link src 10.0.0.29 metric 512`
	check(t, []golden{{"the lease has them no more", given, only(" metric 512"), gone}})
}

// An absurd number of static routes is cut, and said.
func TestWantStaticMany(t *testing.T) {
	var routes []string
	for i := range 300 {
		routes = append(routes, fmt.Sprintf("10.%d.%d.0/24 via 10.0.2.9", 9+i/200, i%200))
	}
	in := leasing(ours(eth1()), routes...)
	state, err := Want(in)
	if n := len(in.Lease.Routes); n != 300 {
		t.Errorf("the lease itself has %d routes left", n)
	}
	if len(state.Routes) != 4+2*mostStatic || err == nil || err.Error() != "the lease has 300 static routes (option 121): only the first 64 are used" {
		t.Errorf("%d routes: %v", len(state.Routes), err)
	}
}
