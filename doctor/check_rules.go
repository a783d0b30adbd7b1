package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"ec2net/plumb"
)

// checkTable looks for routes of others in the interface's own table.
func checkTable(f Facts, c Interface) []Finding {
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
		by := f.FIB.ofRoute(r)
		remedy := fmt.Sprintf("have that program use another table, %s; ip%s route del %s table %d", by.where(), six(r.Dst.Addr().Is6()), f.FIB.text(r), r.Table)
		if _, gone := f.FIB.gone(r); gone {
			remedy = "wait for the next boot, or have it read its files: networkctl reload (it leases anew, which interrupts traffic for a moment)"
		}
		out = append(out, Finding{
			ID: "table-collision", Verdict: v, Interface: c.Name, Summary: fmt.Sprintf("another program has routes in its table %d", r.Table),
			Evidence: []string{by.written(f.FIB.text(r))}, Remedy: remedy,
		})
	}
	return out
}

// checkRuleCollision looks for rules of others at the preferences of the interface's own.
func checkRuleCollision(f Facts, c Interface) []Finding {
	var out []Finding
	for _, r := range f.FIB.Rules {
		if r.ours() || !c.prefers(r) {
			continue
		}
		fd := Finding{
			ID: "rule-collision", Verdict: Warn, Interface: c.Name, Summary: fmt.Sprintf("another program's rule has the same preference (%d) as one of its own", r.Pref),
			Evidence: []string{f.FIB.ofRule(r).written(fmt.Sprintf("%d: %s", r.Pref, r))}, Remedy: f.FIB.behind([]Rule{r}, c.last()),
		}
		for _, s := range f.swayed(c) {
			if s.rule == r && s.lost {
				fd.Verdict, fd.about = Fail, appendNew(fd.about, s.src)
			}
		}
		out = append(out, fd)
	}
	return out
}

// prefers: a rule of the interface has the same preference, in the same family.
func (c Interface) prefers(o Rule) bool {
	for _, r := range c.Want.Rules {
		if r.Pref == o.Pref && r.From.Addr().Is6() == o.Six {
			return true
		}
	}
	return false
}

// checkInFront looks for rules of others that decide before the interface's own, and otherwise. A rule that is
// added without a preference gets the lowest one minus 1, which is before all of ours.
func checkInFront(f Facts, c Interface) []Finding {
	var rules []Rule
	out := Finding{ID: "rule-in-front", Verdict: Warn, Interface: c.Name, Summary: "another program's rule comes before its own: the host's bridges, tunnels and static routes cannot be reached from its addresses"}
	for _, s := range f.swayed(c) {
		if c.prefers(s.rule) {
			continue
		}
		if s.lost {
			out.Verdict, out.Summary = Fail, "another program's rule comes before its own"
			out.about = appendNew(out.about, s.src)
		}
		if !slices.Contains(rules, s.rule) {
			rules = append(rules, s.rule)
			out.Evidence = append(out.Evidence, fmt.Sprintf("%s; from %s to %s %s, not %s", f.FIB.ofRule(s.rule).written(fmt.Sprintf("%d: %s", s.rule.Pref, s.rule)), s.src, s.peer, f.FIB.outcome(s.is), f.FIB.outcome(s.should)))
		}
	}
	if len(rules) == 0 {
		return nil
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Pref, b.Pref) })
	out.Remedy = f.FIB.behind(rules, c.last())
	return []Finding{out}
}

// six is ip(8)'s option for a family.
func six(yes bool) string {
	if yes {
		return " -6"
	}
	return ""
}

func appendNew(list []netip.Addr, a netip.Addr) []netip.Addr {
	if slices.Contains(list, a) {
		return list
	}
	return append(list, a)
}

// last is the preference of the interface's last rule of those for its addresses.
func (c Interface) last() (pref uint32) {
	for _, r := range c.Want.Rules {
		if r.From.IsValid() && r.From.Bits() > 0 && r.Iif == "" {
			pref = max(pref, r.Pref)
		}
	}
	return pref
}

// checkMainDefault: what the host itself sends leaves by the primary interface, in each family that it has.
func checkMainDefault(f Facts, c Interface) []Finding {
	var out []Finding
	for _, six := range []bool{false, true} {
		best, ok := f.FIB.mainDefault(six)
		switch {
		case !c.Primary || !c.grantsFamily(six):
		case !ok && !six:
			out = append(out, Finding{
				ID: "main-default", Verdict: Fail, Interface: c.Name, Summary: "the main table has no default route: the host can reach nothing outside its own subnets",
				Remedy: configurer(c),
			})
		case ok && !best.leads(c.Index) && !f.FIB.hasDefault(six, c.Index):
			out = append(out, f.lost(c, best)...)
		case ok && !best.leads(c.Index):
			out = append(out, f.overridden(c, best)...)
		}
	}
	return out
}

// grantsFamily reports whether the cloud grants the interface addresses of a family.
func (c Interface) grantsFamily(six bool) bool {
	if six {
		return len(c.Granted.Addrs6.Value) > 0
	}
	return len(c.Granted.Addrs4.Value) > 0
}

// leads reports whether one of the route's ways is by the device.
func (r Route) leads(index int) bool {
	return slices.ContainsFunc(r.Hops, func(h Hop) bool { return h.Index == index })
}

// lost: the primary interface has lost its own default route, so that what another's has is only the best of the rest.
func (f Facts) lost(c Interface, best Route) []Finding {
	out := Finding{
		ID: "main-default", Verdict: Fail, Interface: c.Name, Summary: "it has no default route in the main table: except for connections to its own subnet, the host's own connections do not leave by it",
		Evidence: []string{"main table: " + f.FIB.ofRoute(best).written(f.FIB.text(best))}, Remedy: configurer(c),
	}
	if len(f.FIB.addressesOf(c.Index)) == 0 {
		out.Summary = "it has lost its addresses and its default route"
	}
	if c.Manager != "" {
		out.Evidence = append(out.Evidence, "it is configured by "+c.Manager)
		out.Remedy = restore(c)
	}
	return []Finding{out}
}

// configurer is who sets the primary interface up again.
func configurer(c Interface) string {
	if c.Hosts {
		return again(c)
	}
	return "have the program that configures " + c.Name + " set it up again"
}

// restore is how the program that configures an interface is told to do so again.
func restore(c Interface) string {
	switch c.Manager {
	case "NetworkManager":
		return "nmcli device connect " + c.Name
	case "systemd-networkd":
		return "networkctl reconfigure " + c.Name
	case "ifupdown":
		return "ifdown --force " + c.Name + "; ifup " + c.Name
	}
	return "have " + c.Manager + " set " + c.Name + " up again"
}

// hasDefault reports whether the device has a default route of the family in main, whatever its metric.
func (f FIB) hasDefault(six bool, index int) bool {
	return slices.ContainsFunc(f.table(tableMain), func(r Route) bool {
		return r.isDefault(six) && r.leads(index)
	})
}

// overridden: main's default route leads by another interface of the cloud.
func (f Facts) overridden(c Interface, best Route) (out []Finding) {
	for _, o := range f.Interfaces {
		if best.leads(o.Index) {
			out = append(out, Finding{
				ID: "main-default", Verdict: Fail, Interface: o.Name, also: c.Name, Summary: fmt.Sprintf("the host's own connections leave by it, not by the primary interface %s, except for those to hosts in their subnets", c.Name),
				Evidence: []string{"main table: " + f.FIB.ofRoute(best).written(f.FIB.text(best))},
				Remedy:   fmt.Sprintf("give its default route a higher metric than %s's, or: ip route del %s", c.Name, f.FIB.text(best)),
			})
		}
	}
	return out
}

// mainDefault is main's default route of the lowest metric, the first of equal ones.
func (f FIB) mainDefault(six bool) (best Route, ok bool) {
	for _, r := range f.Routes {
		if r.Table == tableMain && r.isDefault(six) && (!ok || r.Metric < best.Metric) {
			best, ok = r, true
		}
	}
	return best, ok
}

// isDefault: it is a family's default route, and leads somewhere.
func (r Route) isDefault(six bool) bool {
	return r.Dst.Bits() == 0 && r.Dst.Addr().Is6() == six && r.Type == typeUnicast
}
