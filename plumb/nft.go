package plumb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The words of nftables' netlink, and one transaction of it (linux/netfilter/nf_tables.h).

// ErrNoPackets says that the kernel can not do what a PacketRule asks for.
var ErrNoPackets = errors.New("the kernel's nftables cannot do this (Linux 5.2 with nf_tables is needed)")

// ErrTaken says that another program's nftables table has the name of ours.
var ErrTaken = errors.New("it belongs to another program and is left alone")

// withoutPackets: the error of a kernel that has no nf_tables.
func withoutPackets(err error) bool {
	for _, e := range []error{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func nftType(kind int) int { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

func big32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func attrText(t int, s string) *nl.RtAttr { return nl.NewRtAttr(t, nl.ZeroTerminated(s)) }

// userData is a comment as nft keeps it: type 0, length, text with its zero (libnftnl, udata.h).
func userData(comment string) []byte {
	return append([]byte{0, byte(len(comment) + 1)}, append([]byte(comment), 0)...)
}

// verdict waits for the answer to the message last of a transaction that began with first.
func verdict(h *nl.SocketHandle, first, last uint32) (refused error) {
	for {
		msgs, _, err := h.Socket.Receive()
		if err != nil {
			return fmt.Errorf("answer of nftables: %w", err)
		}
		for _, m := range msgs {
			if m.Header.Type != unix.NLMSG_ERROR || m.Header.Seq < first || m.Header.Seq > last+1 || len(m.Data) < 4 {
				continue
			}
			if errno := -int32(binary.NativeEndian.Uint32(m.Data)); errno != 0 && refused == nil {
				refused = unix.Errno(errno)
			}
			if n := m.Header.Seq; n == first || n >= last {
				return refused
			}
		}
	}
}

// transact sends the messages as one transaction of nfnetlink, and returns the first refusal: then
// nothing of it has happened. All messages are answered when the last one is, or when the whole is
// refused under the number of its beginning or end.
func transact(h *nl.SocketHandle, messages []*nl.NetlinkRequest) []error {
	begin, end := nl.NewNetlinkRequest(unix.NFNL_MSG_BATCH_BEGIN, 0), nl.NewNetlinkRequest(unix.NFNL_MSG_BATCH_END, 0)
	for _, m := range []*nl.NetlinkRequest{begin, end} {
		m.AddData(&nl.Nfgenmsg{ResId: nl.Swap16(unix.NFNL_SUBSYS_NFTABLES)})
	}
	messages[len(messages)-1].Flags |= unix.NLM_F_ACK
	first := h.Seq + 1
	var buf []byte
	for _, m := range slices.Concat([]*nl.NetlinkRequest{begin}, messages, []*nl.NetlinkRequest{end}) {
		h.Seq++
		m.Seq = h.Seq
		buf = append(buf, m.Serialize()...)
	}
	if err := unix.Sendto(h.Socket.GetFd(), buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return []error{fmt.Errorf("send to nftables: %w", err)}
	}
	return []error{verdict(h, first, h.Seq-1)}
}
