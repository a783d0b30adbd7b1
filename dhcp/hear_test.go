package dhcp

import (
	"context"
	"net/netip"
	"os/exec"
	"testing"
	"time"
)

// A client of this host is heard, by what it sends to a server or by its ARP probe, whichever is first; other hosts'
// clients, and what is no DHCP, are not.
func TestHear(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(*bed)
		want string // "": nothing
	}{
		{"dhclient", func(b *bed) {
			b.client4([]string{"dhclient", "-d", "-4", "-sf", "/bin/true", "-lf", b.TempDir() + "/leases", "-pf", b.TempDir() + "/pid", "c0"})
		}, "DHCP message"},
		{"udhcpc", func(b *bed) { b.client4([]string{"udhcpc", "-f", "-s", "/bin/true", "-i", "c0"}) }, "DHCP message"},
		{"dhcpcd", func(b *bed) {
			b.client4([]string{"dhcpcd", "-B", "-4", "-c", "/bin/true", "-C", "resolv.conf", "c0"})
		}, "DHCP message"},
		{"an ARP probe", func(b *bed) {
			s, err := b.iface.listenARP(watchFilter(netip.MustParseAddr("10.66.0.9")))
			b.must(err)
			defer s.close()
			b.must(s.broadcast(probe([6]byte(b.iface.MAC), netip.MustParseAddr("10.66.0.9")).bytes()))
		}, "ARP probe"},
		{"another host's client, and a ping", func(b *bed) {
			b.wire("x0", otherMAC, b.client) // its broadcasts reach c0
			// It gets no lease, and says so by its exit status.
			_ = exec.Command("udhcpc", "-f", "-q", "-n", "-t", "1", "-T", "1", "-s", "/bin/true", "-i", "x0").Run()
			b.addr(b.c, "c0", "10.66.0.77/24")
			b.must(exec.Command("ping", "-c", "1", "10.66.0.1").Run())
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			heard, err := b.iface.Hear(ctx)
			b.must(err)
			tt.do(b)
			if tt.want == "" {
				cancel()
			}
			select {
			case h := <-heard:
				if h.What != tt.want {
					t.Errorf("heard: %+v, want %q", h, tt.want)
				}
			case <-time.After(patience):
				t.Error("the channel is still open")
			}
		})
	}
}
