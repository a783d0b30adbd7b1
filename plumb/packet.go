package plumb

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// PacketRule is one thing that an interface's own nftables table does. Each interface has a table of its own,
// "inet ec2net-T", where T is its routing table: so no two processes share one, and removal is exact.
type PacketRule struct {
	Table uint32 // the interface's routing table, which names the nftables table
	Kind  PacketKind
	Dev   int          // ifindex of the interface
	From  netip.Prefix // Masquerade: whose packets
	Mark  uint32       // ReplyByInterface: what the interface's connections carry, within MarkMask
	Was   bool         // ReplyByInterface: src_valid_mark was on before, for who has lost the record of it
}

// PacketKind says what a PacketRule does. Each needs Linux 5.2: before that, tables of the family inet
// can neither translate addresses nor route again.
type PacketKind uint8

// The kinds.
const (
	// ReplyByInterface remembers by which interface a connection came in that the host passes on to another
	// address (DNAT), and marks all its packets, so that rules can lead the answers back to the interface.
	ReplyByInterface PacketKind = iota + 1
	// ClampMSS lowers the segment size that TCP connections through the interface agree on to what the
	// routes of both directions can carry.
	ClampMSS
	// Masquerade gives packets from a prefix that leave by the interface the interface's primary address.
	Masquerade
	// altered is what another program changed in a table of ours: never wanted, so that the table is
	// written anew.
	altered
)

// MarkMask are the bits of the packet's and the connection's mark that ReplyByInterface uses. The others are
// left as they are. Bits 24 to 30 are the ones that the usual neighbours leave free: the VPC CNI has
// 0x80, Istio the lowest 12, CNI port mappings and Podman 0x2000, Kubernetes 0xc000, Tailscale
// 0xff0000, Calico 0xffff0000 counted from the lowest bit, Antrea the highest.
const MarkMask = 0x7f000000

const packetTablePrefix = "ec2net-"

// packetTable is all of an interface's nftables table.
type packetTable struct {
	table uint32
	rules []PacketRule // in order; none: there is no table
}

func (t packetTable) name() string { return packetTablePrefix + u(t.table) }

// packetTables sorts rules into their tables.
func packetTables(rules []PacketRule) (out []packetTable) {
	sorted := slices.Clone(rules)
	slices.SortFunc(sorted, PacketRule.compare)
	for _, r := range slices.Compact(sorted) {
		if n := len(out); n == 0 || out[n-1].table != r.Table {
			out = append(out, packetTable{table: r.Table})
		}
		last := &out[len(out)-1]
		last.rules = append(last.rules, r)
	}
	return out
}

func (r PacketRule) compare(other PacketRule) int {
	return cmp.Or(cmp.Compare(r.Table, other.Table), cmp.Compare(r.Kind, other.Kind),
		cmp.Compare(r.Dev, other.Dev), cmp.Compare(r.Mark, other.Mark), r.From.Compare(other.From),
		cmp.Compare(boolean(r.Was), boolean(other.Was)))
}

// packetMark is what protocol 236 is for routes and rules: nftables has no protocol. A chain without
// rules has this name, and every rule of ours a comment that begins with it.
const packetMark = "protocol-236"

// How a rule's comment is written and read, by kind. nft keeps 127 bytes of it.
const (
	replyComment = packetMark + " reply-by-interface dev %d mark 0x%x/0x7f000000"
	clampComment = packetMark + " clamp-mss dev %d"
	masqComment  = packetMark + " masquerade dev %d from %s"
	wasComment   = " src_valid_mark was 1" // at the end of a replyComment
)

// String is what the rule does, for a person.
func (r PacketRule) String() string {
	s := "inet " + packetTable{table: r.Table}.name() + ": "
	switch r.Kind {
	case ReplyByInterface:
		return s + fmt.Sprintf("replies by interface, mark %#x/%#x", r.Mark, uint32(MarkMask))
	case ClampMSS:
		return s + "segment size of TCP as the routes allow"
	case Masquerade:
		return s + "masquerade from " + fromText(r.From)
	}
	return s + "altered by another program"
}

func (r PacketRule) isAltered() bool { return r.Kind == altered }

// comment says in the kernel, and to whoever lists the table, which element a rule belongs to.
func (r PacketRule) comment() string {
	switch r.Kind {
	case ReplyByInterface:
		s := fmt.Sprintf(replyComment, r.Dev, r.Mark)
		if r.Was {
			s += wasComment
		}
		return s
	case ClampMSS:
		return fmt.Sprintf(clampComment, r.Dev)
	case Masquerade:
		return fmt.Sprintf(masqComment, r.Dev, r.From)
	}
	return ""
}

// parsePacketComment is the inverse of comment. What it does not understand, another version may have
// written: altered.
func parsePacketComment(table uint32, s string) PacketRule {
	plain, was := strings.CutSuffix(s, wasComment)
	scan := func(format string, into ...any) bool {
		n, _ := fmt.Sscanf(plain, format, into...)
		return n == len(into)
	}
	r, from := PacketRule{Table: table, Was: was}, ""
	switch {
	case scan(replyComment, &r.Dev, &r.Mark):
		r.Kind = ReplyByInterface
	case scan(clampComment, &r.Dev):
		r.Kind = ClampMSS
	case scan(masqComment, &r.Dev, &from):
		r.Kind = Masquerade
		r.From, _ = netip.ParsePrefix(from)
	}
	if r.Kind == 0 || r.comment() != s {
		return PacketRule{Table: table, Kind: altered}
	}
	return r
}
