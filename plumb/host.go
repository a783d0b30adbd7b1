package plumb

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// fibMatch has the kernel say which route it found, rather than what it makes of it (RTM_F_FIB_MATCH of
// linux/rtnetlink.h, since Linux 4.13).
const fibMatch = 0x2000

// ReadHost asks the kernel what it knows of the host's interfaces: by which one the platform's addresses are
// reached, the first of them being the one that counts for Default, and which numbers the interfaces hold.
// An interface that is enslaved does not count, and for Default no route of ours: main has one for each interface
// that is set up, and an interface on its lease alone has no number yet that would tell.
func ReadHost(platform ...netip.Addr) (metadata.Host, error) {
	h := metadata.Host{Numbers: map[metadata.MAC]int{}, MTUs: map[metadata.MAC]int{}}
	rt, err := dial()
	if err != nil {
		return h, err
	}
	defer rt.close()
	macs, err := rt.macs(h.MTUs)
	if err != nil {
		return h, err
	}
	ifaces, err := rt.networkDevices()
	if err != nil {
		return h, err
	}
	for _, to := range platform {
		index, bits, ours, err := rt.leads(to)
		if err == nil && bits >= 0 && !ifaces[index] { // a VPN's has what main says of the interfaces, too
			index, bits, ours, err = rt.beneath(to, ifaces)
		}
		switch {
		case err != nil:
			return h, fmt.Errorf("look for the way to %s: %w", to, err)
		case bits == to.BitLen():
			h.Platform = append(h.Platform, macs[index])
			if to == platform[0] { // which hides where the host leaves else
				h.Default, err = rt.hostDefault(macs)
			}
		case bits >= 0 && !ours && to == platform[0]:
			h.Default = macs[index]
		}
		if err != nil {
			return h, err
		}
	}
	return h, rt.holdings(func(index, n int) { hold(h.Numbers, macs[index], n) })
}

func hold(numbers map[metadata.MAC]int, mac metadata.MAC, n int) {
	if mac != (metadata.MAC{}) {
		numbers[mac] = n
	}
}

// macs are the interfaces that are nobody's slaves, by index, and their MTUs.
func (s *socket) macs(mtus map[metadata.MAC]int) (map[int]metadata.MAC, error) {
	out := map[int]metadata.MAC{}
	return out, s.links(func(one Snapshot) {
		if one.Master == 0 {
			out[one.Index], mtus[one.MAC] = one.MAC, one.Link.MTU
		}
	})
}

// hostDefault is the interface of the default route that main prefers, of those of other programs; zero where there
// is none, or several are equal.
func (s *socket) hostDefault(macs map[int]metadata.MAC) (iface metadata.MAC, err error) {
	var found best
	err = s.mainDefaults(unix.AF_INET, func(h *nl.RtMsg, a attrs) {
		metric, by := a.u32(unix.RTA_PRIORITY), outs(a)
		usable := h.Protocol != Protocol && h.Tos == 0 && h.Type == unix.RTN_UNICAST
		switch {
		case !usable, found.known && metric > found.metric:
		case len(by) != 1, found.known && metric == found.metric && macs[by[0]] != iface:
			iface, found = metadata.MAC{}, best{metric, true}
		default:
			iface, found = macs[by[0]], best{metric, true}
		}
	})
	return iface, err
}

// leads says through which interface the host reaches to, the length of the route that says so, -1 when there
// is none, and whether it is ours.
func (s *socket) leads(to netip.Addr) (index, bits int, ours bool, err error) {
	msg := &nl.RtMsg{}
	msg.Family, msg.Dst_len = uint8(familyOf(to)), uint8(to.BitLen())
	msg.Flags = fibMatch | unix.RTM_F_LOOKUP_TABLE
	msgs, err := s.request(unix.RTM_GETROUTE, 0, msg, attrIP(unix.RTA_DST, to)).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	switch {
	case refused(err):
		return 0, -1, false, nil // no route, or one of type unreachable, prohibit or blackhole
	case err != nil || len(msgs) == 0:
		return 0, -1, false, err
	}
	a, err := parseAttrs(msgs[0], unix.SizeofRtMsg)
	if err != nil {
		return 0, -1, false, err
	}
	h := nl.DeserializeRtMsg(msgs[0])
	if equal, err := s.duplicated(h, a, to); equal || err != nil {
		return 0, -1, false, err
	}
	return int(a.u32(unix.RTA_OIF)), int(h.Dst_len), h.Protocol == Protocol, nil
}

// beneath says what leads does where the host's routing leads into a tunnel: by which interface main would reach to,
// were there no VPN.
func (s *socket) beneath(to netip.Addr, ifaces map[int]bool) (index, bits int, ours bool, err error) {
	var best rank
	bits = -1
	err = s.mainRoutes(familyOf(to), func(h *nl.RtMsg, a attrs) {
		here := h.Dst_len == 0 || netip.PrefixFrom(a.addr(unix.RTA_DST), int(h.Dst_len)).Contains(to)
		oif, r := int(a.u32(unix.RTA_OIF)), ranked(h, a)
		switch {
		case !here || !ifaces[oif] || h.Type != unix.RTN_UNICAST || h.Tos != 0:
		case int(h.Dst_len) > bits, int(h.Dst_len) == bits && r.metric < best.metric:
			best, index = r, oif
			bits, ours = int(h.Dst_len), h.Protocol == Protocol
		case r == best && oif != index: // equal ones say nothing
			index = 0
		}
	})
	if index == 0 {
		bits = -1
	}
	return index, bits, ours, err
}

// duplicated reports whether main has an equal route through another interface. Then the match is meaningless: which of
// them came first is chance, as after a flap, when every interface's lease brings such routes.
func (s *socket) duplicated(h *nl.RtMsg, found attrs, to netip.Addr) (equal bool, err error) {
	if found.u32or(unix.RTA_TABLE, uint32(h.Table)) != tableMain {
		return false, nil
	}
	err = s.mainRoutes(int(h.Family), func(o *nl.RtMsg, a attrs) {
		here := o.Dst_len == 0 || netip.PrefixFrom(a.addr(unix.RTA_DST), int(o.Dst_len)).Contains(to)
		equal = equal || (here && ranked(o, a) == ranked(h, found) && a.u32(unix.RTA_OIF) != found.u32(unix.RTA_OIF))
	})
	return equal, err
}

// rank is by what the kernel prefers one route of a table to another for a destination that both have.
type rank struct {
	metric          uint32
	bits, tos, kind uint8
}

func ranked(h *nl.RtMsg, a attrs) rank {
	return rank{a.u32(unix.RTA_PRIORITY), h.Dst_len, h.Tos, h.Type}
}

// holdings tells the numbers of the interfaces that the metadata knew, with the index of each.
func (s *socket) holdings(each func(index, n int)) error {
	return s.marked(func(table uint32, a attrs) {
		if n := int(table) - baseTable; n >= 0 && n < degradedN {
			each(int(a.u32(unix.RTA_OIF)), n)
		}
	})
}
