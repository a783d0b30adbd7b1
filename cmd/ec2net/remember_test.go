package main

import (
	"net/netip"
	"testing"

	"github.com/sirupsen/logrus"

	"ec2net/metadata"
	"ec2net/plumb"
)

// A card without IPv6 and with a rule for its address: a new process knows from the kernel which address,
// and from the record that there is no IPv6, which the kernel cannot tell from "never asked".
func TestLastGood(t *testing.T) {
	r := aRecord(t)
	r.Card.Addrs6, r.Card.Prefixes6 = metadata.None[[]netip.Addr](), metadata.Is([]netip.Prefix{netip.MustParsePrefix("2001:db8::/80")})
	a := &agent{record: r, log: logrus.New()}
	s := plumb.Snapshot{State: plumb.State{Name: "eth1", Rules: []plumb.Rule{
		{Pref: 20001, From: netip.MustParsePrefix("10.0.2.40/32"), Table: 10001},
	}}, MAC: r.MAC}
	got := a.lastGood(s)
	if len(got.Addrs4.Value) != 1 || got.Addrs4.Value[0] != addr("10.0.2.40") {
		t.Errorf("the kernel has 10.0.2.40, and this says %v", got.Addrs4)
	}
	if got.Addrs6.Status != metadata.Absent || got.Prefixes6.Status != metadata.Present || got.ID != "eni-0a1" {
		t.Errorf("the record is forgotten: %+v", got)
	}
}
