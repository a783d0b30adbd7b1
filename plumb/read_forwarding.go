package plumb

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Whether the kernel forwards what arrives by the interface (RTM_GETNETCONF).

// netconf numbers of linux/netconf.h, and of linux/rtnetlink.h.
const (
	netconfIndex      = 1  // NETCONFA_IFINDEX
	netconfForwarding = 2  // NETCONFA_FORWARDING
	netconfAll        = -1 // NETCONFA_IFINDEX_ALL
)

// readForwarding reads the setting for all interfaces (net.ipv4.ip_forward), which a new interface gets too.
func (l *Link) readForwarding(s *Snapshot) error {
	if !l.scope.Forwarding {
		return nil
	}
	all := int32(netconfAll)
	r := l.rt.request(unix.RTM_GETNETCONF, 0, netconfmsg{}, attr32(netconfIndex, uint32(all)))
	msgs, err := r.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNETCONF)
	if err != nil {
		return fmt.Errorf("read the setting of ip_forward: %w", err)
	}
	for _, m := range msgs {
		_, on, ok := parseNetconf(m)
		s.forwardsAll = s.forwardsAll || (ok && on)
	}
	return nil
}

// parseNetconf is the interface that a message is about, and whether it forwards, if the message says so.
func parseNetconf(m []byte) (index int, on, ok bool) {
	const header = 4 // struct netconfmsg, one byte, aligned
	a, err := parseAttrs(m, header)
	if err != nil || m[0] != unix.AF_INET {
		return 0, false, false
	}
	_, ok = a[netconfForwarding]
	return int(int32(a.u32(netconfIndex))), a.u32(netconfForwarding) != 0, ok
}

// netconfmsg is struct netconfmsg of linux/netconf.h, for IPv4.
type netconfmsg struct{}

// Len implements nl.NetlinkRequestData.
func (netconfmsg) Len() int { return 4 }

// Serialize implements nl.NetlinkRequestData.
func (netconfmsg) Serialize() []byte { return []byte{unix.AF_INET, 0, 0, 0} }
