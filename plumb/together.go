package plumb

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// together sends requests in one system call, which the kernel works off in their order, and returns
// its verdict on each. A process that is killed has then made all of them, or none. A refused one does
// not stop the others. Requests that do not ask for an answer get one only when they are refused.
func together(h *nl.SocketHandle, list []*nl.NetlinkRequest) []error {
	h.Socket.Lock()
	defer h.Socket.Unlock()
	list[len(list)-1].Flags |= unix.NLM_F_ACK // answers are in order: with this one it is over
	errs, place := make([]error, len(list)), map[uint32]int{}
	var b []byte
	for i, r := range list {
		r.Seq = atomic.AddUint32(&h.Seq, 1)
		place[r.Seq] = i
		b = append(b, r.Serialize()...)
		b = append(b, make([]byte, -len(b)&(unix.NLMSG_ALIGNTO-1))...)
	}
	err := unix.Sendto(h.Socket.GetFd(), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for last := len(list) - 1; err == nil; {
		var msgs []syscall.NetlinkMessage
		msgs, _, err = h.Socket.Receive()
		for _, m := range msgs {
			i, ours := place[m.Header.Seq]
			if !ours || m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
				continue
			}
			if e := -int32(binary.NativeEndian.Uint32(m.Data)); e != 0 {
				errs[i] = unix.Errno(e)
			}
			if i == last {
				return errs
			}
		}
	}
	for i := range errs {
		if errs[i] == nil { // or not known
			errs[i] = err
		}
	}
	return errs
}
