package plumb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Flow is what the kernel chooses the way of a packet by. One without a local address is the first
// packet of a connection that has still to be made.
type Flow struct {
	Local, Remote netip.AddrPort
	Device        int // ifindex that the socket is bound to; 0: none
	Mark          uint32
	UID           uint32
}

// String is the flow as a person reads it.
func (f Flow) String() string {
	if !f.Local.IsValid() {
		return f.Remote.String()
	}
	return f.Local.String() + " with " + f.Remote.String()
}

// The layout of linux/inet_diag.h: inet_diag_req_v2 and inet_diag_msg, with the socket's identity in
// both at offsets of its own.
const (
	diagRequest  = 56
	diagReqState = 4
	diagMessage  = 72
	diagPorts    = 4
	diagLocal    = 8
	diagRemote   = 24
	diagDevice   = 40
	diagUID      = 64
	diagMark     = 15 // INET_DIAG_MARK, for CAP_NET_ADMIN only
	tcpSet       = 1 << 1
)

// Flows lists the established TCP connections of the network namespace, but for those that do not
// leave the host.
func Flows() ([]Flow, error) {
	var out []Flow
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		msgs, err := diagnose(family)
		if err != nil {
			return nil, fmt.Errorf("list the TCP connections: %w", err)
		}
		for _, m := range msgs {
			f, err := parseFlow(m)
			if err != nil {
				return nil, err
			}
			if !f.Remote.Addr().IsLoopback() && f.Remote.Addr() != f.Local.Addr() {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// Connected are the addresses at the other ends of those connections, each once.
func Connected() (out []netip.Addr, err error) {
	flows, err := Flows()
	for _, f := range flows {
		if !slices.Contains(out, f.Remote.Addr()) {
			out = append(out, f.Remote.Addr())
		}
	}
	return out, err
}

// Connections counts the established TCP connections with hosts that only a default route leads to, by the interface
// that has their local address. One of which several interfaces have the address counts for each.
func (l *Link) Connections() (map[int]int, error) {
	flows, err := Flows()
	if err != nil {
		return nil, err
	}
	addrs, err := l.rt.everyAddr()
	if err != nil {
		return nil, err
	}
	out := map[int]int{}
	for _, f := range flows {
		remote := f.Remote.Addr()
		near := slices.ContainsFunc(addrs, func(a heldAddr) bool { return a.Contains(remote) })
		if near || remote.IsLinkLocalUnicast() {
			continue
		}
		for _, a := range addrs {
			if a.Addr() == f.Local.Addr() {
				out[a.index]++
			}
		}
	}
	return out, nil
}

// diagnose lists the TCP sockets of one family in the states of tcpSet (sock_diag(7), struct inet_diag_req_v2).
func diagnose(family byte) (msgs [][]byte, err error) {
	req := make([]byte, diagRequest)
	req[0], req[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(req[diagReqState:], tcpSet)
	msgs, err = Whole(func() ([][]byte, error) {
		r := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		r.AddRawData(req)
		return r.Execute(unix.NETLINK_SOCK_DIAG, 0)
	})
	if errors.Is(err, unix.ENOENT) { // a kernel without inet_diag, or without this family
		return nil, nil
	}
	return msgs, err
}

// parseFlow reads a struct inet_diag_msg: addresses and ports are in the network's order, the rest is in the host's. The mark is told to those
// who have CAP_NET_ADMIN (INET_DIAG_MARK).
func parseFlow(m []byte) (f Flow, err error) {
	a, err := parseAttrs(m, diagMessage)
	if err != nil {
		return f, err
	}
	f.Local = netip.AddrPortFrom(diagAddr(m[0], m[diagLocal:]), binary.BigEndian.Uint16(m[diagPorts:]))
	f.Remote = netip.AddrPortFrom(diagAddr(m[0], m[diagRemote:]), binary.BigEndian.Uint16(m[diagPorts+2:]))
	f.Device = int(binary.NativeEndian.Uint32(m[diagDevice:]))
	f.UID = binary.NativeEndian.Uint32(m[diagUID:])
	f.Mark = a.u32(diagMark)
	return f, nil
}

func diagAddr(family byte, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}

// heldAddr is an address of the host, in its subnet, and the device that it is on.
type heldAddr struct {
	netip.Prefix
	index int
}

// everyAddr lists the addresses of all devices.
func (s *socket) everyAddr() (out []heldAddr, err error) {
	msgs, err := s.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, m := range msgs {
		index := int(nl.DeserializeIfAddrmsg(m).Index)
		a, ok, err := parseAddr(m, index)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, heldAddr{a.Prefix, index})
		}
	}
	return out, nil
}
