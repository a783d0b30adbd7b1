package plumb

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// WatchPackets is what Watch is, for the interface's nftables tables. It is for an interface that has one
// (Scope.Packets): a host's other tables may change all the time.
func (l *Link) WatchPackets(ctx context.Context) (<-chan Change, error) {
	s, err := l.nft()
	if err != nil {
		return nil, err
	}
	l.publish()
	return listen(ctx, s, l.packetsConcern, unix.NFNLGRP_NFTABLES)
}

// packetsConcern picks the notifications that are about one of the interface's nftables tables (NFNLGRP_NFTABLES). A new
// generation is announced after each transaction and says nothing of what changed.
func (l *Link) packetsConcern(m syscall.NetlinkMessage) (Change, bool) {
	c := Change{By: m.Header.Pid}
	if m.Header.Type == 0 { // an overrun
		return c, true
	}
	kind := int(m.Header.Type) & 0xff
	if int(m.Header.Type) != nftType(kind) || kind == unix.NFT_MSG_NEWGEN || len(m.Data) == 0 || m.Data[0] != unix.NFPROTO_INET {
		return c, false
	}
	a, err := parseAttrs(m.Data, nl.SizeofNfgenmsg)
	name := text(a[unix.NFTA_TABLE_NAME]) // the same number in every message about a part of a table
	number, ok := strings.CutPrefix(name, packetTablePrefix)
	t, bad := strconv.Atoi(number)
	if err != nil || !ok || bad != nil || !slices.Contains(l.identity.Load().numbers, t-baseTable) {
		return c, false
	}
	c.Removed = "table inet " + name
	return c, true
}
