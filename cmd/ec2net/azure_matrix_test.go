package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
	"ec2net/test/lab"
)

// azureMachine has interfaces in three of four subnets, with three IPv4 and two IPv6 addresses each, of which
// the primary one is numerically the last, and a public address.
func azureMachine(ifaces int) lab.Config {
	cfg := lab.Config{Cloud: lab.Azure, RPFilter: 1, VPC: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8:a:100::/56")}}
	for i := range 4 {
		cfg.Subnets = append(cfg.Subnets, lab.Subnet{
			ID:   fmt.Sprintf("subnet-%d", i),
			CIDR: netip.MustParsePrefix(fmt.Sprintf("10.1.%d.0/24", i)), IPv6: netip.MustParsePrefix(fmt.Sprintf("2001:db8:a:10%d::/64", i)),
		})
	}
	for i := range ifaces {
		iface := lab.Interface{Name: fmt.Sprintf("eth%d", i)}
		for _, n := range []int{30 + i, 20 + i, 10 + i} {
			iface.Addrs4 = append(iface.Addrs4, addr(fmt.Sprintf("10.1.%d.%d", i%3, n)))
		}
		for _, n := range []int{30 + i, 20 + i} {
			iface.Addrs6 = append(iface.Addrs6, addr(fmt.Sprintf("2001:db8:a:10%d::%d", i%3, n)))
		}
		iface.EIPs = map[netip.Addr]netip.Addr{iface.Addrs4[0]: addr(fmt.Sprintf("203.0.113.%d", 100+i)), iface.Addrs4[2]: addr(fmt.Sprintf("203.0.113.%d", 110+i))}
		cfg.Interfaces = append(cfg.Interfaces, iface)
	}
	return cfg
}

// azureKinds are the places that packets go to: neighbours, the internet, the host's own devices, and
// the platform, which main reaches by the primary interface.
var azureKinds = map[string][2]string{
	"subnet a":       {"10.1.0.200", "2001:db8:a:100::200"},
	"subnet b":       {"10.1.1.200", "2001:db8:a:101::200"},
	"another subnet": {"10.1.3.200", "2001:db8:a:103::200"},
	"internet":       {"198.51.100.146", "2001:db8:ffff::146"},
	"the platform":   {"168.63.129.16", ""},
	"docker0":        kinds["docker0"],
	"vpn0":           kinds["vpn0"],
}

// Machines of two to eight interfaces, kept by a process each: what comes from an address of an interface leaves by
// that interface wherever it goes, the internet and a load balancer's probe are answered, and what has no
// address yet reaches the platform by the primary. Eight keepers begin at one moment, in spite of a
// service that answers five requests a second.
func TestAzureMatrix(t *testing.T) {
	t.Parallel()
	for _, ifaces := range []int{2, 3, 8} {
		t.Run(fmt.Sprint(ifaces), func(t *testing.T) {
			t.Parallel()
			c := cloud(t, azureMachine(ifaces))
			for i, kind := range []string{"subnet a", "subnet b", "another subnet"} {
				_, err := c.AddPeer(fmt.Sprintf("peer%d", i), addr(azureKinds[kind][0]), addr(azureKinds[kind][1]))
				must(t, err)
			}
			neighbours(t, c)
			captures := azureKeepers(t, c)
			leave(t, c, shots(c, azureKinds), captures, listenLocal(t, c, "docker0", "vpn0"))
			explained(t, c, shots(c, azureKinds))
			for _, iface := range c.Interfaces() {
				for _, public := range iface.EIPs {
					answers(t, c, public)
				}
				probed(t, c, iface)
			}
			platformByPrimary(t, c, captures)
			t.Logf("%d interfaces: requests by status %v", ifaces, c.IMDS().Stats().ByStatus)
		})
	}
}

// azureKeepers keeps every interface. To every other one a router advertises itself; the rest know the gateway all
// the same.
func azureKeepers(t *testing.T, c *lab.Cloud) map[string]*lab.Capture {
	t.Helper()
	captures := map[string]*lab.Capture{}
	var keepers []*kept
	for i, iface := range c.Interfaces() {
		if i%2 == 0 {
			advertise(t, c, iface.Name, lab.Advert{})
		}
		keepers = append(keepers, start(t, c, iface.Name))
		capture, err := c.Capture(iface.Name)
		must(t, err)
		captures[iface.Name] = capture
	}
	for _, k := range keepers {
		k.notify.await(t, "READY=1")
	}
	eventually(t, hang, "the primary's own table", func() bool {
		return strings.Count(ip(t, c, "rule")+ip(t, c, "-6 rule"), "lookup 10000") == 5
	})
	return captures
}

// probed: a load balancer's probe of each address is answered by the address's interface.
func probed(t *testing.T, c *lab.Cloud, iface lab.Interface) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	for _, a := range slices.Concat(iface.Addrs4, iface.Addrs6) {
		service, err := c.Instance().Echo(netip.AddrPortFrom(a, 0))
		must(t, err)
		if by, err := c.Probe(ctx, service.Addr); err != nil || by != iface.Name {
			t.Errorf("a probe of %s was answered by %q, want %s: %v", a, by, iface.Name, err)
		}
		must(t, service.Close())
	}
}

// platformByPrimary: the platform's addresses are reached by the primary.
func platformByPrimary(t *testing.T, c *lab.Cloud, captures map[string]*lab.Capture) {
	t.Helper()
	primary := c.Interfaces()[0].Name
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	for i, a := range metadata.CloudAzure.Traits().Servers {
		to := netip.AddrPortFrom(a, uint16(40000+i))
		must(t, c.Instance().Do(func() error { return shoot(netip.IPv4Unspecified(), to) }))
		seen := func(p lab.Packet) bool { return p.Proto == unix.IPPROTO_UDP && p.DstPort == to.Port() && p.Dst == a }
		if _, err := captures[primary].Wait(ctx, lab.FromInterface, seen); err != nil {
			t.Errorf("%s is not reached by %s", a, primary)
		}
		if out := ip(t, c, "route get "+a.String()); !strings.Contains(out, "dev "+primary+" ") {
			t.Errorf("to %s: %s", a, out)
		}
	}
}
