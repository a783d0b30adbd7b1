package plumb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrNoPackets says that the kernel can not do what a PacketRule asks for.
var ErrNoPackets = errors.New("the kernel's nftables cannot do this (Linux 5.2 with nf_tables is needed)")

// ErrTaken says that another program's nftables table has the name of ours.
var ErrTaken = errors.New("it belongs to another program and is left alone")

// nft is the socket for nftables, opened when it is first needed: on a host that does without, the
// kernel need not even load the module.
func (l *Link) nft() (*socket, error) {
	if l.packets == nil {
		s, err := dialProto(unix.NETLINK_NETFILTER, transact)
		if err != nil {
			return nil, err
		}
		l.packets = s
	}
	return l.packets, nil
}

func (l *Link) closePackets() {
	if l.packets != nil {
		l.packets.close()
	}
}

// withoutPackets: the error of a kernel that has no nf_tables.
func withoutPackets(err error) bool {
	for _, e := range []error{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// applyPackets writes the whole table in one transaction, or deletes it: packets meet the old one or
// the new one, and connections are remembered elsewhere in the kernel.
func (l *Link) applyPackets(v Verb, t packetTable) error {
	s, err := l.nft()
	if err != nil {
		return l.refusal(err)
	}
	if there, ours, err := s.packetTable(t.table); err != nil || (there && !ours) {
		return cmp.Or(err, ErrTaken)
	} else if !there && v == Del {
		return errAlready
	}
	batch, err := t.write()
	if err != nil {
		return err
	}
	_, errs := s.execute(0, batch...)
	return l.refusal(errs[0])
}

// refusal remembers that the kernel can not do it: then it is not asked again, and the rest is set up.
func (l *Link) refusal(err error) error {
	if !withoutPackets(err) && !errors.Is(err, unix.ENOENT) { // ENOENT: no such type of chain
		return err
	}
	l.unable = true
	return fmt.Errorf("%w: %w", ErrNoPackets, err)
}

// write is the transaction that makes the table what it should be, or gone, whatever it was.
func (t packetTable) write() ([]*nl.NetlinkRequest, error) {
	table := t.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE)
	out := []*nl.NetlinkRequest{table, t.message(unix.NFT_MSG_DELTABLE, 0)}
	if len(t.rules) == 0 {
		return out, nil
	}
	out = append(out, t.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE),
		t.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, attrText(unix.NFTA_CHAIN_NAME, packetMark)))
	for _, c := range t.chains("") {
		out = append(out, t.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, c.attrs()...))
		for _, line := range c.lines {
			exprs, err := line.marshal()
			if err != nil {
				return nil, err
			}
			list := nl.NewRtAttr(unix.NFTA_RULE_EXPRESSIONS|unix.NLA_F_NESTED, nil)
			for _, e := range exprs {
				list.AddRtAttr(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, e)
			}
			out = append(out, t.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
				attrText(unix.NFTA_RULE_CHAIN, c.name), list, nl.NewRtAttr(unix.NFTA_RULE_USERDATA, userData(line.of.comment()))))
		}
	}
	return out, nil
}

// message is one about the table. Its name has the same attribute number in all of them.
func (t packetTable) message(kind, flags int, data ...nl.NetlinkRequestData) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(nftType(kind), flags)
	r.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_INET})
	r.AddData(attrText(unix.NFTA_TABLE_NAME, t.name()))
	for _, d := range data {
		r.AddData(d)
	}
	return r
}

func nftType(kind int) int { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

func (c packetChain) attrs() []nl.NetlinkRequestData {
	hook := nl.NewRtAttr(unix.NFTA_CHAIN_HOOK|unix.NLA_F_NESTED, nil)
	hook.AddRtAttr(unix.NFTA_HOOK_HOOKNUM, big32(c.hook))
	hook.AddRtAttr(unix.NFTA_HOOK_PRIORITY, big32(uint32(c.priority)))
	return []nl.NetlinkRequestData{attrText(unix.NFTA_CHAIN_NAME, c.name), hook, attrText(unix.NFTA_CHAIN_TYPE, c.kind)}
}

func (p packetLine) marshal() (out [][]byte, err error) {
	for _, e := range p.exprs {
		b, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return nil, fmt.Errorf("encode %q: %w", p.text, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// userData is a comment as nft keeps it: type 0, length, text with its zero (libnftnl, udata.h).
func userData(comment string) []byte {
	return append([]byte{0, byte(len(comment) + 1)}, append([]byte(comment), 0)...)
}

func big32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func attrText(t int, s string) *nl.RtAttr { return nl.NewRtAttr(t, nl.ZeroTerminated(s)) }

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
