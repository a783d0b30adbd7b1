package plumb

import (
	"fmt"
	"net/netip"
	"strings"
)

// The texts of addresses, routes and rules, in the syntax of ip. They are the log line, the dry run and the golden file.

func (a Addr) text(dev string) string {
	s := "addr " + a.Prefix.String() + " dev " + word(dev)
	if a.NoPrefixRoute {
		s += " noprefixroute"
	}
	return s
}

func (r Route) text(dev string) string {
	var b strings.Builder
	b.WriteString("route ")
	if r.Local {
		b.WriteString("local ")
	}
	b.WriteString(dstText(r.Dst))
	if r.Via.IsValid() {
		b.WriteString(" via " + r.Via.String())
	}
	b.WriteString(" dev " + word(dev))
	switch r.Table {
	case tableMain:
	case tableLocal:
		b.WriteString(" table local")
	default:
		b.WriteString(" table " + u(r.Table))
	}
	if r.Scope == scopeLink {
		b.WriteString(" scope link")
	}
	if r.Src.IsValid() {
		b.WriteString(" src " + r.Src.String())
	}
	if r.Metric != 0 {
		b.WriteString(" metric " + u(r.Metric))
	}
	if r.MTU != 0 {
		b.WriteString(" mtu " + u(r.MTU))
	}
	if r.OnLink {
		b.WriteString(" onlink")
	}
	return b.String()
}

func (r Rule) text() string {
	switch kind := r.Kind(); {
	case kind.shared():
		return r.sharedText()
	case kind.Marked():
		return r.markedText()
	case r.owned():
		return fmt.Sprintf("rule from %s fwmark %d/0 lookup %s pref %d", fromText(r.From), r.Owner, r.lookupText(), r.Pref)
	}
	return fmt.Sprintf("rule from %s lookup %s pref %d", fromText(r.From), r.lookupText(), r.Pref)
}

func (r Rule) markedText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule from %s fwmark %#x/%#x", fromAll(r.From), r.Mark|r.Owner, r.Mask)
	if r.Iif != "" {
		b.WriteString(" iif " + word(r.Iif))
	}
	return b.String() + " lookup " + r.lookupText() + " pref " + u(r.Pref)
}

func (r Rule) sharedText() string {
	var b strings.Builder
	b.WriteString("rule from " + fromAll(r.From))
	if r.To.IsValid() {
		b.WriteString(" to " + fromText(r.To))
	}
	if r.Iif != "" {
		b.WriteString(" iif " + word(r.Iif))
	}
	if r.owned() {
		fmt.Fprintf(&b, " fwmark %d/0", r.Owner)
	}
	if r.Refuse {
		return b.String() + " unreachable pref " + u(r.Pref)
	}
	return b.String() + " lookup " + r.lookupText() + " pref " + u(r.Pref)
}

// lookupText is what a rule does, as ip(8) writes it.
func (r Rule) lookupText() string {
	s := u(r.Table)
	if r.Table == tableMain {
		s = "main"
	}
	if r.MinBits != 0 {
		s += fmt.Sprintf(" suppress_prefixlength %d", r.MinBits-1)
	}
	if r.NoGroup {
		s += fmt.Sprintf(" suppress_ifgroup %d", Group)
	}
	return s
}

func dstText(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "default"
	}
	return fromText(p)
}

// fromAll writes ::/0 in full: it tells ip(8) the family.
func fromAll(p netip.Prefix) string {
	if p == everywhere(false) {
		return "all"
	}
	return fromText(p)
}
