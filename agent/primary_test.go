package agent

import (
	"strings"
	"testing"

	"ec2net/metadata"
	"ec2net/state"
)

// The evidence in its order, for eth0 (index 2) and eth1 (index 3).
func TestStanding(t *testing.T) {
	t.Parallel()
	mac0, mac1 := metadata.MAC{2, 0}, metadata.MAC{2, 1}
	pci := func(s string) slot { return slotOf("/sys/devices/pci0000:00/" + s + "/net") }
	eth0, eth1 := tiedInterface{name: "eth0", index: 2}, tiedInterface{name: "eth1", index: 3}
	tie := func(change ...func(eth0, eth1 *tiedInterface)) primaryFacts {
		a, b := eth0, eth1
		for _, c := range change {
			c(&a, &b)
		}
		return primaryFacts{tied: []tiedInterface{a, b}}
	}
	slots := func(first, second string) func(a, b *tiedInterface) {
		return func(a, b *tiedInterface) { a.slot, b.slot = pci(first), pci(second) }
	}
	for _, tt := range []struct {
		name     string
		facts    primaryFacts
		zero     bool // eth0 is secondary
		one      bool // eth1 is
		evidence state.Evidence
		text     string // part of it; empty: nothing is said
	}{
		{"nothing known", primaryFacts{}, false, false, state.EvidenceRoutes, ""},
		{"the host leaves elsewhere", primaryFacts{elsewhere: true}, true, true, state.EvidenceRoutes, ""},
		{"the metadata has named eth0", primaryFacts{known: mac0}, false, true, state.EvidenceMetadata, ""},
		{"the metadata goes before routes", primaryFacts{known: mac1, elsewhere: true}, true, false, state.EvidenceMetadata, ""},
		{"and before all else", func() primaryFacts { f := tie(); f.known = mac1; return f }(), true, false, state.EvidenceMetadata, ""},
		{"a tie goes by the index", tie(), false, true, state.EvidenceOrder, "eth0 counts as the primary"},
		{"and by the slot", tie(slots("0000:00:05.0", "0000:00:06.0")), false, true, state.EvidenceOrder, "it comes first"},
		{"which is a number", tie(slots("0000:00:0f.0", "0000:00:10.0")), false, true, state.EvidenceOrder, ""},
		{"the two differ", tie(slots("0000:00:06.0", "0000:00:05.0")), false, false, state.EvidenceNone, "eth0 was found first, and eth1 has the first slot"},
		{"on one the slot is not told", tie(func(a, _ *tiedInterface) { a.slot = pci("0000:00:05.0") }), false, false, state.EvidenceNone, "different ways"},
		{"on two buses", tie(func(a, b *tiedInterface) { a.slot, b.slot = pci("0000:00:05.0"), slotOf("/sys/devices/vif-1") }), false, false, state.EvidenceNone, "different ways"},
		{"a connection by eth1 alone", tie(func(_, b *tiedInterface) { b.connections = 1 }), true, false, state.EvidenceConnections, "open connections use its alone"},
		{"a connection decides where the order does not", tie(slots("0000:00:06.0", "0000:00:05.0"), func(a, _ *tiedInterface) { a.connections = 2 }), false, true, state.EvidenceConnections, "eth0 counts"},
		{"connections by both", tie(func(a, b *tiedInterface) { a.connections, b.connections = 1, 9 }), false, true, state.EvidenceOrder, ""},
		{"eth1 is set up already, so its connections say nothing", tie(func(_, b *tiedInterface) { b.connections, b.secondary = 1, true }), false, true, state.EvidenceOrder, ""},
		{"eth0 is, so eth1 is not touched", tie(func(a, _ *tiedInterface) { a.secondary = true }), true, false, state.EvidenceOrder, "eth1 counts"},
		{"both are", tie(func(a, b *tiedInterface) { a.secondary, b.secondary = true, true }), true, true, state.EvidenceOrder, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, want := range []bool{tt.zero, tt.one} {
				f := tt.facts
				f.self, f.mac = 2+i, []metadata.MAC{mac0, mac1}[i]
				s := f.standing()
				if s.secondary != want || s.evidence != tt.evidence || !strings.Contains(s.text(), tt.text) {
					t.Errorf("eth%d: %+v (%s)", i, s, s.text())
				}
				if s.guessed() != (want && tt.evidence != state.EvidenceMetadata) {
					t.Errorf("eth%d is guessed: %t", i, s.guessed())
				}
				if (s.recorded() != nil) != (s.text() != "") {
					t.Errorf("eth%d: said is %q, recorded %+v", i, s.text(), s.recorded())
				}
			}
		})
	}
}

// The paths are those of real machines.
func TestSlot(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]slot{
		"": {}, "/sys/devices/virtual/net/eth0": {},
		"/sys/devices/pci0000:00/0000:00:05.0":              {"pci", 5 << 3},
		"/sys/devices/pci0000:00/0000:00:06.1/virtio2":      {"pci", 6<<3 | 1},
		"/sys/devices/pci0000:00/0000:00:1d.0/0000:3f:00.0": {"pci", 0x3f << 8},
		"/sys/devices/pci10000:00/10000:00:02.0":            {"pci", 0x10000<<16 | 2<<3},
		"/sys/devices/vif-0":                                {"xen", 0},
		"/sys/devices/vif-12":                               {"xen", 12},
		"/sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0004:00/VMBUS:00/000d3a5b-1111-000d-3a5b-11": {},
		"/sys/devices/pci0000:00/0000:00:05.0.1":                                               {},
		"/sys/devices/pci0000:00/0000:00:zz.0":                                                 {},
		"/sys/devices/vif-x":                                                                   {},
	} {
		if got := slotOf(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}
