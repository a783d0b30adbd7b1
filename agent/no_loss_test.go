package agent

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"ec2net/plumb"
)

// What only looks like a loss: a connection that has ended meanwhile, and a server that was silent before.
func TestNoLoss(t *testing.T) {
	dialled := 0
	look := connectivityCheck{
		server: func() (netip.AddrPort, bool) { return netip.AddrPort{}, false },
		dial:   func(context.Context, netip.AddrPort) error { dialled++; return errGone },
	}
	was := plumb.Way{Index: 2}
	ended := plumb.Loss{Flow: plumb.Flow{Local: netip.MustParseAddrPort("10.0.0.29:22"), Remote: netip.MustParseAddrPort("192.0.2.1:999")}, Was: was}
	server := plumb.Loss{Flow: plumb.Flow{Remote: netip.MustParseAddrPort("169.254.169.254:80")}, Was: was}
	route := plumb.Loss{Was: was, Is: plumb.Way{Index: 3}}
	lost, err := look.confirmed(t.Context(), []plumb.Loss{ended, server, route})
	if err != nil || len(lost) != 1 || dialled != 0 {
		t.Errorf("%+v, %v; dialled %d times", lost, err, dialled)
	}
	look.server = func() (netip.AddrPort, bool) { return netip.AddrPort{}, true }
	if lost, err := look.confirmed(t.Context(), []plumb.Loss{server}); err != nil || len(lost) != 1 || dialled != dials {
		t.Errorf("%+v, %v; dialled %d times", lost, err, dialled)
	}
	if text := describe(append(lost, ended, ended, ended, ended)).String(); !strings.HasSuffix(text, "; and 2 more") {
		t.Error(text)
	}
}
