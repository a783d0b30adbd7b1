package doctor

import (
	"cmp"
	"slices"

	"golang.org/x/sys/unix"
)

// found is what a table says of a packet.
type found struct {
	route Route
	hops  []Hop // of them the kernel takes one: by a hash, or by what it knows of the routers
}

// lookup finds the route of one table: of those that have the destination, the longest prefix that has a
// usable way. IPv4 then goes by TOS and metric (fib_table_lookup); IPv6 by the source prefix, by metric, and
// among equals by the preference that a router advertised (fib6_table_lookup).
func (f FIB) lookup(table uint32, p Packet) (found, bool) {
	list := f.candidates(table, p)
	for i, r := range list {
		if r.Type == unix.RTN_THROW {
			return found{}, false
		}
		if refuses(r.Type) {
			return found{route: r}, true
		}
		hops := f.usable(r, p)
		if len(hops) == 0 {
			continue
		}
		if p.Dst.Is6() {
			hops = append(hops, f.equals(r, list[i+1:], p)...)
		}
		return found{r, hops}, true
	}
	return found{}, false
}

// candidates are the routes of a table that a packet's addresses and type of service fit, in the order in which the kernel tries
// them.
func (f FIB) candidates(table uint32, p Packet) (out []Route) {
	for _, r := range f.table(table) {
		if !r.Dst.Contains(p.Dst) {
			continue
		}
		from := !r.From.IsValid() || r.From.Contains(p.Src)
		tos := r.TOS == 0 || r.TOS == p.TOS
		if from && tos {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Route) int {
		return cmp.Or(
			cmp.Compare(b.Dst.Bits(), a.Dst.Bits()), cmp.Compare(b.From.Bits(), a.From.Bits()),
			cmp.Compare(b.TOS, a.TOS), cmp.Compare(a.Metric, b.Metric), cmp.Compare(rank(b.Pref), rank(a.Pref)))
	})
	return out
}

// table are the routes of one table.
func (f FIB) table(n uint32) []Route {
	if f.tables != nil {
		return f.tables[n]
	}
	return slices.DeleteFunc(slices.Clone(f.Routes), func(r Route) bool { return r.Table != n })
}

// index sorts the routes into their tables, for many look-ups.
func (f *FIB) index() {
	f.tables = map[uint32][]Route{}
	for _, r := range f.Routes {
		f.tables[r.Table] = append(f.tables[r.Table], r)
	}
}

// equals are the ways of other IPv6 routes for the same prefix, metric and preference.
func (f FIB) equals(r Route, rest []Route, p Packet) (out []Hop) {
	for _, o := range rest {
		same := o.Dst == r.Dst && o.From == r.From && o.Metric == r.Metric && o.Pref == r.Pref
		if same && !refuses(o.Type) {
			out = append(out, f.usable(o, p)...)
		}
	}
	return out
}

// rank orders the preferences of RFC 4191: low 3, medium 0, high 1.
func rank(pref uint8) int {
	switch pref {
	case 0:
		return 0
	case 1:
		return 1
	}
	return -1
}

// refuses reports whether a route of the type is itself the answer, without a way.
func refuses(t uint8) bool {
	return t == unix.RTN_BLACKHOLE || t == unix.RTN_UNREACHABLE || t == unix.RTN_PROHIBIT
}

// usable are the ways that are not dead, and lead through the device that the packet is bound to.
func (f FIB) usable(r Route, p Packet) (out []Hop) {
	for _, h := range r.Hops {
		dead := h.Dead || (h.NoCarrier && f.link(h.Index).Conf.SkipLinkDown)
		elsewhere := p.Out != 0 && h.Index != p.Out
		if !dead && !elsewhere {
			out = append(out, h)
		}
	}
	return out
}
