package metadata

import (
	"testing"
)

// FuzzAzure: whatever the document is, an interface that comes of it holds canonical values only, and every
// refusal is a line.
func FuzzAzure(f *testing.F) {
	three := document(f, "three")
	for _, s := range []string{three, three[:400], `{"interface":[null,{},{"macAddress":"020000000002"}]}`, `{"interface":{"1":{"macAddress":"020000000002","ipv4":{"ipAddress":[{"privateIpAddress":"10.0.0.4"}],"subnet":[{"address":"10.0.0.0","prefix":24}]}}}}`,
		`{"interface":[{"macAddress":"02-00-00-00-00-02","ipv6":{"ipAddress":[{"privateIpAddress":"fe80::1%eth0"},{"privateIpAddress":"2001:db8::1/64"}]}}]}`,
		`{"interface":[{"macAddress":"020000000002","ipv4":{"subnet":[{"address":"10.0.0.0","prefix":"-1"}]}}]}`, `{"interface":[[]]}`, `[]`, `{"interface":"x"}`, "\x00", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseNetwork(s)
		if err != nil {
			checkRefusals(t, []error{err})
			return
		}
		checkRefusals(t, n.odd)
		macs := n.macs()
		if len(macs) > 0 {
			n.first = macs[0]
		}
		n.numbers = numbers(macs, n.first, nil)
		seen := map[int]bool{}
		for _, m := range macs {
			iface := n.iface(m)
			checkInterface(t, iface)
			if seen[iface.N()] || iface.Primary != (iface.N() == 0) {
				t.Errorf("%s has %d", m, iface.N())
			}
			seen[iface.N()] = true
		}
	})
}

func checkInterface(t *testing.T, c Interface) {
	for _, err := range c.Problems {
		checkRefusals(t, []error{err})
	}
	for _, a := range append(c.Addrs4.Value, c.Addrs6.Value...) {
		if !a.IsGlobalUnicast() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("address %s", a)
		}
	}
	for _, p := range append(c.Subnets4.Value, c.Subnets6.Value...) {
		if p != p.Masked() || p.Bits() < 8 {
			t.Errorf("subnet %s", p)
		}
	}
	if c.Addrs4.Status == Absent || c.Subnets4.Status == Absent {
		t.Error("an interface without IPv4 is believed")
	}
}
