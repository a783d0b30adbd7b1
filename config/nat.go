package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// NAT is the section [nat]: the host passes on what comes from some subnets, under the address of one of
// its interfaces.
type NAT struct {
	From []Range // none: the host passes nothing on
	Out  Named   // the interface that it leaves by
	In   Named   // the interface that it arrives by; without Name: the one that the range is a part of the subnet of
}

// Range is a subnet that the file names, and where.
type Range struct {
	Prefix netip.Prefix // IPv4, masked
	At     string       // file:line:column
}

// maxRanges bounds the list: each is two rules that every packet is compared with.
const maxRanges = 32

// natTable is the section [nat].
func natTable() *table {
	const iface = `an interface name, such as "eth2"`
	return &table{name: "nat", need: []string{"from", "out"}, check: checkNAT, keys: []entry[func(*Config)]{
		{"from", `an IPv4 subnet, such as "172.22.5.128/26", or a list of up to 32 of them`, ranges},
		{"out", iface, oneInterface(func(c *Config, n Named) { c.NAT.Out = n })},
		{"in", iface, oneInterface(func(c *Config, n Named) { c.NAT.In = n })},
	}}
}

func oneInterface(put func(*Config, Named)) func(value) (func(*Config), error) {
	return func(v value) (func(*Config), error) {
		n, err := namedInterface(v)
		return func(c *Config) { put(c, n) }, err
	}
}

func ranges(v value) (func(*Config), error) {
	list, err := oneOrMore(v)
	if err != nil {
		return nil, err
	}
	if len(list) > maxRanges {
		return nil, errors.New("too many")
	}
	var out []Range
	for _, item := range list {
		p, err := subnet(item)
		if i := slices.IndexFunc(out, func(r Range) bool { return r.Prefix.Overlaps(p) }); err == nil && i >= 0 {
			err = fmt.Errorf("it overlaps %s", out[i].Prefix)
		}
		if err != nil {
			return nil, in(v, item, err)
		}
		out = append(out, Range{p, item.place(item.at)})
	}
	return func(c *Config) { c.NAT.From = out }, nil
}

// widest is the least length of a range: the largest private block, and more than any cloud's network.
const widest = 8

// subnet reads an IPv4 prefix that hosts can have their addresses in.
func subnet(v value) (netip.Prefix, error) {
	if _, err := typed[string](v); err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(v.text)
	switch {
	case err != nil:
		return p, errors.New("malformed")
	case !p.Addr().Is4():
		return p, errors.New("IPv6, which is passed on without translation or not at all")
	case p != p.Masked():
		return p, fmt.Errorf("it has bits behind its length; the subnet is %s", p.Masked())
	case p.Bits() == 0:
		return p, errors.New("that is every address")
	case p.Bits() < widest:
		return p, fmt.Errorf("wider than /%d", widest)
	case !hostAddr(p.Addr()):
		return p, errors.New("no host that another one passes packets on for has such an address")
	}
	return p, nil
}

// hostAddr says whether packets from the IPv4 address a can be passed on: it is unicast, neither loopback nor link-local,
// and outside of 0.0.0.0/8 and of the reserved 240.0.0.0/4 (RFC 6890).
func hostAddr(a netip.Addr) bool {
	first := a.As4()[0]
	return a.IsGlobalUnicast() && first > 0 && first < 240
}

// checkNAT compares the keys of [nat] with each other.
func checkNAT(r *reader, c *Config) {
	if c.NAT.Out.Name != "" && c.NAT.Out.Name == c.NAT.In.Name {
		r.add(r.table.at, "the section [nat] names %s for both in and out; traffic is passed on from one interface to another", c.NAT.In.Name)
	}
}
