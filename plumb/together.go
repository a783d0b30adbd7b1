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
//
// What is more than the socket's buffers hold goes in several calls. They are made larger first, which
// only root of the host itself may have beyond a limit.
func together(h *nl.SocketHandle, list []*nl.NetlinkRequest) (errs []error) {
	h.Socket.Lock()
	defer h.Socket.Unlock()
	fd, size := h.Socket.GetFd(), 0
	for _, r := range list {
		size += align(len(r.Serialize()))
	}
	send, answers := room(fd, size+sendHead, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE)-sendHead, room(fd, answerSize*len(list), unix.SO_RCVBUF, unix.SO_RCVBUFFORCE)/answerSize
	for len(list) > 0 {
		n, used := 0, 0
		for ; n < len(list) && n < max(answers, 1); n++ {
			if used += align(len(list[n].Serialize())); n > 0 && used > send {
				break
			}
		}
		errs = append(errs, inOne(h, list[:n])...)
		list = list[n:]
	}
	return errs
}

const (
	// sendHead is what netlink_sendmsg keeps of the buffer for itself.
	sendHead = 32
	// answerSize is more than a refusal, which repeats the request, takes of the buffer, kernel's
	// bookkeeping included.
	answerSize = 2048
)

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// room makes one of a socket's buffers so large, if it is not, and returns how large it is then.
func room(fd, size, option, force int) int {
	have, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	if err != nil || have >= size {
		return have
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size) // up to a limit
	}
	have, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	return have
}

// inOne is together, of requests that fit.
func inOne(h *nl.SocketHandle, list []*nl.NetlinkRequest) []error {
	list[len(list)-1].Flags |= unix.NLM_F_ACK // answers are in order: with this one it is over
	errs, place := make([]error, len(list)), map[uint32]int{}
	var b []byte
	for i, r := range list {
		r.Seq = atomic.AddUint32(&h.Seq, 1)
		place[r.Seq] = i
		b = append(b, r.Serialize()...)
		b = append(b, make([]byte, align(len(b))-len(b))...)
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
