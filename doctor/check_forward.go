package doctor

import (
	"slices"
	"strings"

	"ec2net/plumb"
)

// checkForward: where traffic is passed on under an interface's address, a chain of another program that drops it is in
// the way, as Docker's is. Its rules are tried with what is known of that traffic: the interfaces, the subnet that it comes
// from or goes to, the connection's state. Where a rule asks for something else, as for ports, it may apply or not.
func checkForward(f Facts) (out []Finding) {
	for _, c := range f.Chains {
		var may outcome
		for _, p := range f.passages() {
			may |= c.fate(p)
		}
		finding := Finding{ID: "forward", Verdict: Fail, Summary: "another program drops the traffic that [nat] forwards", Remedy: f.pass(c)}
		switch {
		case c.Family == "ip6" || may&drops == 0:
			continue
		case !f.surelyDrops(c):
			if !c.Drops { // it accepts what it does not know
				continue
			}
			finding.Verdict, finding.Summary = Warn, "another program drops some of the traffic that [nat] forwards, or may drop it: its rules ask for more than interfaces and the subnet"
			finding.Remedy = "see " + c.show() + "; " + finding.Remedy
		}
		finding.Evidence = []string{c.String() + ": " + map[bool]string{true: "policy drop", false: "by its rules"}[c.Drops]}
		out = append(out, finding)
	}
	return out
}

// surelyDrops: of the packets that are passed on, those of one kind are dropped whatever is not known of them.
func (f Facts) surelyDrops(c Chain) bool {
	return slices.ContainsFunc(f.passages(), func(p passage) bool { return c.fate(p) == drops })
}

// passages are the packets that [nat] passes on: what opens a connection, what follows, and what is answered.
func (f Facts) passages() (out []passage) {
	for _, c := range f.Interfaces {
		for _, r := range c.Want.Rules {
			in, ok := f.FIB.Named(r.Iif)
			if r.Kind() != plumb.RuleNATMain || !ok {
				continue
			}
			outside := f.FIB.link(c.Index)
			out = append(out,
				passage{in: in, out: outside, src: r.From, state: ctNew},
				passage{in: in, out: outside, src: r.From, state: ctEstablished},
				passage{in: outside, out: in, dst: r.From, state: ctEstablished, reply: true})
		}
	}
	return out
}

// pass is what lets the traffic of [nat] through a chain: an accept in another table does not overrule its drop.
func (f Facts) pass(chain Chain) string {
	var out []string
	for _, p := range f.passages() {
		command := chain.accept(p.in.Name, p.out.Name)
		if !slices.Contains(out, command) {
			out = append(out, command)
		}
	}
	return "have that program accept it; until then: " + strings.Join(out, "; ")
}
