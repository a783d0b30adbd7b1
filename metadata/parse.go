package metadata

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	maxValues   = 1024 // in one list; an ENI holds at most 50 addresses or prefixes of a family
	maxRefusals = 8    // said of one list; the rest is counted
	maxNumber   = 99   // N = 100 × network card + device number must be unique
)

// isSep knows everything that was seen between the values of a list.
func isSep(r rune) bool { return strings.ContainsRune("\n\r\t, ", r) }

// parseList reads every value of s with parse: see parseWords.
func parseList[T comparable](s string, parse func(string) (T, error)) (values []T, refused []error) {
	return parseWords(strings.FieldsFunc(s, isSep), parse)
}

// parseWords reads every word with parse, keeps the order and drops what comes twice. A value
// that parse refuses costs only itself; its error quotes it, cut. A list of more than 1024 values
// is refused as a whole, since a part of it would look like a removal of the others.
func parseWords[T comparable](words []string, parse func(string) (T, error)) (values []T, refused []error) {
	if len(words) > maxValues {
		return nil, []error{fmt.Errorf("%d values are more than %d", len(words), maxValues)}
	}
	seen := make(map[T]bool, len(words))
	bad := 0
	for _, w := range words {
		v, err := parse(w)
		switch {
		case err != nil && bad < maxRefusals:
			refused = append(refused, fmt.Errorf("%.50q %w", w, err))
			bad++
		case err != nil:
			bad++
		case !seen[v]:
			seen[v] = true
			values = append(values, v)
		}
	}
	if bad > maxRefusals {
		refused = append(refused, fmt.Errorf("and %d more", bad-maxRefusals))
	}
	return values, refused
}

// parseListing reads the names in a folder of the metadata, without the slash of sub-folders. One
// line that can be no name makes the whole of it something else, such as an error page in plain text.
func parseListing(s string) ([]string, error) {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 || len(lines) > maxValues {
		return nil, fmt.Errorf("a listing of %d names", len(lines))
	}
	for i, line := range lines {
		name := strings.TrimSuffix(strings.TrimSpace(line), "/")
		if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return !isNameChar(r) }) {
			return nil, fmt.Errorf("%.50q can be no name in a listing", line)
		}
		lines[i] = name
	}
	return lines, nil
}

func isNameChar(r rune) bool {
	return isAlphanumeric(r) || strings.ContainsRune("-_.:", r)
}

// isAlphanumeric knows the letters and digits of ASCII.
func isAlphanumeric(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	return false
}

func parseMACs(s string) ([]MAC, error) {
	names, err := parseListing(s)
	if err != nil {
		return nil, err
	}
	var all []MAC
	for _, name := range names {
		m, err := parseMAC(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return all, nil
}

// parseMAC refuses what no interface can have: a group address, and zero.
func parseMAC(s string) (MAC, error) {
	m, err := ParseMAC(s)
	if err == nil && (m == MAC{} || m[0]&1 != 0) {
		err = fmt.Errorf("%.40q can be no interface's MAC address", s)
	}
	if err != nil {
		return MAC{}, err
	}
	return m, nil
}

// parseNumber reads a device number or a network card's index.
func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n > maxNumber {
		return 0, fmt.Errorf("%.40q is not a number from 0 to %d", s, maxNumber)
	}
	return int(n), nil
}

// parseID reads the interface's id, which becomes an alternative name of it in the kernel. EC2 has interfaces
// that are no ENIs, whose ids begin otherwise (SecondaryInterfaceId of its API, since 2026-02).
func parseID(s string) (string, error) {
	kind, rest, _ := strings.Cut(s, "-")
	lower := func(r rune) bool { return 'a' <= r && r <= 'z' }
	badKind := kind == "" || strings.ContainsFunc(kind, func(r rune) bool { return !lower(r) })
	badRest := rest == "" || strings.ContainsFunc(rest, func(r rune) bool { return !lower(r) && !('0' <= r && r <= '9') })
	if badKind || badRest || len(s) > maxID {
		return "", fmt.Errorf("%.50q is not the id of an interface", s)
	}
	return s, nil
}

const maxID = 64 // characters; ids of EC2 have 21

var (
	errNoAddr   = errors.New("is not an address of this family")
	errNoPrefix = errors.New("is not an address block of this family")
	errReserved = errors.New("is in a range that no interface has its addresses in")
	errOutside  = errors.New("is outside of the interface's subnets")
	errEdge     = errors.New("is the subnet's network or broadcast address")
	errSize     = errors.New("is too large or too small a block")
	errSwallows = errors.New("contains a whole subnet of the interface")
)

// family holds the bounds of one address family.
type family struct {
	is4                bool
	subnets, delegates [2]int // shortest and longest prefix that is believed
	reserved           []netip.Prefix
}

// family4: EC2's own subnets are /16 to /28 and its delegated blocks /28. Other clouds with EC2's
// metadata are given more room: a /8 is the largest private range, a /30 the smallest subnet with
// a gateway and an interface in it. A delegated block may be a single address.
func family4() family {
	return family{is4: true, subnets: [2]int{8, 30}, delegates: [2]int{16, 32}, reserved: []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), // the metadata itself; an IPv6-only interface's lease comes by DHCP
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("255.255.255.255/32"),
	}}
}

// family6: EC2's own subnets are /44 to /64 and its delegated blocks /80. A /32 is what a whole
// provider gets, a /126 the counterpart of IPv4's /30.
func family6() family {
	return family{subnets: [2]int{32, 126}, delegates: [2]int{48, 128}, reserved: []netip.Prefix{
		netip.MustParsePrefix("::/8"), // unspecified, loopback, IPv4-mapped, NAT64
		netip.MustParsePrefix("fe80::/9"),
		netip.MustParsePrefix("ff00::/8"),
	}}
}

func (f family) isReserved(p netip.Prefix) bool {
	return slices.ContainsFunc(f.reserved, p.Overlaps)
}

// addr returns the parser of an interface's address, which must lie in one of the subnets when there are
// any. "addr/64" is seen where an address was expected.
func (f family) addr(subnets []netip.Prefix) func(string) (netip.Addr, error) {
	return func(s string) (netip.Addr, error) {
		a, err := parseAddr(s)
		if err != nil || a.Is4() != f.is4 || a.Zone() != "" {
			return netip.Addr{}, errNoAddr
		}
		if f.isReserved(netip.PrefixFrom(a, a.BitLen())) {
			return netip.Addr{}, errReserved
		}
		i := slices.IndexFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a) })
		if len(subnets) > 0 && i < 0 {
			return netip.Addr{}, errOutside
		}
		if i >= 0 && f.is4 && (a == subnets[i].Addr() || a == broadcast(subnets[i])) {
			return netip.Addr{}, errEdge
		}
		return a, nil
	}
}

func parseAddr(s string) (netip.Addr, error) {
	if !strings.Contains(s, "/") {
		return netip.ParseAddr(s)
	}
	p, err := netip.ParsePrefix(s)
	return p.Addr(), err
}

// broadcast is the last address of an IPv4 subnet.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func (f family) block(s string, bits [2]int) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4() != f.is4 {
		return netip.Prefix{}, errNoPrefix
	}
	if p.Bits() < bits[0] || p.Bits() > bits[1] {
		return netip.Prefix{}, errSize
	}
	if f.isReserved(p) {
		return netip.Prefix{}, errReserved
	}
	return p.Masked(), nil
}

// subnet parses the block that an interface's addresses are in; host bits, which are seen, are dropped.
func (f family) subnet(s string) (netip.Prefix, error) { return f.block(s, f.subnets) }

// delegated returns the parser of a block that is routed to the interface. On EC2 it comes out of the
// subnet; one with the whole subnet in it would send the neighbours' sources out of this interface.
func (f family) delegated(subnets []netip.Prefix) func(string) (netip.Prefix, error) {
	return func(s string) (netip.Prefix, error) {
		p, err := f.block(s, f.delegates)
		swallows := func(sub netip.Prefix) bool { return p.Bits() <= sub.Bits() && p.Overlaps(sub) }
		if err == nil && slices.ContainsFunc(subnets, swallows) {
			err = errSwallows
		}
		if err != nil {
			return netip.Prefix{}, err
		}
		return p, nil
	}
}
