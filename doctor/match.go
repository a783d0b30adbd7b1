package doctor

import (
	"fmt"
	"net/netip"
)

// Packet is what the kernel looks a route up for. Zero values are what an ordinary packet has.
type Packet struct {
	Src, Dst     netip.Addr
	In           int // ifindex that it came in by; 0: the host sends it
	Out          int // ifindex that its socket is bound to; 0: none
	Mark         uint32
	TOS          uint8
	IPProto      uint8
	SPort, DPort uint16
	UID          uint32 // of the sender; what comes in, and what the reverse path check looks up, counts as 0's
	VRF          int    // ifindex of the VRF that it belongs to; 0: none
}

// loopback is the ifindex that the kernel takes a packet of its own to come in by.
const loopback = 1

// mismatch says why a rule does not apply to a packet; empty: it does. The order is that of
// fib_rule_match and of the two families' own matches (net/core/fib_rules.c).
func (f FIB) mismatch(r Rule, p Packet) string {
	why := f.selectors(r, p)
	if !r.Not {
		return why
	}
	if why == "" {
		return "not: its selectors apply"
	}
	return ""
}

// selectors says which of a rule's selectors does not apply first; empty: all do. not inverts all of them together.
func (f FIB) selectors(r Rule, p Packet) string {
	for _, check := range []func(Rule, Packet) string{f.devices, marks, f.vrf, users, addresses, transport} {
		if why := check(r, p); why != "" {
			return why
		}
	}
	return ""
}

// devices compares iif and oif. What the host itself sends comes in by the loopback device; oif is the device that its socket is
// bound to (SO_BINDTODEVICE), not the one that it leaves by, which is not known yet.
func (f FIB) devices(r Rule, p Packet) string {
	in := p.In
	if in == 0 {
		in = loopback
	}
	if r.IIF != "" && !f.isDevice(r.IIF, in, p.VRF) {
		return fmt.Sprintf("iif %s: it comes in by %s", r.IIF, f.name(in))
	}
	switch {
	case r.OIF == "" || f.isDevice(r.OIF, p.Out, p.VRF):
		return ""
	case p.Out == 0:
		return fmt.Sprintf("oif %s: it is bound to no device", r.OIF)
	}
	return fmt.Sprintf("oif %s: it is bound to %s", r.OIF, f.name(p.Out))
}

// isDevice: a rule that names a VRF is about all that belongs to it.
func (f FIB) isDevice(name string, index, vrf int) bool {
	l, ok := f.Named(name)
	return ok && (l.Index == index || (l.Kind == "vrf" && l.Index == vrf))
}

// marks compares the firewall mark under the rule's mask.
func marks(r Rule, p Packet) string {
	if (r.Mark^p.Mark)&r.Mask != 0 {
		return fmt.Sprintf("fwmark %s: its mark is %#x", markText(r.Mark, r.Mask), p.Mark)
	}
	if r.TunnelID != 0 {
		return fmt.Sprintf("tun_id %d: it is in no tunnel", r.TunnelID)
	}
	return ""
}

// vrf: a rule with l3mdev applies to what belongs to a VRF.
func (f FIB) vrf(r Rule, p Packet) string {
	if r.L3MDev && p.VRF == 0 {
		return "l3mdev: it belongs to no VRF"
	}
	return ""
}

// users compares the user who owns the sending socket (uidrange of ip-rule(8)).
func users(r Rule, p Packet) string {
	switch {
	case !r.UID.Set || (r.UID.First <= p.UID && p.UID <= r.UID.Last):
		return ""
	case p.In != 0:
		return fmt.Sprintf("uidrange %d-%d: what comes in counts as user %d's", r.UID.First, r.UID.Last, p.UID)
	}
	return fmt.Sprintf("uidrange %d-%d: user %d sends it", r.UID.First, r.UID.Last, p.UID)
}

// addresses compares source, destination and type of service.
func addresses(r Rule, p Packet) string {
	if r.From.IsValid() && !r.From.Contains(p.Src) {
		return fmt.Sprintf("from %s: it comes from %s", prefixText(r.From), p.Src)
	}
	if r.To.IsValid() && !r.To.Contains(p.Dst) {
		return fmt.Sprintf("to %s: it goes to %s", prefixText(r.To), p.Dst)
	}
	if r.TOS != 0 && r.TOS != p.TOS {
		return fmt.Sprintf("tos %#x: the packet has %#x", r.TOS, p.TOS)
	}
	return ""
}

// transport compares protocol and ports (Linux 4.17). A question that names none has 0, which no rule asks for.
func transport(r Rule, p Packet) string {
	switch {
	case r.IPProto != 0 && r.IPProto != p.IPProto:
		return fmt.Sprintf("ipproto %s: the question names no protocol", protoText(r.IPProto))
	case r.SPort != Ports{} && !r.SPort.has(p.SPort):
		return fmt.Sprintf("sport %s: the question names no port", r.SPort)
	case r.DPort != Ports{} && !r.DPort.has(p.DPort):
		return fmt.Sprintf("dport %s: the question names no port", r.DPort)
	}
	return ""
}

func (p Ports) has(port uint16) bool { return p.First <= port && port <= p.Last }
