package dhcp

import (
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// message starts what the client sends. Nothing is asked for that a second interface must not bring:
// no DNS, NTP, domain or host name. The broadcast flag stays clear, since AF_PACKET receives what
// is sent to our MAC before the address is ours.
func message(kind dhcpv4.MessageType, id identity, secs uint16) *dhcpv4.DHCPv4 {
	mac := net.HardwareAddr(id.mac[:])
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: iana.HWTypeEthernet, ClientHWAddr: mac,
		TransactionID: id.xid, NumSeconds: secs, Options: dhcpv4.Options{},
	}
	m.UpdateOption(dhcpv4.OptMessageType(kind))
	m.UpdateOption(dhcpv4.OptClientIdentifier(clientID(id.mac)))
	return m
}

// clientID is the hardware type and the MAC, as dhclient and NetworkManager send it (RFC 2132
// section 9.14), so that the server gives them the same address.
func clientID(mac [6]byte) []byte { return append([]byte{byte(iana.HWTypeEthernet)}, mac[:]...) }

// optionWireServer is the address of Azure's platform, 168.63.129.16 (learn.microsoft.com, "What is IP
// address 168.63.129.16"). Only a virtual machine's first interface is told.
const optionWireServer = dhcpv4.GenericOptionCode(245)

// usualAsk are the options that every DHCP server is asked for, unless the client is told otherwise.
func usualAsk() []uint8 {
	var out []uint8
	for _, o := range []dhcpv4.OptionCode{
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionInterfaceMTU,
		dhcpv4.OptionIPAddressLeaseTime, dhcpv4.OptionServerIdentifier, dhcpv4.OptionRenewTimeValue,
		dhcpv4.OptionRebindingTimeValue, dhcpv4.OptionClasslessStaticRoute,
	} {
		out = append(out, o.Code())
	}
	return out
}

// wanted is the parameter request list.
func wanted(ask []uint8) dhcpv4.Option {
	if ask == nil {
		ask = usualAsk()
	}
	return dhcpv4.OptGeneric(dhcpv4.OptionParameterRequestList, ask)
}

// discover is a DHCPDISCOVER (RFC 2131 section 4.4.1), which asks for no address in particular.
func discover(id identity, secs uint16, ask []uint8) *dhcpv4.DHCPv4 {
	m := message(dhcpv4.MessageTypeDiscover, id, secs)
	m.UpdateOption(wanted(ask))
	return m
}

// request takes an offer; the same xid and secs as in the DISCOVER (RFC 2131 section 4.4.1).
func request(id identity, secs uint16, ask []uint8, addr, server netip.Addr) *dhcpv4.DHCPv4 {
	m := reboot(id, secs, ask, addr)
	m.UpdateOption(dhcpv4.OptServerIdentifier(server.AsSlice()))
	return m
}

// reboot asks any server to confirm an address that this host had (RFC 2131 section 4.3.2).
func reboot(id identity, secs uint16, ask []uint8, addr netip.Addr) *dhcpv4.DHCPv4 {
	m := message(dhcpv4.MessageTypeRequest, id, secs)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(addr.AsSlice()))
	m.UpdateOption(wanted(ask))
	return m
}

// extend asks for more time, in RENEWING and REBINDING; the answer goes to addr.
func extend(id identity, secs uint16, ask []uint8, addr netip.Addr) *dhcpv4.DHCPv4 {
	m := message(dhcpv4.MessageTypeRequest, id, secs)
	m.ClientIPAddr = addr.AsSlice()
	m.UpdateOption(wanted(ask))
	return m
}

// decline tells the server that somebody else has the address (RFC 2131 section 4.4.4).
func decline(id identity, addr, server netip.Addr) *dhcpv4.DHCPv4 {
	m := message(dhcpv4.MessageTypeDecline, id, 0)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(addr.AsSlice()))
	m.UpdateOption(dhcpv4.OptServerIdentifier(server.AsSlice()))
	m.UpdateOption(dhcpv4.OptMessage("address in use"))
	return m
}
