package metadata

import "net/netip"

// Canonical says whether every value is one that a reading could have brought. What comes from
// elsewhere, such as a file, is not believed otherwise.
func (i Interface) Canonical() bool {
	if !upTo(8999, i.Number) || !upTo(maxNumber, i.NetworkCard) || !upTo(maxNumber, i.DeviceNumber) {
		return false
	}
	gateway4 := !i.Gateway4.IsValid() || i.Gateway4.Is4()
	gateway6 := !i.Gateway6.IsValid() || i.Gateway6.Is6()
	if !gateway4 || !gateway6 || !isMTU(i.MTU) {
		return false
	}
	return family4().holds(i.Addrs4.Value, i.Subnets4.Value, i.Prefixes4.Value) &&
		family6().holds(i.Addrs6.Value, i.Subnets6.Value, i.Prefixes6.Value)
}

// isMTU says whether n is 0, for none, or what IPv4 makes the least (RFC 791 section 3.1 and 3.2) to what its header can
// say.
func isMTU(n int) bool { return n == 0 || (n >= leastMTU && n <= mostMTU) }

const leastMTU, mostMTU = 576, 65535

// upTo says whether n is from 0 to most.
func upTo(most, n int) bool { return n >= 0 && n <= most }

func (f family) holds(addrs []netip.Addr, subnets, blocks []netip.Prefix) bool {
	for _, a := range addrs {
		if b, err := f.addr(nil)(a.String()); err != nil || a != b {
			return false
		}
	}
	for _, p := range subnets {
		if q, err := f.subnet(p.String()); err != nil || p != q {
			return false
		}
	}
	for _, p := range blocks {
		if q, err := f.block(p.String(), f.delegates); err != nil || p != q {
			return false
		}
	}
	return true
}
