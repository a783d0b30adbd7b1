package metadata

import (
	"net/netip"
	"regexp"
	"slices"
	"testing"
)

// Every cloud's traits hold together, whether it has a reader yet or not.
func TestProviders(t *testing.T) {
	names := map[Cloud]bool{CloudNone: true, "": true, "auto": true}
	for _, p := range everyCloud() {
		tr := p.Traits
		if names[p.Name] {
			t.Errorf("%s is named twice", p.Name)
		}
		names[p.Name] = true
		if len(tr.Metadata) == 0 || len(tr.Drivers) == 0 {
			t.Errorf("%s: the metadata is at %v, the drivers are %v", p.Name, tr.Metadata, tr.Drivers)
		}
		for _, a := range tr.Metadata {
			if !slices.Contains(tr.Servers, a) {
				t.Errorf("%s: %s is no server that the primary asks", p.Name, a)
			}
		}
		if g := tr.Gateway6; g.IsValid() && !g.IsLinkLocalUnicast() {
			t.Errorf("%s: the IPv6 router is %s", p.Name, g)
		}
		for _, form := range []string{tr.ID, tr.AltName} {
			if _, err := regexp.Compile(form); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
		if got := p.Name.Traits(); !slices.Equal(got.Servers, tr.Servers) {
			t.Errorf("%s: by its name it has the servers %v", p.Name, got.Servers)
		}
		if _, ok := ProviderOf(p.Name); ok != (p.Open != nil) {
			t.Errorf("%s has a reader: %v, and can be chosen: %v", p.Name, p.Open != nil, ok)
		}
	}
	if got := CloudNone.Traits(); len(got.Servers) > 0 {
		t.Errorf("no cloud has the servers %v", got.Servers)
	}
}

// A source asks where the traits say.
func TestProviderAsksItsServers(t *testing.T) {
	for _, p := range Providers() {
		s, err := p.Open(Options{Host: func(...netip.Addr) (Host, error) { return Host{}, nil }})
		must(t, err)
		if at := s.Server(); at.Port() != 80 || at.Addr() != p.Traits.Metadata[0] {
			t.Errorf("%s is asked at %s, the traits say %v", p.Name, at, p.Traits.Metadata)
		}
		s.Close()
	}
	for i, want := range []string{endpoint4, endpoint6} {
		if got := serverOf(want).Addr(); got != CloudEC2.Traits().Metadata[i] {
			t.Errorf("%s is %s", want, got)
		}
	}
}

// Ids of any cloud's interfaces, and which of them can only be ours as an alternative name.
func TestIDs(t *testing.T) {
	for _, tt := range []struct {
		s       string
		id, alt bool
	}{
		{"eni-0123456789abcdef0", true, true},
		{"eni-0a1b2c3d", true, true},
		{"eni-bp1abcdefghijklmnopqr", true, true}, // Alibaba's
		{"sif-0123456789abcdef0", true, true},     // a kind that EC2 has announced
		{"vpc-lan", true, false},                  // somebody's own name
		{"enp0s3", false, false},
		{"eni-", false, true},
		{"ENI-0123456789abcdef0", false, false},
		{"ocid1.vnic.oc1.phx.abyhqljtexampleexampleexampleexampleexampleexampleexamplea", true, true},
		{"ocid1.instance.oc1.phx.abyhqljt", false, false},
		{"", false, false},
	} {
		if id, alt := IsID(tt.s), IsAltName(tt.s); id != tt.id || alt != tt.alt {
			t.Errorf("%q: an id %v, ours as a name %v", tt.s, id, alt)
		}
	}
}
