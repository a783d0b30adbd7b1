package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// ForwardTo makes a load balancer's or a forwarding rule's block arrive at an interface as it is, or no longer: public or
// private, inside of no subnet (Google's forwardedIps and forwardedIpv6s).
func (c *Cloud) ForwardTo(key string, p netip.Prefix, on bool) error {
	return c.change(key, fmt.Sprintf("forward %s to %s", p, key), func(k *iface) error {
		i := slices.Index(k.Forwarded, p)
		switch {
		case on && i >= 0, !on && i < 0:
			return nil
		case on:
			k.Forwarded = append(k.Forwarded, p)
			return c.net.grantForwarded(k.port, p)
		}
		k.Forwarded = slices.Delete(slices.Clone(k.Forwarded), i, i+1)
		if err := c.net.filter.public(p, false); err != nil {
			return err
		}
		return c.net.revoke(k.port, p)
	})
}

// forwarded lists what arrives at the interface as it is.
func (k *iface) forwarded() []netip.Prefix {
	out := slices.Clone(k.Forwarded)
	for _, a := range k.Targets {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}

// grantForwarded delivers a block to an interface, and lets the interface answer from it to the internet.
func (f *fabric) grantForwarded(p port, dst netip.Prefix) error {
	if err := f.grant(p, dst); err != nil {
		return err
	}
	return f.filter.public(dst, true)
}

// grantAddr delivers an address to an interface, with the block that belongs to it.
func (f *fabric) grantAddr(p port, a netip.Addr) error { return f.grant(p, f.habits.block(a)) }

// revokeAddr undoes grantAddr.
func (f *fabric) revokeAddr(p port, a netip.Addr) error { return f.revoke(p, f.habits.block(a)) }

// block is what belongs to an interface's address.
func (h habits) block(a netip.Addr) netip.Prefix {
	if a.Is6() && h.block6 > 0 {
		return netip.PrefixFrom(a, h.block6).Masked()
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// forget closes the internet to what was forwarded to an interface.
func (f *fabric) forget(k *iface) error {
	for _, p := range k.forwarded() {
		if err := f.filter.public(p, false); err != nil {
			return err
		}
	}
	return nil
}

// public lets single IPv4 addresses pass to the internet untranslated, or no longer.
func (f *filter) public(p netip.Prefix, on bool) error {
	if !p.Addr().Is4() || !p.IsSingleIP() {
		return nil
	}
	if err := f.member(f.untranslated, p.Addr().AsSlice(), on); err != nil {
		return fmt.Errorf("let %s pass to the internet: %w", p, err)
	}
	return nil
}

// join makes an interface's port one of a network: what goes to another port of it is let through.
func (f *filter) join(index int, all []int) error {
	var pairs []nftables.SetElement
	for _, other := range all {
		here, there := native(uint32(index)), native(uint32(other))
		pairs = append(pairs, nftables.SetElement{Key: append(here[:4:4], there...)}, nftables.SetElement{Key: append(there[:4:4], here...)})
	}
	if err := f.conn.SetAddElements(f.together, pairs); err != nil {
		return err
	}
	return f.conn.Flush()
}

// addApart drops what goes from one network to another.
func (f *filter) addApart(through *nftables.Chain) {
	f.rule(through, fromInterface(), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFGROUP, Register: regFib}, equals(regFib, native(portGroup)),
		&expr.Meta{Key: expr.MetaKeyIIF, Register: regKey},
		&expr.Meta{Key: expr.MetaKeyOIF, Register: regSource},
		&expr.Lookup{SourceRegister: regKey, Invert: true, SetName: f.together.Name, SetID: f.together.ID},
		&expr.Verdict{Kind: expr.VerdictDrop},
	})
}

// privateSource matches an IPv4 source that is not let through untranslated.
func (f *filter) privateSource() []expr.Any {
	return []expr.Any{
		source4(regFib),
		&expr.Lookup{SourceRegister: regFib, Invert: true, SetName: f.untranslated.Name, SetID: f.untranslated.ID},
	}
}
