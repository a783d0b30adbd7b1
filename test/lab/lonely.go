package lab

import (
	"errors"
	"net/netip"
)

// alone makes a port answer ARP for its subnet's router and for nothing else.
func (f *fabric) alone(p port, s Subnet) error {
	err := f.node.sysctls([][2]string{
		{"net/ipv4/conf/" + p.name + "/proxy_arp", "0"},
		{"net/ipv4/conf/" + p.name + "/arp_ignore", "1"}, // only for addresses of the port itself
	})
	if s.CIDR.IsValid() {
		err = errors.Join(err, addAddr(f.node.nl, linkIndex(p.index), netip.PrefixFrom(s.Gateway4(), 32)))
	}
	return err
}
