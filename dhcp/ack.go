package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// minLease is the shortest lease that is accepted: below it a client does little but renew.
const minLease = 10 * time.Second

// identity is what an answer must repeat to be meant for us (RFC 2131 section 4.4.1).
type identity struct {
	xid dhcpv4.TransactionID
	mac [6]byte
}

// reply is a server's message that is meant for us.
type reply struct {
	kind   dhcpv4.MessageType // 0 when the message can not be read
	server netip.Addr         // option 54; invalid when bad says so
	lease  Lease              // of an OFFER or ACK that is not bad
	text   string             // option 56, quoted
	bad    error              // why nothing of the message may be used
}

// The fixed part of a message (RFC 2131 section 2), as far as it is needed before decoding.
const (
	offXid     = 4
	offChaddr  = 28
	offSname   = 44
	offFile    = 108
	offCookie  = 236
	offOptions = 240
)

// parseReply reads the UDP payload b. False: it is not a server's answer to this client.
func parseReply(b []byte, id identity) (reply, bool) {
	if len(b) < offOptions || !id.answered(b) {
		return reply{}, false
	}
	m, err := decode(b)
	if err != nil {
		return reply{bad: fmt.Errorf("unreadable message: %w", err)}, true
	}
	// A server that repeats the client identifier must repeat ours (RFC 6842 section 3).
	cid := dhcpv4.OptionClientIdentifier
	if m.Options.Has(cid) && string(m.Options.Get(cid)) != string(clientID(id.mac)) {
		return reply{}, false
	}
	return readMessage(m), true
}

// answered says whether a message with the fixed part b is a server's, for an Ethernet host, and answers this client.
func (id identity) answered(b []byte) bool {
	const bootReply, ethernet, macLen = 2, 1, 6
	reply := b[0] == bootReply && b[1] == ethernet && b[2] == macLen
	return reply && [4]byte(b[offXid:]) == id.xid && [6]byte(b[offChaddr:]) == id.mac
}

// decode adds to the codec what it leaves out: options in the fields for names (RFC 2131 section
// 4.1; RFC 3396 section 5: first the options field, then file, then sname).
func decode(b []byte) (*dhcpv4.DHCPv4, error) {
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		return nil, err
	}
	over := m.Options.Get(dhcpv4.OptionOptionOverload)
	if over == nil {
		return m, nil
	}
	if len(over) != 1 || over[0] < 1 || over[0] > 3 {
		return nil, fault(dhcpv4.OptionOptionOverload, "% x, want one of 1, 2, 3", clip(over))
	}
	if over[0]&1 != 0 {
		err = m.Options.FromBytes(b[offFile:offCookie])
	}
	if err == nil && over[0]&2 != 0 {
		err = m.Options.FromBytes(b[offSname:offFile])
	}
	return m, err
}

// readMessage reads the options that every answer has: the type (53), the server (54), a text (56), and of an OFFER or an
// ACK the lease. What is wrong is in reply.bad, so that a caller can say why it went on waiting.
func readMessage(m *dhcpv4.DHCPv4) reply {
	kind, err := octets(m, dhcpv4.OptionDHCPMessageType, 1)
	if err != nil {
		return reply{bad: err}
	}
	r := reply{kind: dhcpv4.MessageType(kind[0])}
	r.text = fmt.Sprintf("%.80q", m.Options.Get(dhcpv4.OptionMessage))
	if r.server, err = serverID(m); err != nil {
		r.bad = fmt.Errorf("%s: %w", r.kind, err)
		return r
	}
	switch r.kind {
	case dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck:
		if r.lease, err = parseLease(m); err != nil {
			r.bad = fmt.Errorf("%s of %s: %w", r.kind, r.server, err)
		}
		r.lease.Server = r.server
	case dhcpv4.MessageTypeNak:
	default:
		r.bad = fmt.Errorf("message of type %d from %s, want OFFER, ACK or NAK", kind[0], r.server)
	}
	return r
}

// parseLease turns an OFFER or an ACK into a lease without Server and Start.
func parseLease(m *dhcpv4.DHCPv4) (Lease, error) {
	addr, err := leasedAddr(m)
	if err != nil {
		return Lease{}, err
	}
	l := Lease{Addr: addr}
	if err := readTimes(m, &l); err != nil {
		return Lease{}, err
	}
	if err := readRouter(m, &l); err != nil {
		return Lease{}, err
	}
	l.Wire = wireServer(m)
	return l, readMTU(m, &l)
}

// leasedAddr is yiaddr with the length of its subnet, where a host may have it: not the network's or the broadcast address of
// a subnet that has those (all but /31, RFC 3021, and /32).
func leasedAddr(m *dhcpv4.DHCPv4) (netip.Prefix, error) {
	a, ok := netip.AddrFromSlice(m.YourIPAddr)
	if why := unusable(a); !ok || why != "" {
		return netip.Prefix{}, fmt.Errorf("the address offered (yiaddr), %s, %s", a, why)
	}
	bits, err := maskBits(m, a)
	if err != nil {
		return netip.Prefix{}, err
	}
	p := netip.PrefixFrom(a, bits)
	if bits < 31 && (a == p.Masked().Addr() || a == broadcast(p)) {
		return netip.Prefix{}, fmt.Errorf("the address offered (yiaddr), %s, is the network or broadcast address of its subnet", p)
	}
	return p, nil
}

// linkLocal is the block in which a lease needs no mask: EC2 leases 169.254.x.x/32 in subnets that have no IPv4, as
// a way to the metadata.
func linkLocal() netip.Prefix { return netip.MustParsePrefix("169.254.0.0/16") }

// maskBits is the length of the subnet mask (option 1). RFC 2132 section 3.3 makes it no condition, but without one there is no
// subnet: it may be missing where the address is link-local alone. A mask with holes and one of no bits are errors.
func maskBits(m *dhcpv4.DHCPv4, a netip.Addr) (int, error) {
	if !m.Options.Has(dhcpv4.OptionSubnetMask) && linkLocal().Contains(a) {
		return 32, nil
	}
	b, err := octets(m, dhcpv4.OptionSubnetMask, 4)
	if err != nil {
		return 0, err
	}
	mask := binary.BigEndian.Uint32(b)
	bits := 0
	for ; bits < 32 && mask&(1<<31) != 0; bits++ {
		mask <<= 1
	}
	switch shown := netip.AddrFrom4([4]byte(b)); {
	case mask != 0:
		return 0, fault(dhcpv4.OptionSubnetMask, "%s has holes", shown)
	case bits == 0:
		return 0, fault(dhcpv4.OptionSubnetMask, "%s makes the whole internet one subnet", shown)
	}
	return bits, nil
}

// readTimes wants a lease time and tolerates the rest: T1 and T2 have defaults.
func readTimes(m *dhcpv4.DHCPv4, l *Lease) error {
	lease, err := seconds(m, dhcpv4.OptionIPAddressLeaseTime)
	switch {
	case err != nil:
		return err
	case lease == 0 && !m.Options.Has(dhcpv4.OptionIPAddressLeaseTime):
		return fault(dhcpv4.OptionIPAddressLeaseTime, "missing")
	case lease < minLease:
		return fault(dhcpv4.OptionIPAddressLeaseTime, "%s is shorter than %s", lease, minLease)
	}
	t1, err := seconds(m, dhcpv4.OptionRenewTimeValue)
	if err != nil {
		return err
	}
	t2, err := seconds(m, dhcpv4.OptionRebindingTimeValue)
	if err != nil {
		return err
	}
	l.Expires = lease
	l.Renew, l.Rebind = splitTimes(lease, t1, t2)
	return nil
}

// seconds reads a time option; 0 when it is missing, Infinite for 0xffffffff.
func seconds(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode) (time.Duration, error) {
	if !m.Options.Has(code) {
		return 0, nil
	}
	b, err := octets(m, code, 4)
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0xffffffff {
		return Infinite, nil
	}
	return time.Duration(n) * time.Second, nil
}

// readMTU takes the MTU when it can be one; 68 and the like, seen in the wild, become 0.
func readMTU(m *dhcpv4.DHCPv4, l *Lease) error {
	if !m.Options.Has(dhcpv4.OptionInterfaceMTU) {
		return nil
	}
	b, err := octets(m, dhcpv4.OptionInterfaceMTU, 2)
	if err != nil {
		return err
	}
	if n := int(binary.BigEndian.Uint16(b)); n >= 576 {
		l.MTU = n
	}
	return nil
}

// wireServer reads option 245. It only says which interface this is, so that a bad one is none.
func wireServer(m *dhcpv4.DHCPv4) netip.Addr {
	b, err := octets(m, optionWireServer, 4)
	if err != nil || unusable(netip.AddrFrom4([4]byte(b))) != "" {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(b))
}

// serverID is the server identifier (option 54, RFC 2132 section 9.7), which an OFFER, an ACK and a NAK must have (RFC 2131
// section 4.3.1, table 3).
func serverID(m *dhcpv4.DHCPv4) (netip.Addr, error) {
	b, err := octets(m, dhcpv4.OptionServerIdentifier, 4)
	if err != nil {
		return netip.Addr{}, err
	}
	a := netip.AddrFrom4([4]byte(b))
	if why := unusable(a); why != "" {
		return netip.Addr{}, fault(dhcpv4.OptionServerIdentifier, "%s %s", a, why)
	}
	return a, nil
}

// octets returns an option that must be there and n bytes long.
func octets(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode, n int) ([]byte, error) {
	switch b := m.Options.Get(code); {
	case !m.Options.Has(code):
		return nil, fault(code, "missing")
	case len(b) != n:
		return nil, fault(code, "%d bytes (% x), want %d", len(b), clip(b), n)
	default:
		return b, nil
	}
}

func fault(code dhcpv4.OptionCode, format string, args ...any) error {
	return fmt.Errorf("option %d (%s): %s", code.Code(), strings.ToLower(code.String()), fmt.Sprintf(format, args...))
}

// clip bounds what of a stranger's bytes gets into an error.
func clip(b []byte) []byte { return b[:min(len(b), 16)] }

// unusable says why no host may have this address; empty when one may.
func unusable(a netip.Addr) string {
	switch {
	case !a.Is4():
		return "is no IPv4 address"
	case a.As4()[0] == 0:
		return "is unspecified"
	case a.IsLoopback():
		return "is a loopback address"
	case a.IsMulticast():
		return "is a multicast address"
	case a.As4()[0] >= 240:
		return "is reserved (240.0.0.0/4)"
	}
	return ""
}

// broadcast returns the last address of a subnet.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | uint32(1<<(32-p.Bits())-1)
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
