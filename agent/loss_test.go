package agent

import (
	"net/netip"
	"testing"

	"ec2net/plumb"
)

// A lost connection counts as one where only the first losses are named.
func TestLostConnection(t *testing.T) {
	was := plumb.Way{Index: 999998} // no device's
	route := plumb.Loss{Was: was, Is: plumb.Way{Index: 999999}}
	server := plumb.Loss{Was: was, Flow: plumb.Flow{Remote: netip.MustParseAddrPort("169.254.169.254:80")}}
	connection := plumb.Loss{Was: was, Flow: plumb.Flow{Local: netip.MustParseAddrPort("10.0.0.29:22"), Remote: netip.MustParseAddrPort("192.0.2.1:999")}}
	taken := plumb.Loss{Was: was, Is: plumb.Way{Index: 1, Local: true}, Flow: connection.Flow} // no other interface is to blame
	for kind, l := range map[plumb.LossKind]plumb.Loss{plumb.LossDefault: route, plumb.LossServer: server, plumb.LossConnection: connection} {
		if l.Kind() != kind {
			t.Errorf("%+v is of kind %d, want %d", l, l.Kind(), kind)
		}
	}
	for _, tt := range []struct {
		lost []plumb.Loss
		want bool
		text string
	}{
		{nil, false, ""},
		{[]plumb.Loss{route, server}, false, "the default route would go by device 999999, not by device 999998; requests to the metadata would go nowhere, where it does not answer, not by device 999998"},
		{[]plumb.Loss{connection}, true, "the connection of 10.0.0.29:22 with 192.0.2.1:999 would go nowhere, not by device 999998"},
		{[]plumb.Loss{taken}, false, "the connection of 10.0.0.29:22 with 192.0.2.1:999 would go to this host itself, not by device 999998"},
		{[]plumb.Loss{route, route, route, connection}, true, "the default route would go by device 999999, not by device 999998; the default route would go by device 999999, not by device 999998; " +
			"the default route would go by device 999999, not by device 999998; and 1 more"},
	} {
		if got := describe(tt.lost); got.connection() != tt.want || got.String() != tt.text {
			t.Errorf("%v: connection %v, %q", tt.lost, got.connection(), got)
		}
	}
}
