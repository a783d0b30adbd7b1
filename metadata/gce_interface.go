package metadata

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// nicReading is an Interface while it is being read from one element of the document.
type nicReading struct{ out Interface }

func (r *nicReading) problem(key string, err error) {
	if err != nil {
		r.out.Problems = append(r.out.Problems, fmt.Errorf("%s: %w", key, err))
	}
}

// ipv4 reads the address, its subnet and gateway, and what lies outside of that: alias ranges, the addresses that
// forwarding rules send to the interface, public ones too, and those of target instances.
func (r *nicReading) ipv4(c nicKeys, others []netip.Prefix) {
	f, own := family4(), &r.out
	subnet, err := subnetOf(c)
	r.problem("subnetmask", err)
	switch {
	case err != nil:
	case subnet.IsValid():
		own.Subnets4 = Is([]netip.Prefix{subnet})
	default:
		own.Subnets4 = None[[]netip.Prefix]()
	}
	own.Addrs4 = wordList(r, "ip", present(c.IP), f.addr(own.Subnets4.Value))
	own.Gateway4 = r.gateway("gateway", c.Gateway, false)
	own.Prefixes4 = r.blocks(f, others, []part{{"ipAliases", c.Aliases}, {"forwardedIps", c.Forwarded}, {"targetInstanceIps", c.Targets}})
}

// ipv6 reads the range, the first address of which is the interface's, and the ranges of forwarding rules.
func (r *nicReading) ipv6(c nicKeys, others []netip.Prefix) {
	f, own := family6(), &r.out
	ranges, err := textList(c.Ranges6)
	r.problem("ipv6", err)
	addrs, bad := textList(c.Addrs6)
	r.problem("ipv6s", bad)
	if err != nil || bad != nil {
		return
	}
	own.Subnets6 = wordList(r, "ipv6", ranges, f.subnet)
	if len(addrs) == 0 {
		for _, p := range own.Subnets6.Value {
			addrs = append(addrs, p.Addr().String())
		}
	}
	own.Addrs6 = wordList(r, "ipv6s", addrs, f.addr(own.Subnets6.Value))
	for _, a := range own.Addrs6.Value {
		if len(own.Subnets6.Value) == 0 {
			p, _ := a.Prefix(rangeBits6)
			own.Subnets6 = Is([]netip.Prefix{p})
		}
	}
	own.Gateway6 = r.gateway("gatewayIpv6", c.Gateway6, true)
	if g := own.Gateway6; g.IsValid() && !g.IsLinkLocalUnicast() { // nothing else is on the link
		r.problem("gatewayIpv6", fmt.Errorf("%.50q %w", c.Gateway6, errGateway))
		own.Gateway6 = netip.Addr{}
	}
	own.Prefixes6 = r.blocks(f, others, []part{{"forwardedIpv6s", c.Forwarded6}})
	if own.Prefixes6.Status != Unavailable && len(own.Subnets6.Value) > 0 {
		own.Prefixes6 = Is(slices.Concat(own.Subnets6.Value, own.Prefixes6.Value))
	}
}

// part is one list of blocks.
type part struct {
	key string
	raw json.RawMessage
}

// blocks reads all lists of one family. Where one of them is none, or no value can be used, nothing may be taken away.
func (r *nicReading) blocks(f family, others []netip.Prefix, parts []part) Answer[[]netip.Prefix] {
	all := []netip.Prefix{}
	unread, odd := false, false // a list, or a value of one
	for _, p := range parts {
		words, err := textList(p.raw)
		r.problem(p.key, err)
		values, refused := parseWords(words, r.block(f, others))
		for _, e := range refused {
			r.problem(p.key, e)
		}
		unread, odd = unread || err != nil, odd || len(refused) > 0
		for _, v := range values {
			if !slices.Contains(all, v) && !r.has(v) {
				all = append(all, v)
			}
		}
	}
	switch {
	case unread, odd && len(all) == 0:
		return Answer[[]netip.Prefix]{}
	case len(all) == 0:
		return None[[]netip.Prefix]()
	}
	return Is(all)
}

// has: the block is one of the interface's addresses.
func (r *nicReading) has(p netip.Prefix) bool {
	return p.IsSingleIP() && (slices.Contains(r.out.Addrs4.Value, p.Addr()) || slices.Contains(r.out.Addrs6.Value, p.Addr()))
}

// block parses a block or a bare address. It lies outside of the interface's subnet more often than not, but never in that
// of another interface, and it does not hold the interface's gateway.
func (r *nicReading) block(f family, others []netip.Prefix) func(string) (netip.Prefix, error) {
	parse := f.delegated(append(slices.Clone(r.out.Subnets4.Value), r.out.Subnets6.Value...))
	return func(s string) (netip.Prefix, error) {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			s = netip.PrefixFrom(a, a.BitLen()).String()
		}
		p, err := parse(s)
		switch {
		case err != nil:
			return netip.Prefix{}, err
		case slices.ContainsFunc(others, p.Overlaps):
			return netip.Prefix{}, errForeign
		case p.Contains(r.out.Gateway4):
			return netip.Prefix{}, errGateway
		}
		return p, nil
	}
}

// gateway is invalid where the document names none, or one that is none: outside of the subnet, or the interface itself.
// In IPv6 it is link-local.
func (r *nicReading) gateway(key, s string, six bool) netip.Addr {
	s = strings.TrimSpace(s)
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	subnets, own := r.out.Subnets4.Value, r.out.Addrs4.Value
	if six {
		subnets, own = r.out.Subnets6.Value, r.out.Addrs6.Value
	}
	inside := slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a) })
	local := six && a.IsLinkLocalUnicast() && a.Zone() == ""
	unknown := len(subnets) == 0 && !six && a.IsGlobalUnicast()
	fits := inside || local || unknown
	if err != nil || a.Is6() != six || !fits || slices.Contains(own, a) {
		r.problem(key, fmt.Errorf("%.50q %w", s, errGateway))
		return netip.Addr{}
	}
	return a
}

// mtu reads a number, which may stand as a text.
func (r *nicReading) mtu(raw json.RawMessage) {
	s := lengthText(raw)
	if s == "" {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n == 0 || !isMTU(n) {
		r.problem("mtu", fmt.Errorf("%.20q %w", s, errMTU))
		return
	}
	r.out.MTU = n
}

// wordList reads a list of which none may be usable: then it is Unavailable, and nothing is taken away for it.
func wordList[T comparable](r *nicReading, key string, words []string, parse func(string) (T, error)) Answer[[]T] {
	values, refused := parseWords(words, parse)
	for _, err := range refused {
		r.problem(key, err)
	}
	switch {
	case len(values) > 0:
		return Is(values)
	case len(words) > 0:
		return Answer[[]T]{}
	}
	return None[[]T]()
}

// present is the list of one word, or of none.
func present(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return []string{s}
}
