package lab

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// defaults6 lists the routers of the instance's IPv6 default routes through an interface.
func defaults6(t *testing.T, c *Cloud, iface string) (out []string) {
	t.Helper()
	h := c.Instance().Netlink()
	l, err := h.LinkByName(iface)
	must(t, err)
	routes, err := h.RouteList(l, netlink.FAMILY_V6)
	must(t, err)
	for _, r := range routes {
		if r.Gw != nil {
			out = append(out, r.Gw.String())
		}
	}
	return out
}

// The kernel of the instance believes the fabric's advertisements, and its withdrawals.
func TestAdvertise(t *testing.T) {
	t.Parallel()
	c := newCloud(t, Config{})
	h := c.Instance().Netlink()
	l, err := h.LinkByName("eth1")
	must(t, err)
	must(t, h.LinkSetUp(l))
	must(t, c.Settle("eth1"))
	events, stop := make(chan netlink.RouteUpdate, 64), make(chan struct{})
	defer close(stop)
	ns := c.Instance().NetNS()
	must(t, netlink.RouteSubscribeWithOptions(events, stop, netlink.RouteSubscribeOptions{Namespace: &ns, ErrorCallback: func(error) {}}))
	until := func(want string) {
		t.Helper()
		limit := time.After(hang)
		for strings.Join(defaults6(t, c, "eth1"), " ") != want {
			select {
			case <-events:
			case <-limit:
				t.Fatalf("routers are %v, want %q", defaults6(t, c, "eth1"), want)
			}
		}
	}
	until("")
	// The kernel forgets a route that has expired only when it collects garbage, by default every 30 s.
	// In a user namespace that cannot be changed.
	if err := c.Instance().Sysctl("net/ipv6/route/gc_interval", "1"); !errors.Is(err, fs.ErrNotExist) {
		must(t, err)
	}
	first, err := c.Advertise("eth1", Advert{Interval: 20 * time.Millisecond})
	must(t, err)
	until("fe80:ec2::1")
	other, err := c.Advertise("eth1", Advert{Router: netip.MustParseAddr("fe80::99"), Interval: 20 * time.Millisecond, Lifetime: time.Second})
	must(t, err)
	until("fe80:ec2::1 fe80::99")
	must(t, first.Withdraw())
	until("fe80::99")
	other.Stop()
	until("") // it expires

	slaac := netip.MustParsePrefix("2001:db8:ec2:2::/64")
	_, err = c.Advertise("eth1", Advert{Interval: 20 * time.Millisecond, Slaac: []netip.Prefix{slaac}})
	must(t, err)
	until("fe80:ec2::1")
	addrs, err := h.AddrList(l, netlink.FAMILY_V6)
	must(t, err)
	made := false
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		made = made || slaac.Contains(ip)
	}
	if !made {
		t.Errorf("no address was made from %s: %v", slaac, addrs)
	}
}

func TestAdvertiseRefuses(t *testing.T) {
	t.Parallel()
	c := newCloud(t, Config{})
	for want, a := range map[string]Advert{
		"router 2001:db8::1 is no IPv6 link-local address": {Router: netip.MustParseAddr("2001:db8::1")},
		"router 169.254.1.1 is no IPv6 link-local address": {Router: netip.MustParseAddr("169.254.1.1")},
		"lifetime 1ms: it is 1s to 65535s":                 {Lifetime: time.Millisecond},
		"lifetime 19h0m0s: it is 1s to 65535s":             {Lifetime: 19 * time.Hour},
		"interval 1ns: it is at least 1ms":                 {Interval: 1},
	} {
		if _, err := c.Advertise("eth1", a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
	if _, err := c.Advertise("eth7", Advert{}); err == nil {
		t.Error("an interface that does not exist gets advertisements")
	}
}
