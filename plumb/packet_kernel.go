package plumb

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

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
