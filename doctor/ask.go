package doctor

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Answer is what the kernel itself says of a packet (RTM_GETROUTE).
type Answer struct {
	End    End
	Device int        // ifindex that it leaves by; of a local packet the loopback's
	Via    netip.Addr // invalid: on the link
	Table  uint32
	Errno  unix.Errno // why there is no route; 0: there is one
}

// dropped: the kernel would throw the incoming packet away. Older kernels say EXDEV when the reverse path
// check fails; newer ones say EINVAL, whatever the reason (inet_rtm_getroute).
func (a Answer) dropped() bool {
	return errors.Is(a.Errno, unix.EXDEV) || errors.Is(a.Errno, unix.EINVAL)
}

// Ask has the kernel look a packet up. That it finds no route is an Answer; an error is that it could not be
// asked.
func Ask(p Packet) (Answer, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	msg := &nl.RtMsg{}
	msg.Family, msg.Tos = unix.AF_INET, p.TOS
	msg.Dst_len, msg.Src_len = uint8(p.Dst.BitLen()), uint8(p.Src.BitLen()) // of no source, 0
	if p.Dst.Is6() {
		msg.Family = unix.AF_INET6
	}
	msg.Flags = unix.RTM_F_LOOKUP_TABLE
	req.AddData(msg)
	for _, a := range p.attrs() {
		req.AddData(a)
	}
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	var errno unix.Errno
	switch {
	case errors.As(err, &errno) && refusal(errno):
		return Answer{End: NoRoute, Errno: errno}, nil
	case err != nil:
		return Answer{}, fmt.Errorf("ask the kernel for the route from %s to %s: %w", p.Src, p.Dst, err)
	case len(msgs) == 0:
		return Answer{}, fmt.Errorf("ask the kernel for the route from %s to %s: no answer", p.Src, p.Dst)
	}
	r, _, err := parseRoute(msgs[0])
	if err != nil {
		return Answer{}, err
	}
	a := Answer{End: endOf(r.Type), Table: r.Table}
	if len(r.Hops) > 0 {
		a.Device, a.Via = r.Hops[0].Index, r.Hops[0].Via
	}
	return a, nil
}

// refusal: the errno is about the route, not about the question.
func refusal(e unix.Errno) bool {
	switch e {
	case unix.EXDEV, unix.EINVAL, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EAGAIN, unix.ESRCH, unix.ENETDOWN, unix.ENONET:
		return true
	}
	return false
}

// attrs are the packet's as RTM_GETROUTE takes them (rtnetlink(7)): the mark, the user and the devices are selectors of
// rules. With RTA_IIF the kernel looks up as for a packet that comes in, the reverse path check included.
func (p Packet) attrs() (out []*nl.RtAttr) {
	u32 := func(t int, v uint32) { out = append(out, nl.NewRtAttr(t, nl.Uint32Attr(v))) }
	out = append(out, nl.NewRtAttr(unix.RTA_DST, p.Dst.AsSlice()))
	if p.Src.IsValid() {
		out = append(out, nl.NewRtAttr(unix.RTA_SRC, p.Src.AsSlice()))
	}
	if p.In != 0 {
		u32(unix.RTA_IIF, uint32(p.In))
	}
	if p.Out != 0 {
		u32(unix.RTA_OIF, uint32(p.Out))
	}
	if p.Mark != 0 {
		u32(unix.RTA_MARK, p.Mark)
	}
	u32(unix.RTA_UID, p.UID) // else the kernel takes the caller's, or nobody's for what comes in
	return out
}

// differs says where the kernel's answer is another than the walk's; empty: nowhere.
func (f FIB) differs(p Path, a Answer) string {
	if a.Errno != 0 {
		if p.End == Forward || p.End == Local {
			return fmt.Sprintf("the kernel says %q", a.Errno.Error())
		}
		return ""
	}
	if p.End != a.End {
		return fmt.Sprintf("the kernel says %s", f.answer(a))
	}
	if p.End != Forward {
		return ""
	}
	for _, h := range p.Hops {
		if h.Index == a.Device && h.Via == a.Via && (a.Table == p.Table || a.Table == 0) {
			return ""
		}
	}
	return fmt.Sprintf("the kernel says %s", f.answer(a))
}

// answer is the kernel's answer for a person.
func (f FIB) answer(a Answer) string {
	switch {
	case a.Errno != 0:
		return fmt.Sprintf("%q", a.Errno.Error())
	case a.End == Local:
		return "local"
	case a.End != Forward:
		return a.End.String()
	}
	return fmt.Sprintf("%s (table %s)", f.hop(Hop{Index: a.Device, Via: a.Via})[1:], tableText(a.Table))
}
