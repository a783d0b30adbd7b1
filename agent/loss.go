package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ec2net/plumb"
	"ec2net/state"
)

// What a change of ours cut off, and the change that is held back because of it: values and their texts. check.go finds
// them out, rollback.go acts on them.

// loss is one thing that a change has cut off. Its text has the devices' names of that moment, since they may change.
type loss struct {
	kind plumb.LossKind
	text string
	// taken is true if the change would give this host the address at the other end.
	taken bool
}

type losses []loss

// lossesNamed is how many losses a message lists.
const lossesNamed = 3

// describe turns plumb's losses into texts.
func describe(lost []plumb.Loss) (out losses) {
	for _, l := range lost {
		out = append(out, loss{l.Kind(), lossText(l), l.Is.Local})
	}
	return out
}

// texts are for a person: the first lossesNamed, and how many more there are.
func (list losses) texts() (out []string) {
	for _, l := range list[:min(len(list), lossesNamed)] {
		out = append(out, l.text)
	}
	if more := len(list) - lossesNamed; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func (list losses) String() string { return strings.Join(list.texts(), "; ") }

// connection reports whether a connection of this host is among the losses, and would leave by another interface; there
// is advice for that case.
func (list losses) connection() bool {
	return slices.ContainsFunc(list, func(l loss) bool { return l.kind == plumb.LossConnection && !l.taken })
}

// lossText says what would be lost, in the conditional: by the time that anybody reads it, the change is rolled back.
func lossText(l plumb.Loss) string {
	switch kind := l.Kind(); {
	case kind == plumb.LossDefault:
		return fmt.Sprintf("the default route would go %s, not %s", wayText(l.Is), wayText(l.Was))
	case kind == plumb.LossServer:
		return fmt.Sprintf("requests to the metadata would go %s, where it does not answer, not %s", wayText(l.Is), wayText(l.Was))
	case l.Is.Dropped:
		return fmt.Sprintf("the reverse path filter would drop what comes in for the connection of %s", l.Flow)
	}
	return fmt.Sprintf("the connection of %s would go %s, not %s", l.Flow, wayText(l.Is), wayText(l.Was))
}

func wayText(w plumb.Way) string {
	switch {
	case w.Index == 0:
		return "nowhere"
	case w.Local:
		return "to this host itself"
	case w.Via.IsValid():
		return fmt.Sprintf("by %s via %s", nameOf(w.Index), w.Via)
	}
	return "by " + nameOf(w.Index)
}

// rollback is a change that cut something off and was rolled back.
type rollback struct {
	// state is what the interface is held in until then.
	state plumb.State
	// plan is the change that was rolled back, and why is what it cut off; both for the record and the log.
	plan plumb.Plan
	why  losses
	// until is when the change is made again; zero: at the next event.
	until time.Time
}

// text is one line for STATUS and `ec2net status`.
func (u *rollback) text() string {
	return fmt.Sprintf("rolled back, because %s; next attempt at %s, or on reload", u.why, Clock(u.until))
}

// record is the rollback as the record and the JSON have it; nil: there is none.
func (u *rollback) record() *state.Rollback {
	if u == nil {
		return nil
	}
	r := &state.Rollback{Why: u.why.texts(), Until: u.until, Plan: []string{}}
	for _, o := range u.plan {
		r.Plan = append(r.Plan, o.String())
	}
	return r
}
