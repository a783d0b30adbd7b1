package plumb

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Neighbour is what the kernel knows of a host on the interface's link.
type Neighbour uint8

// What it may know.
const (
	Unasked Neighbour = iota // nothing, or it was long ago
	Asking                   // it was asked, and there is no answer yet
	Answers                  // it has answered a moment ago, or the operator said where it is
	Silent                   // it was asked three times, a second apart (neigh/*/ucast_solicit), in vain
)

// Ask has the kernel ask a host on the interface's link whether it is there (ARP, or neighbour discovery).
// Traffic to a host that is known goes on meanwhile. See is the answer, a moment later, or after three
// seconds when there is none.
func (l *Link) Ask(host netip.Addr) error {
	state, err := l.neighbour(host)
	if err != nil || state&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0 {
		return err
	}
	if state&(unix.NUD_PROBE|unix.NUD_INCOMPLETE) != 0 {
		return nil // it is being asked
	}
	msg := ndmsg{family: familyOf(host), index: l.Index, state: unix.NUD_PROBE}
	if state&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY) == 0 {
		msg.state, msg.flags = unix.NUD_NONE, unix.NTF_USE // no MAC is known that could be asked
	}
	err = l.rt.do(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, msg, attrIP(unix.NDA_DST, host))
	if err != nil {
		return fmt.Errorf("ask %s on %s: %w", host, l.Name, err)
	}
	return nil
}

// See is what the kernel knows of a host on the interface's link now.
func (l *Link) See(host netip.Addr) (Neighbour, error) {
	state, err := l.neighbour(host)
	switch {
	case err != nil:
		return Unasked, err
	case state&(unix.NUD_PERMANENT|unix.NUD_NOARP|unix.NUD_REACHABLE) != 0:
		return Answers, nil
	case state&(unix.NUD_PROBE|unix.NUD_INCOMPLETE) != 0:
		return Asking, nil
	case state&unix.NUD_FAILED != 0:
		return Silent, nil
	}
	return Unasked, nil
}

// neighbour is the host's NUD_* state, 0 when the kernel does not know it.
func (l *Link) neighbour(host netip.Addr) (uint16, error) {
	msgs, err := l.rt.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, ndmsg{family: familyOf(host)}, attr32(unix.NDA_IFINDEX, uint32(l.Index)))
	if err != nil {
		return 0, fmt.Errorf("look for %s on %s: %w", host, l.Name, err)
	}
	for _, m := range msgs {
		a, err := parseAttrs(m, unix.SizeofNdMsg)
		if err != nil {
			return 0, err
		}
		index := binary.NativeEndian.Uint32(m[4:]) // of a kernel that does not filter
		if a.addr(unix.NDA_DST) == host && int(index) == l.Index {
			return binary.NativeEndian.Uint16(m[8:]), nil
		}
	}
	return 0, nil
}

// ndmsg is struct ndmsg of linux/neighbour.h.
type ndmsg struct {
	family, index int
	state         uint16
	flags         uint8
}

// Len implements nl.NetlinkRequestData.
func (m ndmsg) Len() int { return unix.SizeofNdMsg }

// Serialize implements nl.NetlinkRequestData.
func (m ndmsg) Serialize() []byte {
	b := make([]byte, unix.SizeofNdMsg)
	b[0], b[10] = uint8(m.family), m.flags
	binary.NativeEndian.PutUint32(b[4:], uint32(m.index))
	binary.NativeEndian.PutUint16(b[8:], m.state)
	return b
}
