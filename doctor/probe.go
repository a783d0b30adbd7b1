package doctor

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// far are peers far away: nothing is sent to them, the kernel is only asked for the way. The first is of the
// blocks for documentation (RFC 5737, RFC 3849), which some hosts refuse as a whole, as they do other bogons;
// the second is a root server of the DNS (a.root-servers.net, RFC 9609).
func far(six bool) []netip.Addr {
	if six {
		return []netip.Addr{
			netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, 15: 1}),
			netip.AddrFrom16([16]byte{0x20, 0x01, 0x05, 0x03, 0xba, 0x3e, 13: 2, 15: 0x30}),
		}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom4([4]byte{198, 41, 0, 4})}
}

// farFrom is a peer far away that the host does not refuse to talk with; the first when it refuses all.
func farFrom(src netip.Addr, ask func(Packet) (Answer, error)) (netip.Addr, error) {
	list := far(src.Is6())
	for _, peer := range list {
		a, err := ask(Packet{Src: src, Dst: peer})
		if err != nil || !a.refused() {
			return peer, err
		}
	}
	return list[0], nil
}

// refused: a route of the type blackhole, unreachable or prohibit. Of the first the kernel says EINVAL, as of
// a source that is not the host's.
func (a Answer) refused() bool {
	return slices.Contains([]unix.Errno{unix.EINVAL, unix.EHOSTUNREACH, unix.EACCES}, a.Errno) ||
		slices.Contains([]End{Blackhole, Unreachable, Prohibit}, a.End)
}

// ProbeInterface has the kernel look up a conversation of each of the interface's addresses with a host far away and
// one in each subnet of the interfaces. ask is Ask but in tests.
func ProbeInterface(c Interface, ifaces []Interface, ask func(Packet) (Answer, error)) ([]Probe, error) {
	var out []Probe
	peers := map[bool][]netip.Addr{false: peersOf(false, ifaces), true: peersOf(true, ifaces)} // by family
	for _, src := range c.sources() {
		away, err := farFrom(src, ask)
		if err != nil {
			return nil, err
		}
		for _, peer := range append([]netip.Addr{away}, peers[src.Is6()]...) {
			p := Probe{Src: src, Peer: peer}
			if p.Leaves, err = ask(Packet{Src: src, Dst: peer}); err != nil {
				return nil, err
			}
			if p.Enters, err = ask(Packet{Src: peer, Dst: src, In: c.Index}); err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// sources are the addresses that the cloud grants; of an interface that is not ours to set up, those that it has.
func (c Interface) sources() (out []netip.Addr) {
	if c.Managed {
		return c.addrs()
	}
	for _, a := range c.Have.Addrs {
		if ip := a.Prefix.Addr(); !ip.IsLinkLocalUnicast() {
			out = append(out, ip)
		}
	}
	return out
}

// peersOf are others in each subnet of the interfaces, of one family.
func peersOf(six bool, ifaces []Interface) (out []netip.Addr) {
	seen, used := map[netip.Prefix]bool{}, map[netip.Addr]bool{}
	for _, c := range ifaces {
		for _, a := range c.addrs() {
			used[a] = true
		}
	}
	for _, c := range ifaces {
		subnets := c.Granted.Subnets4.Value
		if six {
			subnets = c.Granted.Subnets6.Value
		}
		for _, s := range subnets {
			if peer, ok := someone(s, used); ok && !seen[s] {
				seen[s] = true
				out = append(out, peer)
			}
		}
	}
	return out
}

// someone is an address of a subnet that no interface has.
func someone(s netip.Prefix, used map[netip.Addr]bool) (netip.Addr, bool) {
	a := s.Masked().Addr().Next()
	for range 1000 {
		a = a.Next()
		if !s.Contains(a.Next()) { // the last one is the broadcast
			return a, false
		}
		if !used[a] {
			return a, true
		}
	}
	return a, false
}
