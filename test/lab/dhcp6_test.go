package lab

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dhclient6 asks for a lease by DHCPv6 with ISC's client, and returns what it noted down.
func dhclient6(t *testing.T, c *Cloud, iface string, patience time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	leases := filepath.Join(dir, "leases")
	// The client itself changes nothing: its script is /bin/true.
	cmd := c.Instance().Command(t.Context(), "dhclient", "-6", "-1", "-d", "-sf", "/bin/true", "-lf", leases, "-pf", filepath.Join(dir, "pid"), "-cf", "/dev/null", iface)
	said := &Log{}
	cmd.Stdout, cmd.Stderr = said, said
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if b, _ := os.ReadFile(leases); strings.Contains(string(b), "iaaddr") {
			return string(b)
		}
	}
	t.Logf("dhclient on %s: %s", iface, said)
	return ""
}

// ownAddress waits until an interface's own IPv6 address is usable. The kernel gets that ready in a worker of its
// own, also without duplicate address detection; ISC's client binds it at once, and ends when it can not.
func ownAddress(t *testing.T, c *Cloud, iface string) {
	t.Helper()
	l, err := c.Instance().Netlink().LinkByName(iface)
	must(t, err)
	events, stop := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	defer close(stop)
	ns := c.Instance().NetNS()
	must(t, netlink.AddrSubscribeWithOptions(events, stop, netlink.AddrSubscribeOptions{Namespace: &ns, ListExisting: true, ErrorCallback: func(error) {}}))
	for limit := within(t).Done(); ; {
		select {
		case a, open := <-events:
			if !open {
				t.Fatal("the kernel tells of addresses no more")
			}
			if a.NewAddr && a.LinkIndex == l.Attrs().Index && a.LinkAddress.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				return
			}
		case <-limit:
			t.Fatalf("%s has no IPv6 address of its own", iface)
		}
	}
}

// A client that nobody here wrote gets the interface's address for ever, and nothing where the interface has none.
func TestAzureDHCP6(t *testing.T) {
	c := newAzure(t)
	a := netip.MustParseAddr("2001:db8:a2e:2::9")
	must(t, c.Assign("eth2", a, a.Next()))
	up(t, c, "eth2")
	up(t, c, "eth3")
	ownAddress(t, c, "eth2")
	ownAddress(t, c, "eth3")
	got := dhclient6(t, c, "eth2", hang)
	for _, want := range []string{"iaaddr 2001:db8:a2e:2::9 {", "max-life 4294967295"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the lease:\n%s", want, got)
		}
	}
	said := c.DHCP6().Messages(time.Time{})
	if len(said) < 2 || said[0].Type != "SOLICIT" || said[0].Reply != "ADVERTISE" || said[1].Type != "REQUEST" || said[1].Reply != "REPLY" ||
		said[1].Interface != "eth2" || said[1].Given != a {
		t.Errorf("conversation: %+v", said)
	}
	begin := time.Now()
	if got := dhclient6(t, c, "eth3", time.Second); got != "" {
		t.Errorf("an interface without IPv6 has a lease:\n%s", got)
	}
	must(t, c.DHCP6().Wait(within(t), begin, func(m []DHCP6Message) bool { return len(m) > 0 && m[0].Interface == "eth3" && !m[0].Given.IsValid() }))
	if newCloud(t, Config{}).DHCP6() != nil {
		t.Error("EC2 has it too")
	}
}

// The router advertises itself by Azure's address.
func TestAzureAdvert(t *testing.T) {
	c := newAzure(t)
	must(t, c.Instance().Sysctl("net/ipv6/conf/eth2/accept_ra", "2"))
	up(t, c, "eth2")
	_, err := c.Advertise("eth2", Advert{})
	must(t, err)
	for end := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		out := run(t, c.Instance(), "ip -6 route show default")
		if strings.Contains(out, "via fe80::1234:5678:9abc dev eth2 proto ra") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("default routes: %s", out)
		}
	}
}
