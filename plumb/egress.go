package plumb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ec2net/metadata"
)

// Egress says that the host's own traffic leaves by the interface. Several interfaces may have the rules for a
// moment, while one takes over from another: the lowest rank has it.
type Egress struct {
	Rank       int // place in the order of preference, 0 to maxRank
	IPv4, IPv6 bool
}

// on says whether one family leaves by the interface.
func (e Egress) on(six bool) bool { return (six && e.IPv6) || (!six && e.IPv4) }

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

// Leading is the state without the rules by which a family leaves by the interface that does so no more.
func (s State) Leading(e Egress) State {
	s.Rules = slices.DeleteFunc(slices.Clone(s.Rules), func(r Rule) bool { return r.Kind().moves() && !e.on(r.From.Addr().Is6()) })
	return s
}

// TakesBack: the plan does nothing but take the host's own traffic back from the interface.
func (p Plan) TakesBack() bool {
	return !slices.ContainsFunc(p, func(o Op) bool {
		r, ok := o.Rule()
		return !ok || o.Verb != Del || !r.Kind().moves()
	})
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

// Leads is how the interface stands among those that the host's own traffic may leave by. rank is its own
// place, or -1 when it has not got the rules. better: another interface has them and comes before an interface
// of the rank limit; of two with the same rank the lower table.
func (s Snapshot) Leads(six bool, limit int) (rank int, better bool) {
	rank = -1
	table := ^uint32(0)
	for _, r := range s.Rules {
		if r.leads(six) {
			rank, table = int(r.Pref)-prefEgress, r.Table
		}
	}
	for _, r := range s.Leaving {
		other := int(r.Pref) - prefEgress
		before := other < limit || (other == limit && r.Table < table)
		better = better || (before && r.leads(six))
	}
	return rank, better
}

// ErrUnprotected says that the primary interface's own traffic would leave by another one, were the host's
// traffic to leave there: connections to its addresses would end.
var ErrUnprotected = errors.New("its own rules are not set up yet")

// Protected says whether the primary interface keeps its own traffic of one family: each address that the
// cloud gave it has a source rule, and its table a way out; and the cloud's servers are reached by it.
func Protected(have Snapshot, primary metadata.Interface, six bool, services []netip.Addr) error {
	if !slices.ContainsFunc(have.Addrs, func(a Addr) bool { return a.Prefix.Addr().Is6() == six && !a.Prefix.Addr().IsLinkLocalUnicast() }) {
		return nil // nothing of this family to keep
	}
	n := primary.N()
	var want []Rule
	for _, ip := range append(slices.Clone(primary.Addrs4.Value), primary.Addrs6.Value...) {
		if ip.Is6() == six && have.hasAddr(ip) {
			want = append(want, sourceRule(n, netip.PrefixFrom(ip, ip.BitLen())))
		}
	}
	if len(want) == 0 {
		return fmt.Errorf("%w: the cloud has not said which addresses are its own", ErrUnprotected)
	}
	for _, a := range services {
		if a.Is6() == six {
			want = append(want, serviceRule(n, a))
		}
	}
	for _, r := range want {
		if !slices.ContainsFunc(have.Rules, r.does) {
			return fmt.Errorf("%w: no %s", ErrUnprotected, r.text())
		}
	}
	if !hasDefault(have.Routes, Table(n), six) {
		return fmt.Errorf("%w: no default route in table %d", ErrUnprotected, Table(n))
	}
	return nil
}
