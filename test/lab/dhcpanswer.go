package lab

import (
	"encoding/binary"
	"maps"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// dhcpPlan is how one message is going to be answered.
type dhcpPlan struct {
	silent, nak bool
	delay       time.Duration
	give        netip.Prefix
	router      netip.Addr
	server      netip.Addr
	resolver    netip.Addr
	domain      string
	mtu         int
	lease       time.Duration
	t1, t2      time.Duration
	mangle      Mangle
	asked       map[uint8][]byte // options for who asks for them
	options     map[uint8][]byte // options for everybody
}

// planDHCP is the provider's answer, changed by the faults that strike. The caller holds the lock.
func planDHCP(faults []*injectedDHCP, k *iface, m DHCPMessage) dhcpPlan {
	p := k.node.cloud.cfg.Cloud.habits().plan(k, m)
	for _, in := range faults {
		if in.strikes(k.MAC.String(), m) {
			p.spoil(in.DHCPFault)
		}
	}
	return p
}

// planEC2 is what EC2 answers: in an IPv6-only subnet a link-local address without a router, and nothing
// to an interface without an IPv4 address.
func planEC2(k *iface, _ DHCPMessage) dhcpPlan {
	p := dhcpPlan{mtu: k.MTU, lease: defaultLease, domain: "eu-north-1.compute.internal", options: map[uint8][]byte{}}
	switch {
	case len(k.Addrs4) == 0:
		p.silent = true
	case k.Addrs4[0].IsLinkLocalUnicast() || !k.subnet.CIDR.IsValid():
		p.give, p.server = netip.PrefixFrom(k.Addrs4[0], 32), imds4
	default:
		p.give = netip.PrefixFrom(k.Addrs4[0], k.subnet.CIDR.Bits())
		p.router = k.subnet.Gateway4()
		p.server, p.resolver = p.router, p.router.Next()
	}
	return p
}

func (p *dhcpPlan) spoil(f DHCPFault) {
	p.silent = p.silent || f.Silent
	p.nak = p.nak || f.NAK
	bits := p.give.Bits()
	if f.Mask != nil {
		bits = *f.Mask
	}
	give := p.give.Addr()
	setIf(&give, f.Offer, f.Offer.IsValid())
	p.give = netip.PrefixFrom(give, bits)
	if f.NoRouter {
		p.router = netip.Addr{}
	}
	setIf(&p.router, f.Router, f.Router.IsValid())
	setIf(&p.server, f.Server, f.Server.IsValid())
	setIf(&p.delay, f.Delay, f.Delay > 0)
	setIf(&p.mtu, f.MTU, f.MTU > 0)
	setIf(&p.lease, f.Lease, f.Lease > 0)
	setIf(&p.t1, f.T1, f.T1 > 0)
	setIf(&p.t2, f.T2, f.T2 > 0)
	setIf(&p.mangle, f.Mangle, f.Mangle != "")
	maps.Copy(p.options, f.Options)
}

func setIf[T any](dst *T, v T, when bool) {
	if when {
		*dst = v
	}
}

// answer decides by the rules of RFC 2131 section 4.3, and notes the decision in m. It is nil when the
// server stays silent.
func (p dhcpPlan) answer(req *dhcpv4.DHCPv4, m *DHCPMessage) *dhcpv4.DHCPv4 {
	kind, ok := p.decide(req.MessageType(), *m)
	if !ok || p.silent {
		return nil
	}
	mods := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(p.server.AsSlice())),
	}
	if kind != dhcpv4.MessageTypeNak {
		mods = append(mods, p.grant(req)...)
	}
	reply, err := dhcpv4.NewReplyFromRequest(req, mods...)
	if err != nil {
		return nil
	}
	if req.MessageType() == dhcpv4.MessageTypeInform {
		reply.YourIPAddr = net.IPv4zero
		delete(reply.Options, uint8(dhcpv4.OptionIPAddressLeaseTime))
	}
	m.Reply, m.Given = kind.String(), addrOf(reply.YourIPAddr)
	return reply
}

func (p dhcpPlan) decide(t dhcpv4.MessageType, m DHCPMessage) (kind dhcpv4.MessageType, ok bool) {
	switch t {
	case dhcpv4.MessageTypeDiscover:
		return dhcpv4.MessageTypeOffer, true
	case dhcpv4.MessageTypeInform:
		return dhcpv4.MessageTypeAck, true
	case dhcpv4.MessageTypeRequest:
	default: // DECLINE and RELEASE have no answer
		return 0, false
	}
	wanted := m.Requested
	if !wanted.IsValid() {
		wanted = m.Client
	}
	switch {
	case m.State == "SELECTING" && m.Server != p.server:
		return 0, false // the client took another server's offer
	case p.nak || (wanted != p.give.Addr() && p.give.Addr() != netip.IPv4Unspecified()):
		return dhcpv4.MessageTypeNak, true
	}
	return dhcpv4.MessageTypeAck, true
}

// grant is what an OFFER or ACK carries. Options that were not asked for are left out, but for those that
// make it a lease.
func (p dhcpPlan) grant(req *dhcpv4.DHCPv4) []dhcpv4.Modifier {
	mods := []dhcpv4.Modifier{
		dhcpv4.WithYourIP(p.give.Addr().AsSlice()),
		dhcpv4.WithGeneric(dhcpv4.OptionIPAddressLeaseTime, seconds(p.lease)),
		dhcpv4.WithNetmask(net.CIDRMask(p.give.Bits(), 32)),
	}
	when := func(code dhcpv4.OptionCode, has bool, value []byte) {
		if has && req.IsOptionRequested(code) {
			mods = append(mods, dhcpv4.WithGeneric(code, value))
		}
	}
	when(dhcpv4.OptionRouter, p.router.IsValid(), p.router.AsSlice())
	when(dhcpv4.OptionDomainNameServer, p.resolver.IsValid(), p.resolver.AsSlice())
	when(dhcpv4.OptionDomainName, p.domain != "", []byte(p.domain))
	when(dhcpv4.OptionInterfaceMTU, p.mtu > 0, binary.BigEndian.AppendUint16(nil, uint16(p.mtu)))
	for code, value := range p.asked {
		when(dhcpv4.GenericOptionCode(code), true, value)
	}
	if p.t1 > 0 {
		mods = append(mods, dhcpv4.WithGeneric(dhcpv4.OptionRenewTimeValue, seconds(p.t1)))
	}
	if p.t2 > 0 {
		mods = append(mods, dhcpv4.WithGeneric(dhcpv4.OptionRebindingTimeValue, seconds(p.t2)))
	}
	for code, value := range p.options {
		if len(value) == 0 {
			mods = append(mods, func(d *dhcpv4.DHCPv4) { delete(d.Options, code) })
			continue
		}
		mods = append(mods, dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(code), value))
	}
	return mods
}

func seconds(d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))
}

// mangled breaks a message as asked.
func (m Mangle) mangled(b []byte) []byte {
	const optionsAt = 240 // after the cookie
	end := len(b)
	for end > optionsAt && b[end-1] == 0 {
		end-- // padding
	}
	if end <= optionsAt {
		return b
	}
	options := b[optionsAt : end-1] // without the end mark
	switch m {
	case Truncated:
		return append(b[:end-1], byte(dhcpv4.OptionHostName), 200, 'x')
	case Overload:
		copy(b[108:], []byte{1, 4, 255, 0, 0, 0, 3, 4, 10, 99, 99, 99, 255}) // file: another mask and router
		copy(b[44:], []byte{51, 4, 0, 0})                                    // sname: cut short
		return append(append(b[:optionsAt:optionsAt], 52, 1, 3), append(options, 255)...)
	case Repeated:
		return append(b[:end-1], 1, 4, 255, 0, 0, 0, 3, 4, 10, 99, 99, 99, 255)
	case NoMagic:
		b[optionsAt-1] ^= 0xff
	case Stub:
		return b[:100]
	case Garbage:
		for i := range options {
			options[i] = byte(i*7 + 13)
		}
	}
	return b
}
