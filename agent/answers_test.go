package agent

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
)

// An interface is not ready before the kernel answers for its IPv6 addresses.
func TestSetOnceAnswered(t *testing.T) {
	t.Parallel()
	mac := metadata.MAC{2, 0, 0, 0, 0, 0x11}
	six := netip.MustParseAddr("2001:db8::37")
	for _, tt := range []struct {
		name     string
		answered []netip.Addr
		set      bool
	}{
		{"not yet", nil, false}, {"answered", []netip.Addr{six}, true},
	} {
		a := &Agent{converged: true, NIC: NIC{iface: config.Interface{Manage: config.Full}}}
		a.dhcpOwner, a.answered, a.settled.MAC, a.last.MAC = "off", true, mac, mac
		a.snap = plumb.Snapshot{MAC: mac, Answered: tt.answered}
		a.snap.Addrs = []plumb.Addr{{Prefix: netip.PrefixFrom(six, 128), Ours: true}}
		if a.phase().Settled() != tt.set {
			t.Errorf("%s: the phase is %s", tt.name, a.phase())
		}
		if waits := strings.Contains(a.text(), "waiting for the kernel to answer for 2001:db8::37"); waits == tt.set {
			t.Errorf("%s: %s", tt.name, a.text())
		}
	}
}
