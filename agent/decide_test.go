package agent

import (
	"errors"
	"net/netip"
	"testing"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// What is done with an interface, and which of two reasons counts when both are there.
func TestMode(t *testing.T) {
	full := config.Interface{Manage: config.Full}
	alone, link := config.Interface{Manage: config.None}, config.Interface{Manage: config.LinkUp}
	back := &plumb.State{}
	for _, tt := range []struct {
		what string
		of   Facts
		want mode
	}{
		{"nothing is known yet", Facts{Settings: full}, modeKeep},
		{"all is known", Facts{Settings: full, known: true}, modeManage},
		{"another host has the leased address", Facts{Settings: full, conflict: true}, modeConflict},
		{"another host has it, and the metadata grants another one", Facts{Settings: full, conflict: true, known: true}, modeManage},
		{"left alone by the configuration", Facts{Settings: alone, known: true}, modeRelease},
		{"the link alone", Facts{Settings: link}, modeRelease},
		{"the configuration hangs on the metadata", Facts{Settings: alone, undecided: true}, modeWait},
		{"rolled back", Facts{Settings: full, known: true, rolledBack: back}, modeRollBack},
		{"rolled back, and the configuration leaves it alone now", Facts{Settings: alone, rolledBack: back}, modeRollBack},
		{"another program's", Facts{Settings: full, known: true, ownedByOther: true}, modeForeign},
		{"another program's, after a change was rolled back", Facts{Settings: full, ownedByOther: true, rolledBack: back}, modeForeign},
		{"two devices with one MAC", Facts{Settings: full, role: roleAmbiguous, known: true, ownedByOther: true}, modeWait},
		{"a virtual function", Facts{Settings: full, role: roleFunction, ownedByOther: true, rolledBack: back}, modeNone},
	} {
		if got := tt.of.mode(); got != tt.want {
			t.Errorf("%s: mode %d, want %d", tt.what, got, tt.want)
		}
	}
}

// What should be there, by what is known: whose address it is, and what of an earlier time goes.
func TestWantedByMode(t *testing.T) {
	granted := metadata.Interface{MAC: metadata.MAC{2}, DeviceNumber: 1,
		Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37")}), Subnets4: metadata.Is([]netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")})}
	lease := &dhcp.Lease{Addr: netip.MustParsePrefix("10.0.2.37/24"), Router: addr("10.0.2.1")}
	ours := plumb.Addr{Prefix: netip.MustParsePrefix("10.0.2.99/24"), Ours: true}
	have := plumb.Snapshot{MAC: granted.MAC, State: plumb.State{Name: "eth1", Index: 3, Link: plumb.LinkState{Up: true, MTU: 9001}, Addrs: []plumb.Addr{ours}}}
	found := &plumb.Baseline{Link: plumb.LinkState{MTU: 1500}}
	manage := config.Default().Defaults
	for _, tt := range []struct {
		what   string
		of     Facts
		addrs  string // those of ours
		rules  bool
		up     bool
		mtu    int
		refuse error
	}{
		{"all that is granted", Facts{Settings: manage, known: true, granted: granted, Lease: lease, ownAddress: true, before: found}, "10.0.2.37/24", true, true, 9001, nil},
		{"a lease alone", Facts{Settings: manage, known: true, Lease: lease, ownAddress: true, before: found}, "10.0.2.37/24", true, true, 9001, nil},
		{"another program has to add the address", Facts{Settings: manage, known: true, granted: granted, before: found}, "10.0.2.99/24", false, true, 9001, plumb.ErrNoAddress},
		{"nothing known", Facts{Settings: manage, before: found}, "10.0.2.99/24", false, true, 9001, nil},
		{"left alone", Facts{Settings: config.Interface{Manage: config.None}, known: true, granted: granted, before: found}, "", false, false, 1500, nil},
		{"left alone, the primary", Facts{Settings: config.Interface{Manage: config.None}, known: true, primary: true, before: found}, "", false, true, 9001, nil},
		{"another program's", Facts{Settings: manage, ownedByOther: true, known: true, granted: granted, before: found}, "", false, true, 9001, nil},
		{"its address is another host's", Facts{Settings: manage, conflict: true, before: found}, "", false, true, 1500, nil},
		{"a virtual function", Facts{Settings: manage, role: roleFunction, known: true, granted: granted, before: found}, "", false, false, 1500, nil},
		{"two devices with one MAC", Facts{Settings: manage, role: roleAmbiguous, known: true, granted: granted, before: found}, "10.0.2.99/24", false, true, 9001, errAmbiguous},
	} {
		got, err := tt.of.Want(have)
		addrs := ""
		for _, a := range got.Addrs {
			if a.Ours {
				addrs += a.Prefix.String()
			}
		}
		if addrs != tt.addrs || len(got.Rules) > 0 != tt.rules || got.Link.Up != tt.up || got.Link.MTU != tt.mtu || !errors.Is(err, tt.refuse) {
			t.Errorf("%s: addresses %q, rules %v, up %v, MTU %d, %v", tt.what, addrs, len(got.Rules) > 0, got.Link.Up, got.Link.MTU, err)
		}
	}
}
