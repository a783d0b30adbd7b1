package agent

import (
	"fmt"
	"slices"
	"strings"

	"ec2net/metadata"
	"ec2net/state"
)

// Which interface is the primary while the metadata says nothing: the decision. The evidence, best first: what the
// metadata has said to any process since the boot; main's default routes, by which the host itself leaves; where they
// are equal, as systemd-networkd makes them when it has a lease on each interface (metric 1024), the one that open
// connections go by; else the order in which the interfaces are plugged in and were found. Only the first kind is
// certain. So a secondary interface alone is ever set up by the others, which gives it a table and rules for its own
// addresses and takes nothing from another interface, and the connectivity check judges that as strictly as on the
// primary.

// primaryFacts are what the primary is told from. The zero value: nothing is known.
type primaryFacts struct {
	// self is the index of the interface in question, mac its MAC.
	self int
	mac  metadata.MAC
	// known is the primary's MAC by the metadata; zero: they have never named it.
	known metadata.MAC
	// elsewhere is true if main prefers another interface's default route.
	elsewhere bool
	// tied are the interfaces with equal default routes, the one in question among them; empty: it is alone.
	tied []tiedInterface
}

// tiedInterface is one of several whose default routes have the same metric.
type tiedInterface struct {
	name  string
	index int
	// slot is where it is plugged in; zero: the kernel does not tell.
	slot slot
	// connections are open through it with hosts that only a default route leads to.
	connections int
	// secondary is true if its process has already set it up as a secondary interface.
	secondary bool
}

// standing is what the evidence says of an interface.
type standing struct {
	// secondary is true if another interface is the primary.
	secondary bool
	evidence  state.Evidence
	// primary is the name of the interface that counts as the primary where the default routes do not tell it.
	primary string
	// doubt is why that cannot be told; "": it can, or there is nothing to tell.
	doubt string
}

// guessed reports whether the interface may be the primary after all.
func (s standing) guessed() bool { return s.secondary && s.evidence != state.EvidenceMetadata }

// text says for a person what counts as the primary, where default routes do not tell; "" where they do.
func (s standing) text() string {
	switch {
	case s.doubt != "":
		return "which interface is the primary is not known: default routes of equal metrics, and " + s.doubt
	case s.primary == "":
		return ""
	case s.evidence == state.EvidenceConnections:
		return s.primary + " counts as the primary, since of equal default routes open connections use its alone"
	}
	return s.primary + " counts as the primary, since of interfaces with equal default routes it comes first"
}

// recorded is the standing for the record; nil where it says nothing that the metadata or the routes do not.
func (s standing) recorded() *state.Primary {
	if s.text() == "" {
		return nil
	}
	return &state.Primary{Name: s.primary, Evidence: s.evidence, Doubt: s.doubt}
}

// standing weighs the evidence.
func (f primaryFacts) standing() standing {
	switch {
	case f.known != metadata.MAC{}:
		return standing{secondary: f.known != f.mac, evidence: state.EvidenceMetadata}
	case len(f.tied) == 0:
		return standing{secondary: f.elsewhere, evidence: state.EvidenceRoutes}
	}
	rest := slices.DeleteFunc(slices.Clone(f.tied), func(t tiedInterface) bool { return t.secondary })
	open := slices.DeleteFunc(slices.Clone(rest), func(t tiedInterface) bool { return t.connections == 0 })
	switch {
	case len(rest) == 0: // each process has decided, at the same moment, that another interface is the primary
		return standing{secondary: true, evidence: state.EvidenceOrder}
	case len(open) == 1:
		return f.by(state.EvidenceConnections, open[0])
	}
	first, doubt := firstOf(rest)
	if doubt != "" {
		return standing{evidence: state.EvidenceNone, doubt: doubt}
	}
	return f.by(state.EvidenceOrder, first)
}

// by is the verdict where one of the tied interfaces counts as the primary.
func (f primaryFacts) by(e state.Evidence, primary tiedInterface) standing {
	return standing{secondary: primary.index != f.self, evidence: e, primary: primary.name}
}

// firstOf is the interface that the host was started with, by the order of their indexes, in which the kernel found
// them, and by that of their slots, where the kernel tells it of each. If the two differ, neither is believed: drivers
// may be probed beside each other, and a later interface may take a lower slot.
func firstOf(list []tiedInterface) (first tiedInterface, doubt string) {
	byIndex := slices.MinFunc(list, func(a, b tiedInterface) int { return a.index - b.index })
	bySlot := slices.MinFunc(list, func(a, b tiedInterface) int { return a.slot.compare(b.slot) })
	told, bus := 0, true
	for _, t := range list {
		if t.slot != (slot{}) {
			told++
		}
		bus = bus && t.slot.bus == list[0].slot.bus
	}
	switch {
	case told == 0:
		return byIndex, ""
	case told < len(list) || !bus:
		return byIndex, fmt.Sprintf("%s are plugged in in different ways", strings.Join(namesOf(list), " and "))
	case byIndex.index != bySlot.index:
		return byIndex, fmt.Sprintf("%s was found first, and %s has the first slot", byIndex.name, bySlot.name)
	}
	return byIndex, ""
}

func namesOf(list []tiedInterface) (out []string) {
	for _, t := range list {
		out = append(out, t.name)
	}
	return out
}
