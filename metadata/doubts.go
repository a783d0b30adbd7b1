package metadata

import (
	"net/netip"
	"slices"
	"time"
)

// Doubts is the memory of what readings leave out that was granted before. Its zero value has none.
//
// The servers of a cloud's metadata do not learn of a change at the same moment, so that one of them may leave out
// for some seconds what stays, and readings that follow each other may ask the same one. What is left out stays until
// all readings over a time have left it out, or until the cloud says that another interface of this host has it.
type Doubts struct {
	since map[grant]time.Time
}

// grant is one thing that an interface is granted.
type grant struct {
	kind  grantKind
	value netip.Prefix
}

type grantKind byte

const (
	address grantKind = iota
	subnet
	block
	gateway
)

func ofAddr(a netip.Addr) grant     { return grant{address, netip.PrefixFrom(a, a.BitLen())} }
func ofSubnet(p netip.Prefix) grant { return grant{subnet, p} }
func ofBlock(p netip.Prefix) grant  { return grant{block, p} }
func ofRouter(a netip.Addr) grant   { return grant{gateway, netip.PrefixFrom(a, a.BitLen())} }

// Term is when, and by what, a doubt ends.
type Term struct {
	At     time.Time     // of the reading
	Hold   time.Duration // how long readings have to leave something out until it goes
	Others []Interface   // what the cloud says of the host's other interfaces, as far as it was asked
}

// Settle says what may be acted on, given what was acted on before and a new reading: all that the reading grants,
// and what it leaves out and is still in doubt. As long as a list has something in doubt its order is that of before,
// so that no other address becomes the primary one for a moment. ID, number, Primary and Problems are now's. before
// may also be what an earlier process left; that of another interface, or the zero Interface, leaves now as it is.
func (d *Doubts) Settle(before, now Interface, t Term) Interface {
	if d.since == nil || before.MAC != now.MAC {
		d.since = map[grant]time.Time{}
	}
	if before.MAC != now.MAC {
		return now
	}
	w := weighing{d.since, t, moved(t.Others)}
	now.Addrs4, now.Addrs6 = weigh(w, before.Addrs4, now.Addrs4, ofAddr), weigh(w, before.Addrs6, now.Addrs6, ofAddr)
	now.Subnets4, now.Subnets6 = weigh(w, before.Subnets4, now.Subnets4, ofSubnet), weigh(w, before.Subnets6, now.Subnets6, ofSubnet)
	now.Prefixes4, now.Prefixes6 = weigh(w, before.Prefixes4, now.Prefixes4, ofBlock), weigh(w, before.Prefixes6, now.Prefixes6, ofBlock)
	now.Gateway4, now.Gateway6 = w.router(before.Gateway4, now.Gateway4), w.router(before.Gateway6, now.Gateway6)
	return now
}

// Due is when the first of the doubts ends by itself; false when there is none.
func (d *Doubts) Due(hold time.Duration) (first time.Time, ok bool) {
	for _, since := range d.since {
		if end := since.Add(hold); !ok || end.Before(first) {
			first, ok = end, true
		}
	}
	return first, ok
}

// Text names one of the values that are in doubt, an address if there is one; empty: none is.
func (d *Doubts) Text() string {
	var best grant
	for g := range d.since {
		if !best.value.IsValid() || g.kind < best.kind || (g.kind == best.kind && g.value.Addr().Less(best.value.Addr())) {
			best = g
		}
	}
	switch {
	case !best.value.IsValid():
		return ""
	case best.value.IsSingleIP():
		return best.value.Addr().String()
	}
	return best.value.String()
}

// Lacks says that now leaves out an address or a block that before has.
func Lacks(before, now Interface) bool {
	if before.MAC != now.MAC {
		return false
	}
	return lack(before.Addrs4, now.Addrs4) || lack(before.Addrs6, now.Addrs6) ||
		lack(before.Prefixes4, now.Prefixes4) || lack(before.Prefixes6, now.Prefixes6)
}

func lack[T comparable](before, now Answer[[]T]) bool {
	return now.Status != Unavailable && slices.ContainsFunc(before.Value, func(v T) bool { return !slices.Contains(now.Value, v) })
}

// weighing is one reading at work.
type weighing struct {
	since map[grant]time.Time
	term  Term
	moved map[grant]bool
}

// moved are the addresses and blocks of other interfaces.
func moved(others []Interface) map[grant]bool {
	out := map[grant]bool{}
	for _, o := range others {
		for _, a := range slices.Concat(o.Addrs4.Value, o.Addrs6.Value) {
			out[ofAddr(a)] = true
		}
		for _, p := range slices.Concat(o.Prefixes4.Value, o.Prefixes6.Value) {
			out[ofBlock(p)] = true
		}
	}
	return out
}

// stays says of what a reading leaves out whether it stays for now. The first reading that does so never ends it.
func (w weighing) stays(g grant) bool {
	since, known := w.since[g]
	over := known && w.term.At.After(since) && w.term.At.Sub(since) >= w.term.Hold
	switch {
	case over || w.moved[g]:
		delete(w.since, g)
		return false
	case !known:
		w.since[g] = w.term.At
	}
	return true
}

func weigh[T comparable](w weighing, before, now Answer[[]T], as func(T) grant) Answer[[]T] {
	if now.Status == Unavailable {
		return before
	}
	for _, v := range now.Value {
		delete(w.since, as(v))
	}
	doubtful, all := false, []T{}
	for _, v := range before.Value {
		listed := slices.Contains(now.Value, v)
		if !listed && !w.stays(as(v)) {
			continue
		}
		all, doubtful = append(all, v), doubtful || !listed
	}
	if !doubtful {
		return now
	}
	for _, v := range now.Value {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return Is(all)
}

func (w weighing) router(before, now netip.Addr) netip.Addr {
	switch {
	case now.IsValid():
		delete(w.since, ofRouter(now))
	case before.IsValid() && w.stays(ofRouter(before)):
		return before
	}
	return now
}
