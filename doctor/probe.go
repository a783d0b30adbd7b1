package doctor

import "net/netip"

// far is a peer far away, of the blocks for documentation (RFC 5737, RFC 3849): nothing is sent to it, the
// kernel is only asked for the way.
func far(six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, 15: 1})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, 1})
}

// ProbeCard has the kernel look up a conversation of each of the card's addresses with a host far away and one in
// each subnet of the cards. ask is Ask but in tests.
func ProbeCard(c Card, cards []Card, ask func(Packet) (Answer, error)) ([]Probe, error) {
	var out []Probe
	for _, src := range c.sources() {
		for _, peer := range peersOf(src, cards) {
			p := Probe{Src: src, Peer: peer}
			var err error
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

// sources are the addresses that the cloud grants; of a card that is not ours to set up, those that it has.
func (c Card) sources() (out []netip.Addr) {
	if c.Managed {
		return c.Addrs()
	}
	for _, a := range c.Have.Addrs {
		if ip := a.Prefix.Addr(); !ip.IsLinkLocalUnicast() {
			out = append(out, ip)
		}
	}
	return out
}

func peersOf(src netip.Addr, cards []Card) []netip.Addr {
	out := []netip.Addr{far(src.Is6())}
	seen := map[netip.Prefix]bool{}
	for _, c := range cards {
		subnets := c.Granted.Subnets4.Value
		if src.Is6() {
			subnets = c.Granted.Subnets6.Value
		}
		for _, s := range subnets {
			if peer, ok := someone(s, cards); ok && !seen[s] {
				seen[s] = true
				out = append(out, peer)
			}
		}
	}
	return out
}

// someone is an address of a subnet that no card has.
func someone(s netip.Prefix, cards []Card) (netip.Addr, bool) {
	used := map[netip.Addr]bool{}
	for _, c := range cards {
		for _, a := range c.Addrs() {
			used[a] = true
		}
	}
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
