package plumb

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
