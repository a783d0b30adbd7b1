package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/test/lab"
)

// Every place of 32 network interfaces with 32 devices has a table, rules and a name of its own, and none
// of them is another interface's, the kernel's, or one of those that run on a lease alone.
func TestEveryPlace(t *testing.T) {
	t.Parallel()
	tables, names, prefs := map[uint32]string{253: "default", 254: "main", 255: "local", 0: "none"}, map[string]string{}, map[uint32]string{0: "local", 32766: "main", 32767: "default"}
	take := func(place, kind string, used bool, by string) {
		if used {
			t.Errorf("%s: its %s is that of %s", place, kind, by)
		}
	}
	for i := range 1000 {
		tables[plumb.Table(plumb.DegradedN(i))] = "an interface on its lease alone"
	}
	for iface := range 32 {
		for device := range 32 {
			if iface == 0 && device == 0 {
				continue // the primary
			}
			place := fmt.Sprintf("network card %d, device %d", iface, device)
			state := placed(t, iface, device)
			table, name := plumb.Table(100*iface+device), state.AltNames[len(state.AltNames)-1]
			take(place, "table", tables[table] != "", tables[table])
			take(place, "name "+name, names[name] != "", names[name])
			tables[table], names[name] = place, place
			for _, r := range state.Rules {
				take(place, "preference", prefs[r.Pref] != "" && prefs[r.Pref] != place, prefs[r.Pref])
				prefs[r.Pref] = place
				if kind := r.Kind(); (kind == plumb.RuleSource || kind == plumb.RuleMarkReply) && r.Table != table {
					t.Errorf("%s: %v looks elsewhere than in table %d", place, r, table)
				}
			}
			if own := state.Numbers(); len(own) != 1 || own[0] != 100*iface+device {
				t.Errorf("%s: its rules tell %v", place, own)
			}
		}
	}
}

// placed is the state of a dual-stack interface at one place.
func placed(t *testing.T, iface, device int) plumb.State {
	t.Helper()
	four, six := netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("2001:db8:ec2:2::/64")
	state, err := plumb.Want(plumb.Input{
		Interface: metadata.Interface{
			MAC: metadata.MAC{2, 1}, ID: "eni-0ec2", NetworkCard: iface, DeviceNumber: device,
			Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37")}), Subnets4: metadata.Is([]netip.Prefix{four}),
			Addrs6: metadata.Is([]netip.Addr{addr("2001:db8:ec2:2::37")}), Subnets6: metadata.Is([]netip.Prefix{six}),
			Prefixes4: metadata.None[[]netip.Prefix](), Prefixes6: metadata.None[[]netip.Prefix](),
		},
		Have:       plumb.Snapshot{State: plumb.State{Name: "eth1", Index: 3}},
		OwnAddress: true, MainTable: true, Gateway6: metadata.CloudEC2.Traits().Gateway6,
	})
	must(t, err)
	return state
}

// Interfaces on several network cards: a table each, of which device 0 on the second one is no primary,
// and their names. An interface for EFA alone has no address: its link is up, and that is all.
func TestNetworkCards(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{RPFilter: 1, Interfaces: []lab.Interface{
		lab.Eth0(), lab.Eth1(),
		{Name: "eth2", NetworkCard: 1, Addrs4: []netip.Addr{addr("10.0.2.61")}, EIPs: map[netip.Addr]netip.Addr{addr("10.0.2.61"): addr("203.0.113.61")}},
		{Name: "efa0", NetworkCard: 1, DeviceNumber: 1, Subnet: "subnet-c"},
	}})
	for _, iface := range []string{"eth1", "eth2"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	answers(t, c, lab.EIP2)
	answers(t, c, addr("203.0.113.61"))
	holds(t, ip(t, c, "rule"), "from 10.0.2.61 lookup 10100")
	for iface, name := range map[string]string{"eth1": "device-number-1", "eth2": "device-number-0.1"} {
		if out := ip(t, c, "link show dev "+name); !strings.Contains(out, " "+iface+"@") {
			t.Errorf("%s is %s", name, out)
		}
	}
	rules := ip(t, c, "rule")
	out := ec2net(t, c, exitOK, "up", "efa0")
	k := keep(t, c, "efa0")
	out += ec2net(t, c, exitOK, "up", "efa0")
	says(t, out+k.notify.log.String(), "no address")
	for line := range strings.Lines(k.notify.log.String()) {
		if strings.Contains(line, "waiting for ") && !strings.Contains(line, "first answer") {
			t.Errorf("it waited: %s", line)
		}
	}
	if out := ip(t, c, "link show dev device-number-1.1"); !strings.Contains(out, ",UP") {
		t.Errorf("the link of an interface without address: %s", out)
	}
	if now := ip(t, c, "rule"); now != rules {
		t.Errorf("an interface without address got rules:\n%s", now)
	}
	asked := len(c.DHCP().Messages(time.Time{}))
	requests := len(c.IMDS().Requests(time.Time{}))
	eventually(t, hang, "the next reading", func() bool { return len(c.IMDS().Requests(time.Time{})) > requests })
	if n := len(c.DHCP().Messages(time.Time{})) - asked; n != 0 {
		t.Errorf("%d DHCP messages for an interface that is known to have no address", n)
	}
	k.stop(t)
	if log := k.log.String(); strings.Contains(log, "DHCP") {
		t.Errorf("the log:\n%s", log)
	}
	ec2net(t, c, exitOK, "down", "efa0")
}

// A host in a secondary interface's subnet reaches the primary interface's addresses before that interface is there,
// while it is there, and after: main leads to that subnet by the secondary interface, for its own address.
func TestPrimaryBesideOthers(t *testing.T) {
	t.Parallel()
	cfg := dual(lab.Config{RPFilter: 1})
	second := cfg.Interfaces[1]
	cfg.Interfaces = cfg.Interfaces[:1]
	c := cloud(t, cfg)
	peer, err := c.AddPeer("neighbour", addr("10.0.2.200"), addr("2001:db8:ec2:2::200"))
	must(t, err)
	before := ip(t, c, "rule") + ip(t, c, "-6 rule") + ip(t, c, "route show table all") + ip(t, c, "-6 route show table all")
	k := keep(t, c, "eth0")
	reached := func(when string) {
		t.Helper()
		t.Log(when)
		for _, a := range []netip.Addr{addr("10.0.0.29"), eth0v6} {
			reaches(t, peer, a, lab.Ping{})
		}
	}
	reached("before")
	must(t, c.Attach(second))
	k1 := keep(t, c, "eth1")
	eventually(t, hang, "rules of the primary", func() bool {
		return strings.Contains(ip(t, c, "rule"), "from 10.0.0.29 lookup 10000") && strings.Contains(ip(t, c, "-6 rule"), "lookup 10000")
	})
	reached("beside eth1")
	answers(t, c, lab.EIP2)
	must(t, c.Detach("eth1"))
	k1.end(t)
	eventually(t, hang, "nothing is left", func() bool {
		return before == ip(t, c, "rule")+ip(t, c, "-6 rule")+ip(t, c, "route show table all")+ip(t, c, "-6 route show table all")
	})
	reached("after")
	k.stop(t)
}

// Requests to the metadata that one interface may cost: at first, and each time that it is looked at again.
const (
	firstReading = 11
	laterReading = 6
)

// 60 interfaces of five network interfaces, read twice each by a client of its own, as by as many processes.
func TestRequestBudget(t *testing.T) {
	t.Parallel()
	const ifaces = 60
	cfg := lab.Config{Subnets: []lab.Subnet{{ID: "wide", CIDR: netip.MustParsePrefix("10.0.0.0/20"), IPv6: netip.MustParsePrefix("2001:db8:ec2::/64")}}}
	for i := range ifaces {
		cfg.Interfaces = append(cfg.Interfaces, lab.Interface{
			Name: fmt.Sprintf("eth%d", i), NetworkCard: i % 5,
			Addrs4:    []netip.Addr{addr(fmt.Sprintf("10.0.0.%d", 10+i)), addr(fmt.Sprintf("10.0.1.%d", 10+i))},
			Addrs6:    []netip.Addr{addr(fmt.Sprintf("2001:db8:ec2::%d", 10+i))},
			Prefixes4: []netip.Prefix{netip.PrefixFrom(addr(fmt.Sprintf("10.0.%d.%d", 2+i/16, i%16*16)), 28)},
		})
	}
	c := cloud(t, cfg)
	endpoint := relay(t, c)
	for _, iface := range c.Interfaces() {
		client, err := metadata.NewEC2(metadata.EC2Options{Endpoint: endpoint, Timeout: hang})
		must(t, err)
		for _, budget := range []int{firstReading, laterReading} {
			before := c.IMDS().Stats().Requests
			got, err := client.Read(t.Context(), iface.MAC)
			must(t, err)
			if n := c.IMDS().Stats().Requests - before; n > budget {
				t.Errorf("%s: %d requests, at most %d are allowed", iface.Name, n, budget)
			}
			if got.N() != 100*iface.NetworkCard+iface.DeviceNumber || len(got.Addrs4.Value) != 2 || len(got.Prefixes4.Value) != 1 || len(got.Problems) > 0 {
				t.Errorf("%s: %+v", iface.Name, got)
			}
		}
	}
	t.Logf("%d requests for two readings of %d interfaces", c.IMDS().Stats().Requests, ifaces)
}

// relay makes the lab's metadata server reachable from this process, which is on no host of the lab.
func relay(t *testing.T, c *lab.Cloud) string {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { at.Close() })
	go func() {
		for {
			here, err := at.Accept()
			if err != nil {
				return
			}
			there, err := c.Instance().Dial(t.Context(), "tcp", "169.254.169.254:80")
			if err != nil {
				here.Close()
				continue
			}
			pipe := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				to.Close()
			}
			go pipe(here, there)
			go pipe(there, here)
		}
	}()
	return "http://" + at.Addr().String()
}
