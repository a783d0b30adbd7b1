package plumb

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The addresses that the kernel holds.

func (l *Link) addrs(index int) (out []Addr, err error) {
	msg := nl.NewIfAddrmsg(unix.AF_UNSPEC)
	msg.Index = uint32(index)
	msgs, err := l.rt.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, msg)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, m := range msgs {
		a, ok, err := parseAddr(m, index)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, a)
		}
	}
	return out, nil
}

// parseAddr takes the addresses of the interface index, for kernels that do not filter.
func parseAddr(m []byte, index int) (addr Addr, ok bool, err error) {
	a, err := parseAttrs(m, unix.SizeofIfAddrmsg)
	if err != nil {
		return addr, false, err
	}
	h := nl.DeserializeIfAddrmsg(m)
	ip := a.addr(unix.IFA_LOCAL)
	if !ip.IsValid() {
		ip = a.addr(unix.IFA_ADDRESS) // IPv6 has no local address beside a peer's
	}
	flags := a.u32or(unix.IFA_FLAGS, uint32(h.Flags))
	return Addr{
		Prefix:        netip.PrefixFrom(ip, int(h.Prefixlen)),
		NoPrefixRoute: flags&unix.IFA_F_NOPREFIXROUTE != 0,
		Ours:          oursAddr(a),
	}, int(h.Index) == index && ip.IsValid(), nil
}

// oursAddr: by protocol where the kernel keeps it (5.18), else by the metric.
func oursAddr(a attrs) bool {
	if p := a[attrProto]; len(p) > 0 && p[0] != 0 {
		return p[0] == Protocol
	}
	return a.u32(unix.IFA_RT_PRIORITY) == addrMetric
}

// parseOwn takes the kernel's local route to an IPv6 address of the interface.
func parseOwn(m []byte, index int) (own netip.Addr, ok bool) {
	h := nl.DeserializeRtMsg(m)
	if h.Family != unix.AF_INET6 || h.Type != unix.RTN_LOCAL || h.Dst_len != 128 || h.Protocol != unix.RTPROT_KERNEL {
		return own, false
	}
	a, err := parseAttrs(m, unix.SizeofRtMsg)
	own = a.addr(unix.RTA_DST)
	return own, err == nil && own.IsValid() && int(a.u32(unix.RTA_OIF)) == index
}
