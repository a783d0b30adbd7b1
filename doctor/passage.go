package doctor

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// passage is what the rules of a chain are tried with: the IPv4 packets of one kind that are passed on. Nothing else is known
// of them, such as their ports.
type passage struct {
	in, out  Link
	src, dst netip.Prefix // that their addresses are in; invalid: any
	state    uint32       // of their connections: ctNew or ctEstablished
	reply    bool         // they are answers
}

// Bits of nftables' "ct state" (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h).
const ctEstablished, ctNew = 2, 8

// ctDNAT is the bit of "ct status" that a connection has whose destination is translated (IPS_DST_NAT): those that [nat]
// passes on are translated at their source.
const ctDNAT = 1 << 5

// meta is what the packets have of the meta data that a rule asks for (nft_meta_get_eval).
func (p passage) meta(e attrs) (value bits, known bool) {
	name := func(s string) bits { return exactly(append([]byte(s), make([]byte, max(0, unix.IFNAMSIZ-len(s)))...)) }
	switch e.be(unix.NFTA_META_KEY) {
	case unix.NFT_META_IIFNAME:
		return name(p.in.Name), true
	case unix.NFT_META_OIFNAME:
		return name(p.out.Name), true
	case unix.NFT_META_IIF:
		return host32(uint32(p.in.Index)), true
	case unix.NFT_META_OIF:
		return host32(uint32(p.out.Index)), true
	case unix.NFT_META_IIFGROUP:
		return host32(p.in.Group), true
	case unix.NFT_META_OIFGROUP:
		return host32(p.out.Group), true
	case unix.NFT_META_NFPROTO:
		return exactly([]byte{unix.NFPROTO_IPV4}), true
	case unix.NFT_META_PROTOCOL:
		return exactly([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff}), true
	}
	return value, false
}

// ct is what is known of their connections (nft_ct_get_eval).
func (p passage) ct(e attrs) (value bits, known bool) {
	switch e.be(unix.NFTA_CT_KEY) {
	case unix.NFT_CT_STATE:
		return host32(p.state), true
	case unix.NFT_CT_DIRECTION:
		return exactly([]byte{map[bool]byte{true: 1}[p.reply]}), true
	case unix.NFT_CT_STATUS:
		status := host32(0)
		status.known = host32(ctDNAT).data
		return status, true
	}
	return value, false
}

// payload is a part of the packets (nft_payload_eval): of their IPv4 header (RFC 791, section 3.1) the version and the
// addresses are known.
func (p passage) payload(e attrs) (value bits, known bool) {
	if e.be(unix.NFTA_PAYLOAD_BASE) != unix.NFT_PAYLOAD_NETWORK_HEADER {
		return value, false
	}
	header := anything(12)
	header.data[0], header.known[0] = 4<<4, 0xf0
	for _, a := range []netip.Prefix{p.src, p.dst} {
		part := within(a)
		header.data, header.known = append(header.data, part.data...), append(header.known, part.known...)
	}
	return header.cut(int(min(registerBytes, e.be(unix.NFTA_PAYLOAD_OFFSET))), int(min(registerBytes, e.be(unix.NFTA_PAYLOAD_LEN)))), true
}

// match is what a match of iptables says of the packets: which states of connections it takes, of conntrack's second or third
// revision (struct xt_conntrack_mtinfo3 of linux/netfilter/xt_conntrack.h) and of state (xt_state.h). Their bits are those
// of nftables. Others depend on what is not known.
func (p passage) match(e attrs) step {
	info, name := e[unix.NFTA_MATCH_INFO], e.text(unix.NFTA_MATCH_NAME)
	var states uint32
	invert := false
	switch {
	case name == "comment":
		return goesOn
	case name == "state" && len(info) >= 4:
		states = binary.NativeEndian.Uint32(info)
	case name == "conntrack" && e.be(unix.NFTA_MATCH_REV) >= 2 && len(info) >= 154 && binary.NativeEndian.Uint16(info[146:])&^xtStateAlias == xtState:
		invert = binary.NativeEndian.Uint16(info[148:])&xtState != 0
		states = uint32(binary.NativeEndian.Uint16(info[150:]))
	default:
		return depends
	}
	if states&ctSNATState != 0 { // a bit beside the state's, of what is translated
		return depends
	}
	takes := states&p.state != 0
	return step{passes: takes, breaks: !takes}.inverted(invert)
}

// Bits of linux/netfilter/xt_conntrack.h: of a state, of what a match asks for (the second one says that it was written as a
// match of state).
const (
	ctSNATState  = 1 << 6  // XT_CONNTRACK_STATE_SNAT
	xtState      = 1       // XT_CONNTRACK_STATE
	xtStateAlias = 1 << 13 // XT_CONNTRACK_STATE_ALIAS
)
