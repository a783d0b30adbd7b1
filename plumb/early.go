package plumb

// arrange puts the rules where the setting wants them, also those that were kept as the kernel has them.
func (w *want) arrange() {
	seen := map[Rule]bool{}
	var out []Rule
	for _, r := range w.out.Rules {
		if r = r.at(w.in.Priority); !seen[r] {
			seen[r], out = true, append(out, r)
		}
	}
	w.out.Rules = out
}

// at is the rule where the rules begin at a preference, or where each interface has its own (0).
func (r Rule) at(first uint32) Rule {
	n, ok := r.n()
	kind := r.Kind()
	if !ok || kind.shared() || (first == 0 && !r.early()) {
		return r
	}
	switch {
	case kind.guards():
		return r.guardAt(first, n)
	case r.Table != Table(n):
		return r // not of a form that is moved
	case kind == RuleMarkReply:
		r.Pref = orElse(first, earlyMark, prefMark)
	default:
		r.Pref = orElse(first, earlySource, uint32(baseSource+n))
	}
	return r
}

func (r Rule) guardAt(first uint32, n int) Rule {
	r.Pref, r.Owner = orElse(first, earlyGuard, uint32(baseTable+n)), 0
	if first != 0 {
		r.Owner = Table(n)
	}
	return r
}

// orElse is the place among the early rules, where there are any.
func orElse(first, place, other uint32) uint32 {
	if first == 0 {
		return other
	}
	return first + place
}

// does: the other rule does what this one does, be it an early one.
func (r Rule) does(o Rule) bool { return o.at(0) == r }
