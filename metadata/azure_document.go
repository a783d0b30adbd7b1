package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
)

// maxInterfaces of one document; Azure's largest machines have 8.
const maxInterfaces = 64

// subnetBits6 is the length of every IPv6 subnet of Azure, which the document often leaves out
// (learn.microsoft.com, "What is IPv6 for Azure Virtual Network": exactly /64).
const subnetBits6 = 64

// No text of the JSON package's, which quotes the document at any length, gets into an error.
var (
	errNoDocument = errors.New("the answer is not the document that was asked for")
	errNoList     = errors.New("is not a list")
	errNoObject   = errors.New("is not what such a list has")
	errLength     = errors.New("is not a prefix length")
	errBare       = errors.New("it names no IPv4 address, which is not believed: every interface has one")
)

// network is the document: what it says of each interface, in its order.
type network struct {
	ifaces  []azureInterface
	odd     []error // elements that are no interface
	first   MAC
	numbers map[MAC]int
}

// azureInterface is one interface, of which the document may tell in several elements.
type azureInterface struct {
	mac    MAC
	v4, v6 azureFamily
	odd    []error
}

// azureFamily is what one element or several say of one address family, as text.
type azureFamily struct {
	addrs, subnets []string
	broken         bool // a part could not be read at all
	holes          bool // a list has holes
}

// parseNetwork reads the document. What can not be read costs only itself.
func parseNetwork(body string) (network, error) {
	var doc struct {
		Interface json.RawMessage `json:"interface"`
	}
	if json.Unmarshal([]byte(body), &doc) != nil || len(doc.Interface) == 0 {
		return network{}, unusable(keyNetwork, errNoDocument)
	}
	list, err := elements(doc.Interface)
	switch {
	case err != nil:
		return network{}, unusable(keyNetwork, fmt.Errorf("interface %w", err))
	case len(list) > maxInterfaces:
		return network{}, unusable(keyNetwork, fmt.Errorf("%d interfaces are more than %d", len(list), maxInterfaces))
	}
	var n network
	for _, raw := range list {
		if string(raw) != "null" {
			n.add(raw)
		}
	}
	if len(n.ifaces) == 0 && len(n.odd) == 0 {
		return network{}, notReady(keyNetwork, "no interface is listed yet")
	}
	return n, nil
}

// add takes one element of the list of interfaces. A MAC that comes again is the same interface: what all of
// its elements name is the interface's.
func (n *network) add(raw json.RawMessage) {
	var e struct {
		MAC  string          `json:"macAddress"`
		IPv4 json.RawMessage `json:"ipv4"`
		IPv6 json.RawMessage `json:"ipv6"`
	}
	if json.Unmarshal(raw, &e) != nil {
		n.refuse(fmt.Errorf("interface: an element %w", errNoObject))
		return
	}
	mac, err := parseMAC(e.MAC)
	if err != nil {
		n.refuse(fmt.Errorf("macAddress: %w", err))
		return
	}
	i := n.index(mac)
	if i < 0 {
		i = len(n.ifaces)
		n.ifaces = append(n.ifaces, azureInterface{mac: mac})
	}
	c := &n.ifaces[i]
	c.v4.add("ipv4", e.IPv4, &c.odd)
	c.v6.add("ipv6", e.IPv6, &c.odd)
}

func (n *network) refuse(err error) {
	if len(n.odd) < maxRefusals {
		n.odd = append(n.odd, err)
	}
}

// add takes the part of one element that is about the family. One that is missing says nothing.
func (f *azureFamily) add(name string, raw json.RawMessage, odd *[]error) {
	var e struct {
		Addrs   json.RawMessage `json:"ipAddress"`
		Subnets json.RawMessage `json:"subnet"`
	}
	if len(raw) > 0 && json.Unmarshal(raw, &e) != nil {
		f.broken = true
		*odd = append(*odd, fmt.Errorf("%s %w", name, errNoObject))
		return
	}
	for _, part := range []struct {
		name string
		raw  json.RawMessage
		text func(json.RawMessage) (string, error)
		into *[]string
	}{
		{"ipAddress", e.Addrs, addrText, &f.addrs},
		{"subnet", e.Subnets, subnetText, &f.subnets},
	} {
		values, holes, err := texts(part.raw, part.text)
		f.holes = f.holes || holes
		if err != nil {
			f.broken = true
			*odd = append(*odd, fmt.Errorf("%s.%s: %w", name, part.name, err))
		}
		*part.into = append(*part.into, values...)
	}
}

func (n network) macs() (out []MAC) {
	for _, c := range n.ifaces {
		out = append(out, c.mac)
	}
	return out
}

func (n network) index(mac MAC) int {
	return slices.IndexFunc(n.ifaces, func(c azureInterface) bool { return c.mac == mac })
}

// lists is an error unless the document has the interface.
func (n network) lists(mac MAC) error {
	switch {
	case n.index(mac) >= 0:
		return nil
	case len(n.odd) > 0: // it may be one of those
		return unusable(keyNetwork, errors.Join(n.odd...))
	}
	return &Error{Key: keyNetwork, Status: http.StatusOK, Err: ErrUnknownMAC}
}

// interface makes an Interface of what the document says of an interface that it lists.
func (n network) iface(mac MAC) Interface {
	c := n.ifaces[n.index(mac)]
	out := Interface{
		MAC: mac, Primary: mac == n.first, Number: n.numbers[mac], Problems: slices.Clone(c.odd),
	}
	v4, v6 := family4(), family6()
	c.v4.doubt(v4)
	out.Subnets4 = answers(&out, "ipv4.subnet", c.v4, c.v4.subnets, v4.subnet)
	out.Subnets6 = answers(&out, "ipv6.subnet", c.v6, c.v6.subnets, v6.subnet)
	addrs, blocks := split(c.v4.addrs, out.Subnets4.Value)
	out.Addrs4 = answers(&out, "ipv4.ipAddress", c.v4, addrs, v4.addr(out.Subnets4.Value))
	out.Prefixes4 = answers(&out, "ipv4.ipAddress", c.v4, blocks, v4.within(out.Subnets4.Value))
	addrs, blocks = split(c.v6.addrs, out.Subnets6.Value)
	out.Addrs6 = answers(&out, "ipv6.ipAddress", c.v6, addrs, v6.addr(nil))
	out.Subnets6 = supplied(out.Subnets6, out.Addrs6.Value)
	out.Prefixes6 = answers(&out, "ipv6.ipAddress", c.v6, blocks, v6.delegated(out.Subnets6.Value))
	out.Subnets6 = supplied(out.Subnets6, firsts(out.Prefixes6.Value))
	needed4(&out)
	return out
}

// doubt counts a family as broken when one of its addresses lies outside of the subnets that could be
// read, and there is another that could not: the address is not wrong then, and must not go.
func (f *azureFamily) doubt(fam family) {
	subnets, refused := parseWords(f.subnets, fam.subnet)
	if len(subnets) == 0 || (len(refused) == 0 && !f.holes) {
		return
	}
	_, all := parseWords(f.addrs, fam.addr(nil))
	_, in := parseWords(f.addrs, fam.addr(subnets))
	f.broken = f.broken || len(in) > len(all)
}

// answers reads one list. When none of it can be used the answer is Unavailable: nothing that is there
// may be taken away for the sake of it. So it is when a part could not be read.
func answers[T comparable](i *Interface, name string, f azureFamily, words []string, parse func(string) (T, error)) Answer[[]T] {
	values, refused := parseWords(words, parse)
	for _, err := range refused {
		i.Problems = append(i.Problems, fmt.Errorf("%s: %w", name, err))
	}
	switch {
	case f.broken || (len(values) == 0 && len(words) > 0):
		return Answer[[]T]{}
	case len(values) == 0:
		return None[[]T]()
	}
	return Is(values)
}

// split tells the addresses of a list from its blocks. What has bits of a host in it, or the length of its
// subnet, is an address with the length of its subnet.
func split(words []string, subnets []netip.Prefix) (addrs, blocks []string) {
	for _, w := range words {
		p, err := netip.ParsePrefix(w)
		switch {
		case err != nil, p.IsSingleIP(), p != p.Masked(), slices.Contains(subnets, p), p.Addr().Is6() && p.Bits() == subnetBits6:
			addrs = append(addrs, w)
		default:
			blocks = append(blocks, w)
		}
	}
	return addrs, blocks
}

// within is delegated for a block that lies in one of the subnets, as all of Azure do.
func (f family) within(subnets []netip.Prefix) func(string) (netip.Prefix, error) {
	parse := f.delegated(subnets)
	return func(s string) (netip.Prefix, error) {
		p, err := parse(s)
		in := slices.ContainsFunc(subnets, func(sub netip.Prefix) bool { return sub.Contains(p.Addr()) })
		if err == nil && len(subnets) > 0 && !in {
			return netip.Prefix{}, errOutside
		}
		return p, err
	}
}

func firsts(blocks []netip.Prefix) (out []netip.Addr) {
	for _, p := range blocks {
		out = append(out, p.Addr())
	}
	return out
}

// supplied adds the subnets that the document leaves out.
func supplied(subnets Answer[[]netip.Prefix], addrs []netip.Addr) Answer[[]netip.Prefix] {
	for _, a := range addrs {
		if !slices.ContainsFunc(subnets.Value, func(p netip.Prefix) bool { return p.Contains(a) }) {
			p, _ := a.Prefix(subnetBits6)
			subnets = Is(append(subnets.Value, p))
		}
	}
	return subnets
}

// needed4 does not believe that an interface has no IPv4 at all.
func needed4(i *Interface) {
	if i.Addrs4.Status == Absent {
		i.Addrs4.Status = Unavailable
		i.Problems = append(i.Problems, errBare)
	}
	if i.Subnets4.Status == Absent {
		i.Subnets4.Status = Unavailable
	}
}
