package plumb

import "slices"

// RuleKind is what a rule of ours is for. The form of the rule tells it, so that it need not be written down anywhere: a
// process knows another one's rules by what the kernel says of them.
type RuleKind uint8

// The kinds.
const (
	// RuleOther has our mark and a form that this version does not write.
	RuleOther RuleKind = iota
	// RuleGuard has what comes from a subnet or an address of the interface go where table main has a route to a
	// network that is not the cloud's: to the host's bridges and tunnels.
	RuleGuard
	// RuleSource sends what comes from an address or a block of the interface to its table.
	RuleSource
	// RuleMarkIn has what came in by the interface with the interface's mark go where main says.
	RuleMarkIn
	// RuleMarkGuard is the guard of what has the interface's mark.
	RuleMarkGuard
	// RuleMarkReply sends the rest of what has the interface's mark, the answers, to its table.
	RuleMarkReply
	// RuleService keeps a server of the cloud on the primary interface.
	RuleService
	// RuleNATMain has what is passed on from a range go where main says, but for its default route.
	RuleNATMain
	// RuleNAT sends what is passed on from a range to the table of the interface that it leaves by.
	RuleNAT
	// RuleNATStop refuses what is passed on from a range, once that interface does not take it.
	RuleNATStop
	// RuleEgressMain has the host's own traffic go where main says, but for its default route.
	RuleEgressMain
	// RuleEgress sends the host's own traffic to the table of the interface that it leaves by.
	RuleEgress
)

// Kind is what the rule is for.
func (r Rule) Kind() RuleKind {
	if r.Pref >= baseShared && r.Pref < baseShared+1000 {
		return r.sharedKind()
	}
	guard := r.NoGroup
	if r.Iif != "" { // what came in by the interface may go on by another one of the cloud
		guard = r.MinBits != 0
	}
	switch marked := r.Mask != 0; {
	case marked && guard && r.Iif != "":
		return RuleMarkIn
	case marked && guard:
		return RuleMarkGuard
	case marked:
		return RuleMarkReply
	case guard:
		return RuleGuard
	}
	return RuleSource
}

// sharedKind is the kind of a rule that several interfaces may have beside each other, see egress.go and nat.go.
func (r Rule) sharedKind() RuleKind {
	ranked := func(first uint32) bool { return r.Pref >= first && r.Pref <= first+maxRank }
	switch {
	case r.Pref == prefService:
		return RuleService
	case r.Pref == prefPass:
		return RuleNATMain
	case r.Pref == prefLeave:
		return RuleNAT
	case r.Pref == prefStop:
		return RuleNATStop
	case ranked(prefStay), ranked(prefEgress) && r.MinBits != 0:
		return RuleEgressMain
	case ranked(prefEgress):
		return RuleEgress
	}
	return RuleOther
}

// shared: the rules stand behind those of all interfaces, and their preference does not tell whose they are.
func (k RuleKind) shared() bool {
	switch k {
	case RuleService, RuleNATMain, RuleNAT, RuleNATStop, RuleEgressMain, RuleEgress, RuleOther:
		return true
	}
	return false
}

// Marked: the rule asks for the mark of an interface's connections.
func (k RuleKind) Marked() bool { return k == RuleMarkIn || k == RuleMarkGuard || k == RuleMarkReply }

// guards: the rule comes before what sends packets to an interface's table.
func (k RuleKind) guards() bool { return k == RuleGuard || k == RuleMarkIn || k == RuleMarkGuard }

// NAT: the rule is for what is passed on.
func (k RuleKind) NAT() bool { return k == RuleNATMain || k == RuleNAT || k == RuleNATStop }

// moves: the rule is one of the two by which the host's own traffic leaves by an interface.
func (k RuleKind) moves() bool { return k == RuleEgressMain || k == RuleEgress }

// The rules for traffic that no source rule caught, which is what the host itself sends without having
// chosen an address. Table main is left as it is: with these rules gone, or the table that they lead
// to empty, because its interface went, the kernel falls through to main.
const (
	baseShared  = 30000
	prefService = baseShared       // to <server of the cloud> lookup <the primary interface's table>
	prefStay    = baseShared + 100 // + rank: lookup main suppress_prefixlength 7
	prefEgress  = baseShared + 200 // + rank: lookup <the interface's table>

	// maxRank is the highest rank that an interface may have, counted from 0.
	maxRank = 15
)

const (
	prefPass  = baseShared + 10 // from <range> iif <interface> lookup main suppress_prefixlength 7
	prefLeave = baseShared + 20 // from <range> iif <interface> lookup <the interface's table>
	prefStop  = baseShared + 30 // from <range> iif <interface> unreachable
)

// Early rules come before preference 10000, where a setting of the host says (Input.Priority): before those of a
// program whose own can not be moved, as Tailscale's can not (5210 to 5270). All interfaces share three preferences
// there, in the order that matters: guards, marks, sources. What does not show in the preference says whose a rule
// is: the table that it leads to, and of a guard, which leads to main, the bits of its mark that are not compared.
//
// A rule is known by this form wherever it stands, so that agent processes whose settings differ, while the setting
// changes, know each other's, and the older rules of an interface go when its new ones are there.
const (
	earlyGuard uint32 = iota
	earlyMark
	earlySource
)

// early: the rule is one of those that tell by their form whose they are.
func (r Rule) early() bool { return r.Pref < baseTable }

// owned reports whether the rule says by a mark whose it is, since its table does not.
func (r Rule) owned() bool {
	kind := r.Kind()
	if kind.shared() {
		return r.MinBits != 0 || r.Refuse
	}
	return kind.guards() && r.early()
}

// owner is the number of the interface that a rule belongs to whose preference does not tell.
func (r Rule) owner() (int, bool) {
	t := r.Table
	if r.owned() {
		t = r.Owner
	}
	n := int(t) - baseTable
	return n, n >= 0 && n <= maxN
}

// n is the number of the interface that the rule belongs to by its preference, if it is one of ours. What
// another version wrote there has our mark too, whatever its form.
func (r Rule) n() (int, bool) {
	kind := r.Kind()
	if kind.shared() || r.early() {
		return r.owner()
	}
	if kind == RuleMarkReply {
		n := int(r.Table) - baseTable
		return n, n >= 0 && n <= maxN
	}
	n := int(r.Pref) - baseTable
	if n > maxN {
		n = int(r.Pref) - baseSource
	}
	return n, n >= 0 && n <= maxN
}

// leads: the rule sends what no source rule caught to an interface's table.
func (r Rule) leads(six bool) bool { return r.Kind() == RuleEgress && r.From.Addr().Is6() == six }

func (r Rule) leadsPassed() bool { return r.Kind() == RuleNATMain || r.Kind() == RuleNAT }

// Numbers are the interface numbers that the state's rules and nftables tables belong to.
func (s State) Numbers() []int {
	var out []int
	for _, r := range s.Rules {
		if n, ok := r.n(); ok && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for _, r := range s.Packets {
		if n := int(r.Table) - baseTable; !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
