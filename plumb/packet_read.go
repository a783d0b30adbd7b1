package plumb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// readPackets reads the interface's nftables tables, and which of the names belong to somebody else. Where
// nothing says that there may be one, nftables is not even asked. The rules are read before.
func (l *Link) readPackets(s *Snapshot) error {
	s.unable = l.unable
	if !l.scope.Packets && !marks(s.State) && !natted(s.State) {
		return nil
	}
	nft, err := l.nft()
	if withoutPackets(err) {
		return nil
	}
	if err != nil {
		return err
	}
	numbers, err := nft.packetNumbers()
	for _, n := range numbers {
		table := Table(n)
		_, ours, err := nft.packetTable(table)
		switch {
		case err != nil:
			return err
		case !ours:
			s.TakenTables = append(s.TakenTables, table)
		case s.mine[n]:
			rules, err := nft.packetRules(table)
			if err != nil {
				return err
			}
			s.Packets = append(s.Packets, rules...)
		}
	}
	return err
}

// packetNumbers are the interface numbers for which there is a table with a name of ours.
func (s *socket) packetNumbers() (out []int, err error) {
	msgs, err := s.dump(nftType(unix.NFT_MSG_GETTABLE), uint16(nftType(unix.NFT_MSG_NEWTABLE)), &nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_INET})
	if withoutPackets(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	for _, m := range msgs {
		a, err := parseAttrs(m, nl.SizeofNfgenmsg)
		if err != nil {
			return nil, err
		}
		if n, ok := packetNumber(text(a[unix.NFTA_TABLE_NAME])); ok {
			out = append(out, n)
		}
	}
	return out, nil
}

// packetNumber is the interface number in the name of a table of ours; false: it is no such name.
func packetNumber(name string) (int, bool) {
	number, ok := strings.CutPrefix(name, packetTablePrefix)
	t, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || u(uint32(t)) != number { // such as "010000"
		return 0, false
	}
	return int(t) - baseTable, t >= baseTable && t <= baseTable+maxN
}

// packetTable tells whether there is a table of that name, and whether it is ours.
func (s *socket) packetTable(table uint32) (there, ours bool, err error) {
	t := packetTable{table: table}
	a, err := s.nftGet(unix.NFT_MSG_GETTABLE, t.name())
	if err != nil || a == nil {
		return false, false, err
	}
	a, err = s.nftGet(unix.NFT_MSG_GETCHAIN, t.name(), attrText(unix.NFTA_CHAIN_NAME, packetMark))
	return true, a != nil, err
}

// nftGet asks for one object; nil when there is none.
func (s *socket) nftGet(kind int, table string, more ...nl.NetlinkRequestData) (attrs, error) {
	data := append([]nl.NetlinkRequestData{&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_INET}, attrText(unix.NFTA_TABLE_NAME, table)}, more...)
	msgs, errs := s.execute(0, s.request(nftType(kind), 0, data...))
	err := errs[0]
	if errors.Is(err, unix.ENOENT) || withoutPackets(err) {
		return nil, nil
	}
	if err != nil || len(msgs) == 0 {
		return nil, fmt.Errorf("read the nftables table %s: %w", table, err)
	}
	return parseAttrs(msgs[0], nl.SizeofNfgenmsg)
}

// packetRules are the elements that a table of ours does, and altered besides if it is not, to the
// last bit, what they would be written as.
func (s *socket) packetRules(table uint32) ([]PacketRule, error) {
	t := packetTable{table: table}
	msgs, err := s.dump(nftType(unix.NFT_MSG_GETRULE), uint16(nftType(unix.NFT_MSG_NEWRULE)),
		&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_INET}, attrText(unix.NFTA_RULE_TABLE, t.name()))
	if err != nil {
		return nil, fmt.Errorf("read the nftables table %s: %w", t.name(), err)
	}
	lines := map[string][]attrs{} // by chain
	for _, m := range msgs {
		a, err := parseAttrs(m, nl.SizeofNfgenmsg)
		if err != nil {
			return nil, err
		}
		r, chain := parsePacketComment(table, comment(a[unix.NFTA_RULE_USERDATA])), text(a[unix.NFTA_RULE_CHAIN])
		lines[chain] = append(lines[chain], a)
		t.rules = append(t.rules, r)
	}
	slices.SortFunc(t.rules, PacketRule.compare)
	t.rules = slices.Compact(t.rules)
	same, err := s.asWritten(t, lines)
	if err == nil && !same {
		t.rules = append(t.rules, PacketRule{Table: table, Kind: altered})
	}
	return t.rules, err
}

// asWritten compares the whole table with what its elements would be written as.
func (s *socket) asWritten(t packetTable, lines map[string][]attrs) (bool, error) {
	chains := t.chains("")
	table, err := s.nftGet(unix.NFT_MSG_GETTABLE, t.name())
	if err != nil {
		return false, err
	}
	// What the table holds besides rules: our chains, and the one that marks it.
	if use := table.big32(unix.NFTA_TABLE_USE); len(chains) == 0 || int(use) != len(chains)+1 || table.big32(unix.NFTA_TABLE_FLAGS) != 0 {
		return false, nil
	}
	for _, c := range chains {
		have, err := s.nftGet(unix.NFT_MSG_GETCHAIN, t.name(), attrText(unix.NFTA_CHAIN_NAME, c.name))
		if err != nil || !c.like(have, lines[c.name]) {
			return false, err
		}
	}
	return true, nil
}

// like tells whether the kernel's chain and its rules are this one.
func (c packetChain) like(have attrs, lines []attrs) bool {
	hook := have.nested(unix.NFTA_CHAIN_HOOK)
	hooked := hook.big32(unix.NFTA_HOOK_HOOKNUM) == c.hook && int32(hook.big32(unix.NFTA_HOOK_PRIORITY)) == c.priority
	if !hooked || text(have[unix.NFTA_CHAIN_TYPE]) != c.kind || have.big32(unix.NFTA_CHAIN_POLICY) != nfAccept || len(lines) != len(c.lines) {
		return false
	}
	for i, line := range c.lines {
		exprs, err := line.marshal()
		if err != nil || comment(lines[i][unix.NFTA_RULE_USERDATA]) != line.of.comment() || !sameExprs(exprs, lines[i][unix.NFTA_RULE_EXPRESSIONS]) {
			return false
		}
	}
	return true
}

const nfAccept = 1 // NF_ACCEPT

func sameExprs(want [][]byte, have []byte) bool {
	same, i := true, 0
	err := EachAttr(have, func(_ uint16, value []byte) {
		same = same && i < len(want) && sameAttrs(want[i], value)
		i++
	})
	return err == nil && same && i == len(want)
}

// sameAttrs compares attributes as sent with attributes as read: the kernel may add some that were not
// sent, but then they say zero; and it does not say which ones are nested.
func sameAttrs(want, have []byte) bool {
	there, err := parseAttrs(have, 0)
	same := err == nil
	err = eachRawAttr(want, func(flagged uint16, value []byte) {
		t := flagged &^ unix.NLA_F_NESTED
		got, ok := there[t]
		delete(there, t)
		switch {
		case !ok:
			same = false
		case flagged&unix.NLA_F_NESTED != 0:
			same = same && sameAttrs(value, got)
		default:
			same = same && bytes.Equal(value, got)
		}
	})
	for _, more := range there {
		same = same && len(bytes.Trim(more, "\x00")) == 0
	}
	return err == nil && same
}

// comment is the text in a rule's user data, which is a list of type, length, value.
func comment(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		value := b[2 : 2+int(b[1])]
		if b[0] == 0 {
			return text(value)
		}
		b = b[2+len(value):]
	}
	return ""
}

func (a attrs) big32(t uint16) uint32 {
	if b := a[t]; len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}
