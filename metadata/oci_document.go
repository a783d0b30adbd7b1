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

// jumboOCI is the MTU of every network of Oracle's (docs.oracle.com, "Network MTU"), which the metadata do not say.
const jumboOCI = 9000

var errNoID = errors.New("is no id of a VNIC")

// vnics is the document: the VNICs in its order.
type vnics struct {
	list    []vnic
	lead    bool    // the first element is the first of list
	odd     []error // elements that are no VNIC
	first   MAC
	numbers map[MAC]int
	mtu     int // of the primary VNIC's link, in bytes
}

// vnic is one VNIC as the document has it.
type vnic struct {
	mac MAC
	raw vnicKeys
}

// vnicKeys are the keys of a VNIC that are read. Neither vlanTag nor nicIndex means anything on a virtual machine. The
// secondary private IPv4 addresses of a VNIC are not in the document.
type vnicKeys struct {
	ID       string          `json:"vnicId"`
	MAC      string          `json:"macAddr"`
	IP       string          `json:"privateIp"`
	Subnet   string          `json:"subnetCidrBlock"`
	Gateway  string          `json:"virtualRouterIp"`
	Addrs6   json.RawMessage `json:"ipv6Addresses"`
	Subnet6  string          `json:"ipv6SubnetCidrBlock"`
	Gateway6 string          `json:"ipv6VirtualRouterIp"`
}

// parseVNICs reads the document. What can not be read costs only itself.
func parseVNICs(body string) (vnics, error) {
	var list []json.RawMessage
	if json.Unmarshal([]byte(body), &list) != nil {
		return vnics{}, unusable(keyVNICs, errNoDocument)
	}
	if len(list) > maxInterfaces {
		return vnics{}, unusable(keyVNICs, fmt.Errorf("%d interfaces are more than %d", len(list), maxInterfaces))
	}
	if len(list) == 0 {
		return vnics{}, notReady(keyVNICs, "no interface is listed yet")
	}
	var v vnics
	for i, raw := range list {
		one, err := parseVNIC(raw)
		if err == nil && v.index(one.mac) >= 0 {
			err = errMACTwice
		}
		if err != nil {
			v.odd = append(v.odd, fmt.Errorf("%d: %w", i, err))
			continue
		}
		v.lead = v.lead || i == 0
		v.list = append(v.list, one)
	}
	return v, nil
}

func parseVNIC(raw json.RawMessage) (one vnic, err error) {
	if json.Unmarshal(raw, &one.raw) != nil {
		return vnic{}, errNoObject
	}
	if one.mac, err = parseMAC(one.raw.MAC); err != nil {
		return vnic{}, fmt.Errorf("macAddr: %w", err)
	}
	return one, nil
}

// leading is the VNIC that the document begins with, which is the primary; zero where that could not be read.
func (v vnics) leading() MAC {
	if !v.lead {
		return MAC{}
	}
	return v.list[0].mac
}

func (v vnics) macs() (out []MAC) {
	for _, c := range v.list {
		out = append(out, c.mac)
	}
	return out
}

func (v vnics) index(mac MAC) int {
	return slices.IndexFunc(v.list, func(c vnic) bool { return c.mac == mac })
}

// lists is an error unless the document has the VNIC.
func (v vnics) lists(mac MAC) error {
	switch {
	case v.index(mac) >= 0:
		return nil
	case len(v.odd) > 0: // it may be one of those
		return unusable(keyVNICs, errors.Join(v.odd...))
	}
	return &Error{Key: keyVNICs, Status: http.StatusOK, Err: ErrUnknownMAC}
}

// iface makes an Interface of what the document says of a VNIC that it lists. One without any address is still being
// attached.
func (v vnics) iface(mac MAC) (Interface, error) {
	c := v.list[v.index(mac)].raw
	r := nicReading{Interface{MAC: mac, Primary: mac == v.first, Number: v.numbers[mac]}}
	none := None[[]netip.Prefix]()
	r.out.Prefixes4, r.out.Prefixes6 = none, none
	if IsID(c.ID) {
		r.out.ID = c.ID
	} else {
		r.problem("vnicId", fmt.Errorf("%.50q %w", c.ID, errNoID))
	}
	r.vnic4(c)
	r.vnic6(c)
	if r.out.Addrs4.Status == Absent && r.out.Addrs6.Status == Absent {
		return Interface{}, notReady(keyVNICs, "the VNIC has no address yet")
	}
	if !r.out.Primary && v.mtu >= jumboOCI {
		r.out.MTU = v.mtu
	}
	return r.out, nil
}

// vnic4 reads the primary private address, its subnet and its gateway.
func (r *nicReading) vnic4(c vnicKeys) {
	f := family4()
	r.out.Subnets4 = wordList(r, "subnetCidrBlock", named(c.Subnet), f.subnet)
	r.out.Addrs4 = wordList(r, "privateIp", named(c.IP), f.addr(r.out.Subnets4.Value))
	if gateway := named(c.Gateway); len(gateway) > 0 {
		r.out.Gateway4 = r.gateway("virtualRouterIp", gateway[0], false)
	}
}

// vnic6 reads the IPv6 addresses, all of them, and their subnet, which has 64 bits where it is not named
// (docs.oracle.com, "IPv6 Addresses").
func (r *nicReading) vnic6(c vnicKeys) {
	f := family6()
	r.out.Subnets6 = wordList(r, "ipv6SubnetCidrBlock", named(c.Subnet6), f.subnet)
	words, err := textList(c.Addrs6)
	if err != nil {
		r.problem("ipv6Addresses", err)
		return
	}
	words = slices.DeleteFunc(words, func(w string) bool { return len(named(w)) == 0 })
	r.out.Addrs6 = wordList(r, "ipv6Addresses", words, f.addr(r.out.Subnets6.Value))
	if r.out.Subnets6.Status == Absent {
		r.out.Subnets6 = supplied(r.out.Subnets6, r.out.Addrs6.Value)
	}
	if gateway := named(c.Gateway6); len(gateway) > 0 {
		r.out.Gateway6 = r.gateway("ipv6VirtualRouterIp", gateway[0], true)
	}
}

// named is the list of one value, or of none: where there is none the key is missing, or holds "<null>".
func named(s string) []string {
	if strings.EqualFold(strings.Trim(strings.TrimSpace(s), "<>"), "null") {
		return nil
	}
	return present(s)
}
