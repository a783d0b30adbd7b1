package doctor

import (
	"fmt"
	"net/netip"

	"ec2net/plumb"
)

// judge says what keeps the two ends from talking with each other.
func (e *Explanation) judge() {
	e.Agrees = e.There.Differs == "" && (e.Back == nil || e.Back.Differs == "")
	e.problem(e.There, "the packet")
	if e.Back == nil {
		return
	}
	e.problem(*e.Back, "the answer")
	e.overruled(e.There, "the packet")
	e.overruled(*e.Back, "the answer")
	e.oneWay()
	if e.There.In == "" {
		e.checkSpoofed(e.There)
		e.bounded(e.There)
	} else if e.There.End == Local {
		e.checkSpoofed(*e.Back)
		e.bounded(*e.Back)
		if by := e.Back.By; len(by) == 1 && by[0] != e.There.In && e.Back.End == Forward {
			e.add("the answer leaves by %s, but the packet came in by %s", by[0], e.There.In)
		}
	}
}

func (e *Explanation) add(format string, args ...any) {
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

// problem notes where one direction ends, if that is not where it is meant to.
func (e *Explanation) problem(l Leg, what string) {
	switch {
	case l.End != Forward && l.End != Local && l.End != Other:
		e.add("%s from %s to %s goes nowhere: %s", what, l.Src, l.Dst, l.End)
	case l.Check != nil && l.Check.Drops:
		e.add("%s is dropped as it comes in by %s: %s", what, l.In, l.Check.Why)
	}
}

// checkSpoofed: what leaves by an interface that does not have the source address is dropped by the cloud.
func (e *Explanation) checkSpoofed(l Leg) {
	owner, ok := e.fib.owner(l.Src)
	if !ok || l.End != Forward || owner.Loopback || l.path.granted(l.Src) {
		return
	}
	for _, name := range l.By {
		by, _ := e.fib.Named(name)
		if by.Index != owner.Index && e.fib.cloudInterface(by) {
			e.add("%s leaves by %s, but is %s's address: the cloud drops it (source check)", l.Src, name, owner.Name)
		}
	}
}

// granted: ec2net's own rule for the address led here, and it follows what the cloud grants. Another program may
// keep the address on an interface that had it before.
func (p Path) granted(a netip.Addr) bool {
	return p.By.ours() && p.By.From.IsValid() && p.By.From.IsSingleIP() && p.By.From.Addr() == a
}

// overruled: a rule of another program takes a packet of this host off the way of ec2net's rules.
func (e *Explanation) overruled(l Leg, what string) {
	if l.In != "" {
		return
	}
	if should, ok := e.fib.overruled(Packet{Src: l.Src, Dst: l.Dst}, l.path); ok && should.By.ours() {
		author := "another program"
		if by := e.fib.ofRule(l.path.By); by != (Origin{}) {
			author = by.String()
		}
		e.add("the rule %d of %s comes before ec2net's own; without it, %s leaves %s. To fix it, %s",
			l.path.By.Pref, author, what, e.fib.outcome(should), e.fib.behind([]Rule{l.path.By}, should.By.Pref))
	}
}

// oneWay: what leaves by a tunnel, on its way to the Internet, with the address of one of the cloud's interfaces.
func (e *Explanation) oneWay() {
	l := e.There
	owner, ok := e.fib.owner(l.Src)
	if !ok || !l.sent() || !e.fib.cloudInterface(owner) || !plumb.Internet(l.path.Route.Dst) {
		return
	}
	for _, name := range l.By {
		if by, _ := e.fib.Named(name); by.Index != owner.Index && !e.fib.cloudInterface(by) {
			e.add("%s leaves by %s, but is %s's address: unless NAT translates it there, no answer comes back through %s", l.Src, name, owner.Name, name)
		}
	}
}
