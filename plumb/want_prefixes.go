package plumb

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// The choices.
const (
	DelegateRules Delegation = iota // what has its source in the block leaves by the interface
	DelegateLocal                   // and the host itself answers for every address of the block
	DelegateOff                     // nothing: somebody else takes care of them
)

// delegated are the prefixes of one family; the kernel tells them while the cloud does not.
func (w *want) delegated(six bool, p metadata.Answer[[]netip.Prefix]) []netip.Prefix {
	if w.in.Prefixes == DelegateOff {
		return nil
	}
	if p.Status != metadata.Unavailable {
		return w.free(p.Value)
	}
	return w.stillDelegated(six)
}

// stillDelegated are the blocks that the interface's rules and local routes are for.
func (w *want) stillDelegated(six bool) (out []netip.Prefix) {
	for _, r := range w.in.Have.Rules {
		if r.Kind() == RuleSource && !r.From.IsSingleIP() && r.From.Addr().Is6() == six && r.Table == Table(w.n()) {
			out = append(out, r.From)
		}
	}
	for _, r := range w.in.Have.Routes {
		if r.Local && r.Ours && r.Dst.Addr().Is6() == six && !slices.Contains(out, r.Dst) {
			out = append(out, r.Dst)
		}
	}
	return out
}

// free leaves out blocks in which another interface has its addresses: a rule for the block would send
// that interface's answers out of this one.
func (w *want) free(list []netip.Prefix) (out []netip.Prefix) {
	for _, p := range list {
		if i := slices.IndexFunc(w.in.Have.Taken, p.Overlaps); i >= 0 {
			w.refuse("the delegated prefix %s overlaps %s of another interface: left out", p, fromText(w.in.Have.Taken[i]))
			continue
		}
		out = append(out, p)
	}
	return out
}

// local has the host answer for whole blocks, if the setting says so, and for blocks of one address, which is the host's own
// unless another device has its network: an address that a load balancer forwards, say. Another program's address or local
// route of the same place comes before ours, and stays when ours goes. The routes lead through the interface, not lo: so they go
// with it, and are found by it. The metric keeps them apart from a route that somebody else has for
// the same block.
func (w *want) local(delegated []netip.Prefix) {
	for _, p := range delegated {
		if w.in.Prefixes != DelegateLocal && (!p.IsSingleIP() || w.networkOf(p).IsValid()) {
			continue
		}
		r := Route{Table: tableLocal, Dst: p, Metric: Table(w.n()), Ours: true, Local: true}
		if p.Addr().Is4() {
			r.Scope = unix.RT_SCOPE_HOST
		}
		if c, ok := w.connected(p); ok && !slices.ContainsFunc(w.in.Have.Routes, func(h Route) bool { return h.Ours && h.Local && h.Dst == p }) {
			w.refuse("left out %s until the connection that this host has with %s ends", fromText(p), c)
			continue
		}
		w.out.Routes = append(w.out.Routes, r)
	}
}

// connected is somebody in a block that the host has a connection with, if the block is beyond the interface's subnets. An
// address in a subnet may be taken over from another host, with connections to it open.
func (w *want) connected(block netip.Prefix) (netip.Addr, bool) {
	for _, subnets := range [][]netip.Prefix{w.in.Interface.Subnets4.Value, w.in.Interface.Subnets6.Value} {
		if _, ok := containing(subnets, block.Addr()); ok {
			return netip.Addr{}, false
		}
	}
	i := slices.IndexFunc(w.in.Connected, block.Contains)
	if i < 0 {
		return netip.Addr{}, false
	}
	return w.in.Connected[i], true
}
