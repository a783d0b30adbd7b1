package doctor

import (
	"fmt"
	"strings"
)

// Width is what a terminal's line holds.
const Width = 80

// String explains for a person, on lines of at most Width characters where the names allow it.
func (e Explanation) String() string {
	var b strings.Builder
	e.leg(&b, e.There, "packet")
	if e.Back != nil {
		b.WriteByte('\n')
		e.leg(&b, *e.Back, "answer")
	}
	b.WriteByte('\n')
	switch {
	case len(e.Problems) > 0:
	case e.There.End == Other:
		b.WriteString("It gets there. A broadcast has no answer.\n")
	default:
		b.WriteString("It gets there, and its answer comes back.\n")
	}
	for _, n := range e.Notes {
		b.WriteString(wrap("Note: ", n))
	}
	for _, p := range e.Problems {
		b.WriteString(wrap("Problem: ", p))
	}
	return b.String()
}

func (e Explanation) leg(b *strings.Builder, l Leg, what string) {
	from := "sent by this host"
	if l.In != "" {
		from = "in by " + l.In
	}
	fmt.Fprintf(b, "%s %s > %s, %s\n", what, l.Src, l.Dst, from)
	for _, s := range l.Steps {
		b.WriteString(wrap(fmt.Sprintf("  %5d  ", s.Pref), s.Text))
		b.WriteString(wrap("         "+mark(s)+" ", s.Why))
	}
	b.WriteString(wrap("  result: ", e.outcome(l)))
	if l.Check != nil && l.Check.Why != "" {
		b.WriteString(wrap("  check:  ", e.check(l)))
	}
	kernel := "the same"
	if l.Differs != "" {
		kernel = "DIFFERS: " + l.Differs
	}
	b.WriteString(wrap("  kernel: ", kernel))
}

func mark(s Step) string {
	switch {
	case s.Taken:
		return ">"
	case s.Matched:
		return "+"
	}
	return "-"
}

func (e Explanation) outcome(l Leg) string {
	switch {
	case l.End == Local:
		return "it is this host's own"
	case l.End == Other:
		return "it is a broadcast, to all hosts of the subnet"
	case l.End != Forward:
		return "it goes nowhere: " + l.End.String()
	}
	s := "leaves by " + strings.Join(l.By, " or ")
	if l.Via != "" {
		s += " to the router " + l.Via
	}
	return s + ", by table " + l.Table
}

func (e Explanation) check(l Leg) string {
	verdict := "passes"
	if l.Check.Drops {
		verdict = "DROPPED"
	}
	text := verdict + ", " + l.Check.Why
	if in, ok := e.fib.Named(l.In); ok && l.Dst.Is4() {
		text += "; " + in.Conf.modeText(l.In)
	}
	return text
}

// wrap breaks a text between words; the lines after the first are indented like it.
func wrap(first, text string) string {
	var b strings.Builder
	line, empty := first, true
	for _, w := range strings.Fields(text) {
		if !empty && len(line)+1+len(w) > Width {
			b.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", len(first)), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+w, false
	}
	return b.String() + line + "\n"
}
