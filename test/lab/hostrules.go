package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// DefaultOutbound is the public address that Azure lends to whatever has none of its own: nobody can begin a
// connection to it.
var DefaultOutbound = netip.MustParseAddr("203.0.113.250")

// addHostRules makes the fabric's own servers answer their audience alone. What an interface answers to an Azure host is
// let through: a probe of a load balancer may go to any address. So is DHCP.
func (f *filter) addHostRules(h habits) {
	if h.wire.IsValid() {
		for _, allowed := range [][]expr.Any{tcpAnswer(), icmpType(0)} {
			f.rule(f.arrive, fromInterface(), isIPv4(), toAddr(h.wire), allowed, accept())
		}
	}
	if h.serves == everybody {
		return
	}
	stranger := f.notPrimary()
	if h.serves == primaryInterface {
		stranger = f.notPrimaryPort()
	}
	for _, a := range h.own() {
		if a.Is6() {
			f.rule(f.arrive, fromInterface(), isIPv6(), toAddr6(a), stranger, countAndDrop(f.astray6, source6(regSource)))
			continue
		}
		f.rule(f.arrive, fromInterface(), isIPv4(), toAddr(a), dhcpToServer(), accept())
		f.rule(f.arrive, fromInterface(), isIPv4(), toAddr(a), stranger, countAndDrop(f.astray4, source4(regSource)))
	}
}

// addDefaultOutbound translates what goes to the internet from an address without a public one, and keeps state
// of it. It comes before the public addresses are written over the private ones.
func (f *filter) addDefaultOutbound() {
	c := f.conn.AddChain(&nftables.Chain{
		Table: f.table, Name: "outbound", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	f.rule(c, toInternet(), isIPv4(), missing(f.outward, source4(regFound)), []expr.Any{
		&expr.Immediate{Register: regFib, Data: DefaultOutbound.AsSlice()},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: regFib, RegAddrMax: regFib},
	})
}

// addMuteGateways makes the subnets' routers answer ARP and no ping, as Azure's.
func (f *filter) addMuteGateways(subnets []Subnet) {
	for _, s := range subnets {
		if s.CIDR.IsValid() {
			f.rule(f.arrive, isIPv4(), toAddr(s.Gateway4()), icmpType(8), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
		}
	}
}

// addClosed keeps the internet from private addresses: the network's own blocks are not routed there.
func (f *filter) addClosed(blocks []netip.Prefix) {
	for _, b := range blocks {
		if b.Addr().Is4() {
			f.rule(f.arrive, fromInternet(), isIPv4(), []expr.Any{
				dest4(regFib),
				&expr.Bitwise{SourceRegister: regFib, DestRegister: regFib, Len: 4, Mask: net.CIDRMask(b.Bits(), 32), Xor: make([]byte, 4)},
				equals(regFib, b.Masked().Addr().AsSlice()),
				&expr.Verdict{Kind: expr.VerdictDrop},
			})
		}
	}
}

func fromInternet() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIF, Register: regFib}, equals(regFib, native(internetIndex))}
}

// setPrimary says from which interface and address, if it has one, the fabric's servers may be asked, or no longer.
func (f *filter) setPrimary(index int, source netip.Addr, on bool) error {
	var err error
	if source.IsValid() {
		err = f.member(f.primaries, append(native(uint32(index)), source.AsSlice()...), on)
	}
	if err = errors.Join(err, f.member(f.primaryPorts, native(uint32(index)), on)); err != nil {
		return fmt.Errorf("let %s ask the host's servers: %w", source, err)
	}
	return nil
}

func (f *filter) notPrimary() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: regKey},
		source4(regSource),
		&expr.Lookup{SourceRegister: regKey, Invert: true, SetName: f.primaries.Name, SetID: f.primaries.ID},
	}
}

func (f *filter) notPrimaryPort() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: regFib},
		&expr.Lookup{SourceRegister: regFib, Invert: true, SetName: f.primaryPorts.Name, SetID: f.primaryPorts.ID},
	}
}

func toAddr6(a netip.Addr) []expr.Any {
	return []expr.Any{header(regFib, 24, 16), equals(regFib, a.AsSlice())}
}

func toAddr(a netip.Addr) []expr.Any { return []expr.Any{dest4(regFib), equals(regFib, a.AsSlice())} }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func protocol(number byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regFib}, equals(regFib, []byte{number})}
}

func transport(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: regFib, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

// dhcpToServer matches what DHCP clients send.
func dhcpToServer() []expr.Any {
	return append(protocol(unix.IPPROTO_UDP), transport(2, 2), equals(regFib, []byte{0, 67}))
}

// tcpAnswer matches TCP segments that do not begin a connection: ACK or RST is set.
func tcpAnswer() []expr.Any {
	return append(protocol(unix.IPPROTO_TCP), transport(13, 1),
		&expr.Bitwise{SourceRegister: regFib, DestRegister: regFib, Len: 1, Mask: []byte{0x14}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regFib, Data: []byte{0}})
}
