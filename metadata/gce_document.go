package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// rangeBits6 is the length of the range that an interface has of its subnet's /64 (cloud.google.com, "IPv6 support in
// Virtual Private Cloud"). The whole of it is the interface's.
const rangeBits6 = 96

var (
	errForeign    = errors.New("overlaps the subnet of another interface of this machine")
	errGateway    = errors.New("can be no gateway of the interface")
	errMTU        = errors.New("is no MTU")
	errNoAddrs    = errors.New("it names neither an IPv4 nor an IPv6 address, which is not believed")
	errMACTwice   = errors.New("another interface has this MAC address too")
	errFirstIsOdd = errors.New("the first interface, which is the primary, could not be read")
)

// nics is the document: its interfaces in their order, which is that of their numbers. An element that is no interface
// leaves its place empty.
type nics struct {
	list []nic
	odd  []error
}

// nic is one interface as the document has it.
type nic struct {
	mac MAC
	raw nicKeys
}

// nicKeys are the keys of an interface that are read. accessConfigs are left out: an external address is translated
// by the cloud, and is never the host's.
type nicKeys struct {
	MAC        string          `json:"mac"`
	IP         string          `json:"ip"`
	Mask       string          `json:"subnetmask"`
	Gateway    string          `json:"gateway"`
	Gateway6   string          `json:"gatewayIpv6"`
	MTU        json.RawMessage `json:"mtu"`
	Aliases    json.RawMessage `json:"ipAliases"`
	Forwarded  json.RawMessage `json:"forwardedIps"`
	Targets    json.RawMessage `json:"targetInstanceIps"`
	Ranges6    json.RawMessage `json:"ipv6"`
	Addrs6     json.RawMessage `json:"ipv6s"`
	Forwarded6 json.RawMessage `json:"forwardedIpv6s"`
}

// parseNICs reads the document. What can not be read costs only itself.
func parseNICs(body string) (nics, error) {
	var list []json.RawMessage
	if json.Unmarshal([]byte(body), &list) != nil {
		return nics{}, unusable(keyNICs, errNoDocument)
	}
	if len(list) > maxInterfaces {
		return nics{}, unusable(keyNICs, fmt.Errorf("%d interfaces are more than %d", len(list), maxInterfaces))
	}
	if len(list) == 0 {
		return nics{}, notReady(keyNICs, "no interface is listed yet")
	}
	var n nics
	for i, raw := range list {
		one, err := parseNIC(raw)
		if err == nil && n.index(one.mac) >= 0 {
			one, err = nic{}, errMACTwice
		}
		if err != nil {
			n.odd = append(n.odd, fmt.Errorf("%d: %w", i, err))
		}
		n.list = append(n.list, one)
	}
	if n.list[0].mac == (MAC{}) { // no other one must be taken for the primary
		return nics{}, unusable(keyNICs, fmt.Errorf("%w: %w", errFirstIsOdd, n.odd[0]))
	}
	return n, nil
}

func parseNIC(raw json.RawMessage) (one nic, err error) {
	if json.Unmarshal(raw, &one.raw) != nil {
		return nic{}, errNoObject
	}
	if one.mac, err = parseMAC(one.raw.MAC); err != nil {
		return nic{}, fmt.Errorf("mac: %w", err)
	}
	return one, nil
}

// first is nic0; the zero MAC of no document.
func (n nics) first() MAC {
	if len(n.list) == 0 {
		return MAC{}
	}
	return n.list[0].mac
}

func (n nics) macs() (out []MAC) {
	for _, c := range n.list {
		if c.mac != (MAC{}) {
			out = append(out, c.mac)
		}
	}
	return out
}

func (n nics) index(mac MAC) int {
	return slices.IndexFunc(n.list, func(c nic) bool { return c.mac == mac && mac != (MAC{}) })
}

// lists is an error unless the document has the interface.
func (n nics) lists(mac MAC) error {
	switch {
	case n.index(mac) >= 0:
		return nil
	case len(n.odd) > 0: // it may be one of those
		return unusable(keyNICs, errors.Join(n.odd...))
	}
	return &Error{Key: keyNICs, Status: http.StatusOK, Err: ErrUnknownMAC}
}

// iface makes an Interface of what the document says of an interface that it lists. Its number is its place in the list,
// which is fixed when the machine is made.
func (n nics) iface(mac MAC) Interface {
	i := n.index(mac)
	c := n.list[i].raw
	r := nicReading{Interface{MAC: mac, DeviceNumber: i, Primary: i == 0}}
	others4, others6 := n.subnetsBeside(i)
	r.ipv4(c, others4)
	r.ipv6(c, others6)
	r.mtu(c.MTU)
	if r.out.Addrs4.Status == Absent && r.out.Addrs6.Status == Absent {
		r.out.Addrs4.Status = Unavailable
		r.out.Problems = append(r.out.Problems, errNoAddrs)
	}
	return r.out
}

// subnetsBeside are the subnets of the other interfaces, as far as the document tells them.
func (n nics) subnetsBeside(i int) (four, six []netip.Prefix) {
	for k, c := range n.list {
		if k == i || c.mac == (MAC{}) {
			continue
		}
		four, six = append(four, places4(c.raw)...), append(six, places6(c.raw)...)
	}
	return four, six
}

// places4 is the interface's subnet, or without a mask its address and its gateway.
func places4(c nicKeys) (out []netip.Prefix) {
	if p, err := subnetOf(c); err == nil && p.IsValid() {
		return []netip.Prefix{p}
	}
	for _, s := range []string{c.IP, c.Gateway} {
		if a, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// places6 are the interface's ranges, and those of its addresses.
func places6(c nicKeys) (out []netip.Prefix) {
	words, _ := textList(c.Ranges6)
	out, _ = parseWords(words, family6().subnet)
	words, _ = textList(c.Addrs6)
	own, _ := parseWords(words, family6().addr(nil))
	for _, a := range own {
		p, _ := a.Prefix(rangeBits6)
		out = append(out, p)
	}
	return out
}

// subnetOf is the primary range of the interface's subnet; invalid where the document has no mask, as some had not.
func subnetOf(c nicKeys) (netip.Prefix, error) {
	if c.IP == "" || c.Mask == "" {
		return netip.Prefix{}, nil
	}
	a, err := netip.ParseAddr(c.IP)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.50q %w", c.IP, errNoAddr)
	}
	bits, err := maskLength(c.Mask)
	if err != nil {
		return netip.Prefix{}, err
	}
	p, err := family4().subnet(netip.PrefixFrom(a, bits).String())
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.20q %w", c.Mask, err)
	}
	return p, nil
}

// maskLength is the length of a mask without holes.
func maskLength(mask string) (int, error) {
	m, err := netip.ParseAddr(mask)
	if err != nil || !m.Is4() {
		return 0, fmt.Errorf("%.50q is not a mask", mask)
	}
	bits := 0
	for _, b := range m.As4() {
		for k := 7; k >= 0 && b>>k&1 == 1; k-- {
			bits++
		}
	}
	if full, _ := netip.AddrFrom4([4]byte{255, 255, 255, 255}).Prefix(bits); full.Addr() != m {
		return 0, fmt.Errorf("%.50q is not a mask", mask)
	}
	return bits, nil
}

// textList reads a list of texts; none at all is an empty one.
func textList(raw json.RawMessage) ([]string, error) {
	var words []string
	if len(raw) > 0 && json.Unmarshal(raw, &words) != nil {
		return nil, errNoList
	}
	return slices.DeleteFunc(words, func(w string) bool { return strings.TrimSpace(w) == "" }), nil
}
