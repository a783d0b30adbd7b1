package doctor

import "fmt"

// judge says what keeps the two ends from talking with each other.
func (e *Explanation) judge() {
	e.Agrees = e.There.Differs == "" && (e.Back == nil || e.Back.Differs == "")
	e.problem(e.There, "the packet")
	if e.Back == nil {
		return
	}
	e.problem(*e.Back, "the answer")
	if e.There.In == "" {
		e.astray(e.There)
	} else if e.There.End == Local {
		e.astray(*e.Back)
		if by := e.Back.By; len(by) == 1 && by[0] != e.There.In && e.Back.End == Forward {
			e.add("the answer leaves by %s, and the question came in by %s", by[0], e.There.In)
		}
	}
}

func (e *Explanation) add(format string, args ...any) {
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

func (e *Explanation) problem(l Leg, what string) {
	switch {
	case l.End != Forward && l.End != Local && l.End != Other:
		e.add("%s from %s to %s goes nowhere: %s", what, l.Src, l.Dst, l.End)
	case l.Check != nil && l.Check.Drops:
		e.add("%s is dropped as it comes in by %s: %s", what, l.In, l.Check.Why)
	}
}

// astray: what leaves by a card that does not have the source address is dropped by the cloud.
func (e *Explanation) astray(l Leg) {
	owner, ok := e.fib.owner(l.Src)
	if !ok || l.End != Forward || owner.Loopback {
		return
	}
	for _, name := range l.By {
		by, _ := e.fib.Named(name)
		if by.Index != owner.Index && e.fib.cloudCard(by) {
			e.add("%s leaves by %s, but is %s's address: the cloud drops it (source check)", l.Src, name, owner.Name)
		}
	}
}
