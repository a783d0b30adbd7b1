package plumb

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/dhcp"
	"ec2net/metadata"
)

// bare is an interface as the kernel makes it: down, without anything.
func bare() Snapshot {
	return Snapshot{
		State: State{Name: "eth1", Index: 3, Link: LinkState{MTU: 1500}},
		MAC:   mac("02:00:00:00:00:11"), Carrier: true, MaxMTU: 9001,
	}
}

// with is a bare interface that holds some more.
func with(change func(*Snapshot)) Snapshot {
	s := bare()
	change(&s)
	return s
}

// interface is eth1 of seed 002 with some difference.
func iface(change func(*metadata.Interface)) metadata.Interface {
	c := eth1()
	change(&c)
	return c
}

func lease(addr, router string, mtu int) *dhcp.Lease {
	l := &dhcp.Lease{Addr: netip.MustParsePrefix(addr), MTU: mtu}
	if router != "" {
		l.Router = netip.MustParseAddr(router)
	}
	return l
}

// foreign is somebody else's route through the interface.
func foreign(dst, via string, change ...func(*Route)) Route {
	r := Route{Table: tableMain, Dst: netip.MustParsePrefix(dst)}
	if via != "" {
		r.Via = netip.MustParseAddr(via)
	} else if r.Dst.Addr().Is4() {
		r.Scope = scopeLink
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

// planOf is the golden text: what Want makes of the input, as the plan of an interface that has nothing of
// it, without the lines of the link itself and with every problem behind an exclamation mark.
func planOf(in Input, keep func(line string) bool) string {
	state, err := Want(in)
	out := []string{}
	for _, line := range strings.Split(Diff(in.Have.State, state).String(), "\n") {
		if line != "" && keep(line) {
			out = append(out, line)
		}
	}
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			out = append(out, "! "+line)
		}
	}
	return strings.Join(out, "\n")
}

func all(string) bool { return true }

// noLink leaves out what every plan of a bare interface begins and ends with.
func noLink(line string) bool {
	return !strings.HasPrefix(line, "~ link") && !strings.Contains(line, " altname ")
}

// onlyRoutes, in table T and main.
func onlyRoutes(line string) bool { return strings.Contains(line, " route ") }

// only keeps the lines that hold one of the texts.
func only(texts ...string) func(string) bool {
	return func(line string) bool {
		for _, t := range texts {
			if strings.Contains(line, t) {
				return true
			}
		}
		return false
	}
}

type golden struct {
	name string
	in   Input
	keep func(string) bool
	want string
}

func check(t *testing.T, tests []golden) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := planOf(tt.in, tt.keep)
			if d := cmp.Diff(strings.Split(strings.TrimSpace(tt.want), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("plan (-want +got):\n%s", d)
			}
		})
	}
}

func ours(c metadata.Interface) Input {
	return Input{Interface: c, Have: bare(), OwnAddress: true, MainTable: true}
}

func TestWantSeeds(t *testing.T) {
	seed000 := metadata.Interface{
		MAC: mac("02:70:7a:35:5a:5f"), DeviceNumber: 1,
		Addrs4: addrs("100.64.0.130"), Subnets4: prefixes("100.64.0.0/24"),
	}
	check(t, []golden{
		{"seed 000", ours(seed000), all, `
~ link eth1 up
~ link eth1 group 236
+ addr 100.64.0.130/24 dev eth1 noprefixroute
+ route 100.64.0.0/24 dev eth1 table 10001 scope link src 100.64.0.130
+ route 100.64.0.0/24 dev eth1 scope link src 100.64.0.130 metric 10001
+ route default via 100.64.0.1 dev eth1 table 10001 src 100.64.0.130
+ route default via 100.64.0.1 dev eth1 src 100.64.0.130 metric 10001
+ rule from 100.64.0.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 100.64.0.130 lookup 10001 pref 20001
+ altname device-number-1 dev eth1`},
		{"seed 002 with three secondaries, all below the primary",
			ours(iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4", "10.0.2.5", "10.0.2.6") })), noLink, `
+ addr 10.0.2.37/24 dev eth1 noprefixroute
+ addr 10.0.2.4/32 dev eth1 noprefixroute
+ addr 10.0.2.5/32 dev eth1 noprefixroute
+ addr 10.0.2.6/32 dev eth1 noprefixroute
+ route 10.0.2.0/24 dev eth1 table 10001 scope link src 10.0.2.37
+ route 10.0.2.0/24 dev eth1 scope link src 10.0.2.37 metric 10001
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.37 lookup 10001 pref 20001
+ rule from 10.0.2.4 lookup 10001 pref 20001
+ rule from 10.0.2.5 lookup 10001 pref 20001
+ rule from 10.0.2.6 lookup 10001 pref 20001`},
		{"MainTable=false", Input{Interface: eth1(), Have: bare(), OwnAddress: true}, onlyRoutes, `
+ route 10.0.2.0/24 dev eth1 table 10001 scope link src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37`},
	})
}

func TestWantInterfaces(t *testing.T) {
	secondNetworkCard := iface(func(c *metadata.Interface) { c.NetworkCard, c.DeviceNumber, c.ID = 1, 2, "eni-0b2" })
	delegated := iface(func(c *metadata.Interface) { c.Prefixes4 = prefixes("10.0.2.64/28", "172.31.9.0/28") })
	outside := iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "192.0.2.9", "192.0.2.10") })
	two := iface(func(c *metadata.Interface) {
		c.Addrs4, c.Subnets4 = addrs("10.0.2.37", "10.0.3.5", "10.0.3.6"), prefixes("10.0.3.0/24", "10.0.2.0/24")
	})
	primary := metadata.Interface{
		MAC: mac("02:00:00:00:00:10"), Primary: true, ID: "eni-0a0",
		Addrs4: addrs("10.0.0.29", "10.0.0.30"), Subnets4: prefixes("10.0.0.0/24"), Addrs6: addrs("2001:db8::a"),
	}
	leased := bare()
	leased.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.0.29/24")}}
	lone := primary
	lone.Addrs4, lone.Addrs6 = addrs("10.0.0.29"), metadata.None[[]netip.Addr]()
	check(t, []golden{
		{"network card 1, device 2", ours(secondNetworkCard), only("default", "rule", "altname"), `
+ route default via 10.0.2.1 dev eth1 table 10102 src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10102
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10102
+ rule from 10.0.2.37 lookup 10102 pref 20102
+ altname eni-0b2 dev eth1
+ altname device-number-2.1 dev eth1`},
		{"delegated prefixes, in the subnet and outside", ours(delegated), only("rule", "10.0.2.64", "172.31"), `
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 172.31.9.0/28 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.37 lookup 10001 pref 20001
+ rule from 10.0.2.64/28 lookup 10001 pref 20001
+ rule from 172.31.9.0/28 lookup 10001 pref 20001`},
		{"addresses outside of every subnet", ours(outside), only("rule", "addr"), `
+ addr 10.0.2.37/24 dev eth1 noprefixroute
+ addr 192.0.2.9/32 dev eth1 noprefixroute
+ addr 192.0.2.10/32 dev eth1 noprefixroute
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 192.0.2.9 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 192.0.2.10 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.37 lookup 10001 pref 20001
+ rule from 192.0.2.9 lookup 10001 pref 20001
+ rule from 192.0.2.10 lookup 10001 pref 20001`},
		{"two subnets have two guards", ours(two), only("rule", "addr", "default"), `
+ addr 10.0.2.37/24 dev eth1 noprefixroute
+ addr 10.0.3.5/32 dev eth1 noprefixroute
+ addr 10.0.3.6/32 dev eth1 noprefixroute
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.3.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.37 lookup 10001 pref 20001
+ rule from 10.0.3.5 lookup 10001 pref 20001
+ rule from 10.0.3.6 lookup 10001 pref 20001`},
		{"the primary interface gets its secondaries", Input{Interface: primary, Have: leased, OwnAddress: true, MainTable: true}, all, `
+ addr 10.0.0.30/32 dev eth1 noprefixroute
+ addr 2001:db8::a/128 dev eth1 noprefixroute`},
		{"one interface, one address: nothing", Input{Interface: lone, Have: bare(), OwnAddress: true, MainTable: true}, all, ""},
		{"an address in no subnet is an error", ours(iface(func(c *metadata.Interface) { c.Subnets4 = prefixes("10.9.0.0/24") })), noLink,
			"! 10.0.2.37 is in none of the interface's subnets: left out"},
	})
}

func TestWantForeignOwner(t *testing.T) {
	owner := func(addr string) Snapshot {
		return with(func(s *Snapshot) { s.Addrs = []Addr{{Prefix: netip.MustParsePrefix(addr)}} })
	}
	check(t, []golden{
		{"the owner's address is there", Input{Interface: eth1(), Have: owner("10.0.2.37/24"), MainTable: true}, only("addr", "default", "rule"), `
+ route default via 10.0.2.1 dev eth1 table 10001 src 10.0.2.37
+ route default via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001
+ rule from 10.0.2.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001
+ rule from 10.0.2.37 lookup 10001 pref 20001`},
		{"not there yet", Input{Interface: eth1(), Have: owner("169.254.7.7/16"), MainTable: true}, noLink,
			"! no address yet: waiting for 10.0.2.37"},
		{"nothing is known", Input{Have: bare(), OwnAddress: true, MainTable: true}, noLink,
			"! no address yet: neither the metadata nor a lease has named one"},
	})
	for _, in := range []Input{{Interface: eth1(), Have: bare()}, {Have: bare(), OwnAddress: true}} {
		if _, err := Want(in); !errors.Is(err, ErrNoAddress) {
			t.Errorf("%v is not ErrNoAddress", err)
		}
	}
}

func TestWantForeignSecondary(t *testing.T) {
	have := with(func(s *Snapshot) {
		s.Addrs = []Addr{{Prefix: netip.MustParsePrefix("10.0.2.4/24")}, {Prefix: netip.MustParsePrefix("10.0.2.4/32"), NoPrefixRoute: true, Ours: true}}
	})
	in := ours(iface(func(c *metadata.Interface) { c.Addrs4 = addrs("10.0.2.37", "10.0.2.4") }))
	in.Have = have
	check(t, []golden{{"somebody's own /24 does the job", in, only("addr", "from 10.0.2.4 "), `
+ addr 10.0.2.37/24 dev eth1 noprefixroute
+ rule from 10.0.2.4 lookup 10001 pref 20001
- addr 10.0.2.4/32 dev eth1 noprefixroute`}})
}
