package plumb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	scopeLink = unix.RT_SCOPE_LINK
	metric6   = 1024 // what the kernel makes of an IPv6 route's metric 0 (IP6_RT_PRIO_USER)
	attrProto = 11   // IFA_PROTO of linux/if_addr.h, since Linux 5.18
)

// socket is one netlink socket of the calling thread's network namespace. The netlink library's
// own Handle can neither mark an address nor filter a dump in the kernel, and reports errors
// without the kernel's text.
type socket struct {
	proto   int // NETLINK_ROUTE, or NETLINK_NETFILTER for nftables
	byProto map[int]*nl.SocketHandle
	// execute sends requests and collects what the kernel answers, and its verdict on each. Tests put
	// the faults of a kernel here.
	execute func(answer uint16, list ...*nl.NetlinkRequest) ([][]byte, []error)
}

func dial() (*socket, error) { return dialProto(unix.NETLINK_ROUTE, together) }

// dialProto opens a socket; several sends more than one request, which the protocols do differently.
func dialProto(proto int, several func(*nl.SocketHandle, []*nl.NetlinkRequest) []error) (*socket, error) {
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), proto)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	// Both are refused only by kernels that do not know them; the answers are checked anyway.
	_ = s.SetExtAck(true)
	_ = unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	tv := unix.Timeval{Sec: 10}
	if err := errors.Join(s.SetReceiveTimeout(&tv), s.SetSendTimeout(&tv)); err != nil {
		s.Close()
		return nil, fmt.Errorf("netlink time-out: %w", err)
	}
	h := &nl.SocketHandle{Socket: s}
	execute := func(answer uint16, list ...*nl.NetlinkRequest) ([][]byte, []error) {
		if len(list) > 1 {
			return nil, several(h, list)
		}
		msgs, err := list[0].Execute(proto, answer)
		return msgs, []error{err}
	}
	return &socket{proto: proto, byProto: map[int]*nl.SocketHandle{proto: h}, execute: execute}, nil
}

func (s *socket) close() {
	for _, h := range s.byProto {
		h.Close()
	}
}

func (s *socket) request(kind, flags int, data ...nl.NetlinkRequestData) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(kind, flags)
	r.Sockets = s.byProto
	for _, d := range data {
		r.AddData(d)
	}
	return r
}

// do sends a request that changes something and waits for the kernel's verdict.
func (s *socket) do(kind, flags int, data ...nl.NetlinkRequestData) error {
	_, errs := s.execute(0, s.request(kind, flags|unix.NLM_F_ACK, data...))
	return errs[0]
}

// dump reads a whole table.
func (s *socket) dump(kind int, answer uint16, data ...nl.NetlinkRequestData) ([][]byte, error) {
	return Whole(func() ([][]byte, error) {
		msgs, errs := s.execute(answer, s.request(kind, unix.NLM_F_DUMP, data...))
		return msgs, errs[0]
	})
}

// Whole reads a list of the kernel's. It says of some that they were interrupted by a change: those are read
// again. An error is that of the last time.
func Whole[T any](read func() (T, error)) (list T, err error) {
	for range 8 {
		if list, err = read(); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return list, err
}

// attrs are the attributes of a message behind its fixed header, by type. The last one of a type
// counts, as in the kernel.
type attrs map[uint16][]byte

func parseAttrs(msg []byte, header int) (attrs, error) {
	if len(msg) < header {
		return nil, fmt.Errorf("rtnetlink message of %d bytes is too short", len(msg))
	}
	out := make(attrs, 16)
	err := EachAttr(msg[header:], func(t uint16, value []byte) { out[t] = value })
	return out, err
}

// EachAttr walks over attributes in their order. The library's own walk runs past the end of a
// message whose last attribute is not padded. An error says that the message ends too early.
func EachAttr(b []byte, each func(t uint16, value []byte)) error {
	return eachRawAttr(b, func(t uint16, value []byte) { each(t&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), value) })
}

func eachRawAttr(b []byte, each func(t uint16, value []byte)) error {
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return fmt.Errorf("rtnetlink attribute of %d bytes where %d are left", n, len(b))
		}
		each(binary.NativeEndian.Uint16(b[2:]), b[unix.SizeofRtAttr:n])
		b = b[min(len(b), (n+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
	}
	return nil
}

func (a attrs) u32(t uint16) uint32 {
	if b := a[t]; len(b) >= 4 {
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

// u32or tells an attribute that is not there from one that is 0.
func (a attrs) u32or(t uint16, missing uint32) uint32 {
	if _, ok := a[t]; !ok {
		return missing
	}
	return a.u32(t)
}

func (a attrs) addr(t uint16) netip.Addr {
	ip, _ := netip.AddrFromSlice(a[t])
	return ip
}

// via is a route's gateway; invalid where it has none.
func (a attrs) via() netip.Addr {
	if b := a[unix.RTA_VIA]; len(b) > 2 { // struct rtvia: IPv4 by an IPv6 gateway
		ip, _ := netip.AddrFromSlice(b[2:])
		return ip
	}
	return a.addr(unix.RTA_GATEWAY)
}

func (a attrs) nested(t uint16) attrs {
	n, err := parseAttrs(a[t], 0)
	if err != nil {
		return nil
	}
	return n
}

func attr32(t int, v uint32) *nl.RtAttr { return nl.NewRtAttr(t, nl.Uint32Attr(v)) }

func attrIP(t int, a netip.Addr) *nl.RtAttr { return nl.NewRtAttr(t, a.AsSlice()) }

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func (s *socket) linkRequest(index int, data ...nl.NetlinkRequestData) *nl.NetlinkRequest {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	return s.request(unix.RTM_SETLINK, unix.NLM_F_ACK, append([]nl.NetlinkRequestData{msg}, data...)...)
}

// errAlready is the success of an operation that had nothing to do.
var errAlready = errors.New("already so")
