package main

import (
	"net/netip"
	"testing"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/state"
)

// Azure's platform in a lease tells the first interface only where one interface alone has such a lease.
func TestPlatformLease(t *testing.T) {
	t.Parallel()
	one, two := metadata.MAC{2, 1}, metadata.MAC{2, 2}
	with := func(mac metadata.MAC, wire string) state.Record {
		r := state.Record{MAC: mac, Lease: &dhcp.Lease{}}
		r.Lease.Wire, _ = netip.ParseAddr(wire)
		return r
	}
	for _, tt := range []struct {
		name    string
		records []state.Record
		want    metadata.MAC
	}{
		{"no record", nil, metadata.MAC{}},
		{"no lease", []state.Record{{MAC: one}}, metadata.MAC{}},
		{"one interface", []state.Record{with(two, ""), with(one, "168.63.129.16"), {MAC: two}}, one},
		{"one interface under two names", []state.Record{with(one, "168.63.129.16"), with(one, "168.63.129.16")}, one},
		{"every interface", []state.Record{with(one, "168.63.129.16"), with(two, "168.63.129.16")}, metadata.MAC{}},
	} {
		if got := platformLease(tt.records); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
