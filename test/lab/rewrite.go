package lab

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// found matches when an address is a key of a map, without using the value.
func found(set *nftables.Set, address expr.Any) []expr.Any {
	return []expr.Any{address, &expr.Lookup{SourceRegister: regFound, DestRegister: regFound, IsDestRegSet: true, SetName: set.Name, SetID: set.ID}}
}

// missing matches when an address is no key of a map.
func missing(set *nftables.Set, address expr.Any) []expr.Any {
	return []expr.Any{address, &expr.Lookup{SourceRegister: regFound, Invert: true, SetName: set.Name, SetID: set.ID}}
}

// replace writes the value of a map over the address at an offset of the IPv4 header, when the address is
// a key of it. Checksums are kept right. It keeps no state, as an internet gateway does not.
func replace(set *nftables.Set, address expr.Any, offset uint32) []expr.Any {
	return []expr.Any{
		address,
		&expr.Lookup{SourceRegister: regFib, DestRegister: regFib, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: regFib, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4,
			CsumType: expr.CsumTypeInet, CsumOffset: 10, CsumFlags: unix.NFT_PAYLOAD_L4CSUM_PSEUDOHDR,
		},
	}
}

// Where the addresses of the packet lie that an ICMP error quotes, from the start of the ICMP header.
const innerSource, innerDest = 8 + 12, 8 + 16

// The ICMP errors that quote a packet: 3 destination unreachable, 11 time exceeded.
var quoting = []byte{3, 11}

// icmpType matches an ICMP type.
func icmpType(t byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regFib}, equals(regFib, []byte{unix.IPPROTO_ICMP}),
		&expr.Payload{DestRegister: regFib, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		equals(regFib, []byte{t}),
	}
}

// replaceInner does for the quoted packet what replace does for the packet, so that the error is believed.
func replaceInner(set *nftables.Set, offset uint32) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: regFib, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 4},
		&expr.Lookup{SourceRegister: regFib, DestRegister: regFib, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: regFib, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 4,
			CsumType: expr.CsumTypeInet, CsumOffset: 2,
		},
	}
}
