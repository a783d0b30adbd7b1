package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ec2net/plumb"
)

// peers says of which hosts something is so that is so of some of an interface's probes only, as in "hosts in
// 10.0.2.0/24"; empty: of all that were tried. The probe far away stands for all that is in no subnet of the
// interfaces.
func (f Facts) peers(c Interface, src []netip.Addr, is func(Probe) bool) string {
	var in, out []string // names of subnets; empty: far away
	for _, p := range c.Probes {
		switch name := f.subnetOf(p.Peer); {
		case !slices.Contains(src, p.Src):
		case is(p):
			in = appendOnce(in, name)
		default:
			out = appendOnce(out, name)
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return slices.Contains(in, s) }) // so from one address is enough
	switch {
	case len(in) == 0 || len(out) == 0:
		return ""
	case slices.Contains(in, ""):
		return "hosts outside of " + few(out)
	}
	return "hosts in " + few(in)
}

// preposed is what peers says behind a preposition.
func preposed(preposition, peers string) string {
	if peers == "" {
		return ""
	}
	return " " + preposition + " " + peers
}

// subnetOf is the interfaces' subnet that an address is in; empty: it is in none.
func (f Facts) subnetOf(a netip.Addr) string {
	for _, c := range f.Interfaces {
		for _, s := range slices.Concat(c.Granted.Subnets4.Value, c.Granted.Subnets6.Value) {
			if s.Contains(a) {
				return s.Masked().String()
			}
		}
	}
	return ""
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// few is a list for a sentence.
func few(list []string) string {
	const most = 3
	if len(list) > most {
		return fmt.Sprintf("%s and %d more subnets", strings.Join(list[:most], ", "), len(list)-most)
	}
	if n := len(list) - 1; n > 0 {
		return strings.Join(list[:n], ", ") + " and " + list[n]
	}
	return strings.Join(list, "")
}

// bounded says for which hosts the explanation holds, where the route of one subnet decides and the rest of the world is
// sent to by another device of the cloud's.
func (e *Explanation) bounded(l Leg) {
	owner, ok := e.fib.owner(l.Src)
	dst := l.path.Route.Dst
	if !ok || owner.Loopback || !l.sent() {
		return
	}
	if plumb.Internet(dst) || dst.IsSingleIP() {
		return
	}
	p := l.packet
	p.Dst = far(p.Dst.Is6())[1]
	rest := e.fib.way(p)
	if rest.End != Forward || slices.Equal(rest.by(), l.path.by()) || !e.allCloud(rest) || !e.allCloud(l.path) {
		return
	}
	e.Notes = append(e.Notes, fmt.Sprintf("this is so for hosts in %s; what %s sends to other hosts leaves %s", dst, l.Src, e.fib.outcome(rest)))
}

// allCloud: each way leads by an interface of the cloud.
func (e *Explanation) allCloud(p Path) bool {
	return !slices.ContainsFunc(p.by(), func(index int) bool { return !e.fib.cloudInterface(e.fib.link(index)) })
}
