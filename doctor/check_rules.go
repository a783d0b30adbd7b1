package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"ec2net/plumb"
)

// checkTable looks for routes of others in the card's own table.
func checkTable(f Facts, c Card) []Finding {
	var out []Finding
	for _, r := range f.FIB.Routes {
		if r.Table != c.table() || r.Protocol == plumb.Protocol || !c.hasRules() {
			continue
		}
		v := Warn
		for _, p := range c.Probes {
			path := f.FIB.way(Packet{Src: p.Src, Dst: p.Peer})
			if path.Table == r.Table && f.FIB.text(path.Route) == f.FIB.text(r) && !path.leavesBy(c.Index) {
				v = Fail
			}
		}
		out = append(out, Finding{
			ID: "table-collision", Verdict: v, Card: c.Name, Summary: fmt.Sprintf("another program writes into its table %d", r.Table),
			Evidence: []string{fmt.Sprintf("%s (protocol %d)", f.FIB.text(r), r.Protocol)},
			Remedy:   fmt.Sprintf("have that program use another table; ip route del %s table %d", f.FIB.text(r), r.Table),
		})
	}
	return out
}

// checkRuleCollision looks for rules of others at the preferences of the card's own.
func checkRuleCollision(f Facts, c Card) []Finding {
	var out []Finding
	for _, r := range f.FIB.Rules {
		if r.ours() || !c.prefers(r.Pref) {
			continue
		}
		fd := Finding{
			ID: "rule-collision", Verdict: Warn, Card: c.Name, Summary: fmt.Sprintf("a rule of another program has the preference %d of its own", r.Pref),
			Evidence: []string{fmt.Sprintf("%d: %s", r.Pref, r)}, Remedy: "give that rule another preference",
		}
		if fd.about = f.caught(c, r); len(fd.about) > 0 {
			fd.Verdict = Fail
		}
		out = append(out, fd)
	}
	return out
}

func (c Card) prefers(pref uint32) bool {
	for _, r := range c.Want.Rules {
		if r.Pref == pref {
			return true
		}
	}
	return false
}

// checkInFront looks for rules of others that decide before the card's own, and otherwise.
func checkInFront(f Facts, c Card) []Finding {
	var out []Finding
	for _, r := range f.FIB.Rules {
		if r.ours() || c.prefers(r.Pref) || !c.hasRules() || r.Pref >= c.last() {
			continue
		}
		if about := f.caught(c, r); len(about) > 0 {
			out = append(out, Finding{
				ID: "rule-in-front", Verdict: Fail, Card: c.Name, Summary: "a rule of another program decides before its own",
				Evidence: []string{fmt.Sprintf("%d: %s, for %v", r.Pref, r, about)},
				Remedy:   fmt.Sprintf("give that rule a preference above %d, or narrow it", c.last()), about: about,
			})
		}
	}
	return out
}

// last is the preference of the card's source rules.
func (c Card) last() (pref uint32) {
	for _, r := range c.Want.Rules {
		pref = max(pref, r.Pref)
	}
	return pref
}

// caught are the card's addresses whose packets a rule of another program takes, out of a wrong card.
func (f Facts) caught(c Card, r Rule) (out []netip.Addr) {
	for _, p := range c.Probes {
		path := f.FIB.way(Packet{Src: p.Src, Dst: p.Peer})
		if path.By != r || path.leavesBy(c.Index) {
			continue
		}
		if len(out) == 0 || out[len(out)-1] != p.Src {
			out = append(out, p.Src)
		}
	}
	return out
}

// checkMainDefault: what the host itself sends leaves by the primary card, in each family that it has.
func checkMainDefault(f Facts, c Card) []Finding {
	var out []Finding
	for _, six := range []bool{false, true} {
		best, ok := f.FIB.mainDefault(six)
		switch {
		case !c.Primary || len(c.Granted.Addrs4.Value) == 0 && !six || len(c.Granted.Addrs6.Value) == 0 && six:
		case !ok && !six:
			out = append(out, Finding{
				ID: "main-default", Verdict: Fail, Card: c.Name, Summary: "the table main has no default route: the host itself reaches nobody",
				Remedy: "have the program that configures " + c.Name + " set it up again",
			})
		case ok && !best.leads(c.Index):
			out = append(out, f.usurped(c, best)...)
		}
	}
	return out
}

func (r Route) leads(index int) bool {
	return slices.ContainsFunc(r.Hops, func(h Hop) bool { return h.Index == index })
}

// usurped: main's default route leads by another card of the cloud.
func (f Facts) usurped(c Card, best Route) (out []Finding) {
	for _, o := range f.Cards {
		if best.leads(o.Index) {
			out = append(out, Finding{
				ID: "main-default", Verdict: Fail, Card: o.Name, also: c.Name, Summary: fmt.Sprintf("the host's own connections leave by it, not by the primary card %s", c.Name),
				Evidence: []string{"table main: " + f.FIB.text(best)},
				Remedy:   fmt.Sprintf("give its default route a higher metric than %s's, or: ip route del %s", c.Name, f.FIB.text(best)),
			})
		}
	}
	return out
}

func (f FIB) mainDefault(six bool) (best Route, ok bool) {
	for _, r := range f.Routes {
		if r.Table == tableMain && r.Dst.Bits() == 0 && r.Dst.Addr().Is6() == six && r.Type == typeUnicast && (!ok || r.Metric < best.Metric) {
			best, ok = r, true
		}
	}
	return best, ok
}
