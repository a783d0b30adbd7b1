package plumb

import "net/netip"

// The rules that have the traffic of the host itself leave by the interface, and those that keep the cloud's services
// on the primary.

// egress has the host's own traffic leave by the interface, as far as the interface has a default route.
func (w *want) egress() {
	for _, six := range []bool{false, true} {
		if !w.in.Egress.on(six) || !hasDefault(w.out.Routes, Table(w.n()), six) {
			continue
		}
		rank, all := uint32(w.in.Egress.Rank), everywhere(six)
		w.out.Rules = append(w.out.Rules,
			Rule{Pref: prefStay + rank, From: all, Table: tableMain, MinBits: network, Owner: Table(w.n())},
			Rule{Pref: prefEgress + rank, From: all, Table: Table(w.n())})
	}
}

// services keeps the cloud's servers on the primary interface. An address of another interface that talks to
// them has a source rule, which comes first.
func (w *want) services() {
	for _, a := range w.in.Services {
		if hasDefault(w.out.Routes, Table(w.n()), a.Is6()) {
			w.out.Rules = append(w.out.Rules, serviceRule(w.n(), a))
		}
	}
}

// serviceRule keeps what goes to a server of the cloud on the interface with number n.
func serviceRule(n int, server netip.Addr) Rule {
	return Rule{Pref: prefService, From: everywhere(server.Is6()), To: netip.PrefixFrom(server, server.BitLen()), Table: Table(n)}
}
