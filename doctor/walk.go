package doctor

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Step is one policy rule on a packet's way.
type Step struct {
	Pref    uint32 `json:"pref"`
	Text    string `json:"rule"`
	Matched bool   `json:"matched"`
	Taken   bool   `json:"taken"` // the walk ended here
	Why     string `json:"why"`   // why not, or what the rule gave
}

// Path is where the rules and routes send a packet.
type Path struct {
	Steps []Step
	By    Rule // that decided; the zero Rule where none did
	End   End
	Route Route
	Table uint32
	// Hops are the ways that the kernel chooses one of. Of a local route the first is where the address lies.
	Hops []Hop
}

// End says how a walk ended.
type End uint8

// The ends of a walk.
const (
	NoRoute     End = iota // no rule led to one
	Forward                // it leaves by one of the hops
	Local                  // it is the host's own
	Other                  // a broadcast or multicast
	Blackhole              // dropped without a word
	Unreachable            // refused with an ICMP
	Prohibit               // refused with an ICMP
	NotRouter              // it is not the host's own, and the device does not forward
)

func (e End) String() string {
	return [...]string{"no route", "leaves", "local", "broadcast or multicast", "blackhole", "unreachable", "prohibit", "this host does not forward what comes in there"}[e]
}

// MarshalText makes it readable in JSON.
func (e End) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Walk goes through the rules and tables as the kernel does (fib_rules_lookup).
func Walk(f FIB, p Packet) Path { return f.walk(p, true) }

// way is Walk without the reasons, which are most of its cost.
func (f FIB) way(p Packet) Path { return f.walk(p, false) }

// walk goes through the rules by preference, those of the packet's family (fib_rules_lookup of net/core/fib_rules.c): the
// first whose table has an answer that the rule does not reject decides, or the first that refuses. A table without
// an answer, a goto that leads nowhere and a nop go on with the next rule. reasons is for Walk: without them nothing
// is put into words.
func (f FIB) walk(p Packet, reasons bool) Path {
	w := walk{fib: f, packet: p, reasons: reasons}
	for i := 0; i < len(f.Rules); i++ {
		r := f.Rules[i]
		if r.Six != p.Dst.Is6() {
			continue
		}
		others := !r.Not && r.From.IsValid() && !r.From.Contains(p.Src)
		if others && !reasons { // mismatch would only add the words
			continue
		}
		if why := f.mismatch(r, p); why != "" {
			w.step(r, false, "%s", why)
			continue
		}
		if r.Action == nl.FR_ACT_GOTO {
			i = w.jump(i)
			continue
		}
		if w.act(r) {
			break
		}
	}
	return w.path
}

// walk is the state of a walk: path is what has come of it so far.
type walk struct {
	fib     FIB
	packet  Packet
	path    Path
	reasons bool
}

// step notes what became of a rule.
func (w *walk) step(r Rule, matched bool, format string, args ...any) {
	if w.reasons {
		w.path.Steps = append(w.path.Steps, Step{
			Pref: r.Pref, Text: r.String(), Matched: matched, Why: fmt.Sprintf(format, args...),
		})
	}
}

// jump returns the place before the target, or this one where there is none (yet).
func (w *walk) jump(i int) int {
	r := w.fib.Rules[i]
	for k, t := range w.fib.Rules[i+1:] {
		if t.Pref == r.Target && t.Six == r.Six {
			w.step(r, true, "goes on at %d", r.Target)
			return i + k
		}
	}
	w.step(r, true, "there is no rule %d to go to", r.Target)
	return i
}

// act does what a rule that applies says, and tells whether that is the end.
func (w *walk) act(r Rule) bool {
	switch r.Action {
	case nl.FR_ACT_TO_TBL:
		return w.table(r)
	case nl.FR_ACT_BLACKHOLE:
		return w.end(r, Blackhole, "drops it silently")
	case nl.FR_ACT_UNREACHABLE:
		return w.end(r, Unreachable, "refuses it: unreachable")
	case nl.FR_ACT_PROHIBIT:
		return w.end(r, Prohibit, "refuses it: prohibited")
	}
	w.step(r, true, "does nothing")
	return false
}

// end takes a rule's answer, which ends the walk.
func (w *walk) end(r Rule, e End, format string, args ...any) bool {
	w.step(r, true, format, args...)
	if n := len(w.path.Steps); n > 0 {
		w.path.Steps[n-1].Taken = true
	}
	w.path.By, w.path.End = r, e
	return true
}

// table looks the packet up in the table that a rule names, or in that of the packet's VRF (l3mdev), and tells whether that
// ends the walk.
func (w *walk) table(r Rule) bool {
	t := r.Table
	if r.L3MDev {
		t = w.fib.link(w.packet.VRF).VRFTable
	}
	got, ok := w.fib.lookup(t, w.packet)
	if !ok {
		w.step(r, true, "no route in table %s", tableText(t))
		return false
	}
	text := ""
	if w.reasons {
		text = w.fib.text(got.route)
	}
	if why := w.suppressed(r, got); why != "" {
		w.step(r, true, "%s: not taken, %s", text, why)
		return false
	}
	w.path.Route, w.path.Hops = got.route, got.hops
	w.path.Table = t
	return w.end(r, endOf(got.route.Type), "%s", text)
}

// suppressed says why a rule rejects the answer of its table. A route that refuses is never rejected.
func (w *walk) suppressed(r Rule, got found) string {
	if refuses(got.route.Type) {
		return ""
	}
	if got.route.Dst.Bits() <= r.NoShorter {
		return fmt.Sprintf("its length is %d (suppress_prefixlength %d)", got.route.Dst.Bits(), r.NoShorter)
	}
	if len(got.hops) == 0 || r.NoGroup < 0 {
		return ""
	}
	if l := w.fib.link(got.hops[0].Index); int64(l.Group) == r.NoGroup {
		return fmt.Sprintf("%s is in group %d (suppress_ifgroup)", l.Name, l.Group)
	}
	return ""
}

// endOf is what becomes of a packet by a route of a type (RTN_* of linux/rtnetlink.h). Throw routes are no answer, and
// do not get here; what is left is broadcast, multicast and the like.
func endOf(t uint8) End {
	switch t {
	case unix.RTN_UNICAST:
		return Forward
	case unix.RTN_LOCAL, unix.RTN_ANYCAST:
		return Local
	case unix.RTN_BLACKHOLE:
		return Blackhole
	case unix.RTN_UNREACHABLE:
		return Unreachable
	case unix.RTN_PROHIBIT:
		return Prohibit
	}
	return Other
}

// by are the devices that the packet may leave by.
func (p Path) by() (out []int) {
	for _, h := range p.Hops {
		if !slices.Contains(out, h.Index) {
			out = append(out, h.Index)
		}
	}
	return out
}

// leavesBy: it can leave by no other device.
func (p Path) leavesBy(index int) bool {
	by := p.by()
	return p.End == Forward && len(by) == 1 && by[0] == index
}

// UnmarshalText is the inverse of MarshalText.
func (e *End) UnmarshalText(b []byte) error {
	for k := NoRoute; k <= NotRouter; k++ {
		if string(b) == k.String() {
			*e = k
			return nil
		}
	}
	return fmt.Errorf("%.40q is not the end of a walk", b)
}
