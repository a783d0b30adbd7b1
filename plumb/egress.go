package plumb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ec2net/metadata"
)

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
