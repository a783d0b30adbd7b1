package dhcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/bpf"
)

func TestDatagram(t *testing.T) {
	for n := range 4 { // odd lengths too
		p := []byte("abcd")[:n]
		b := datagram(p, addr("10.0.0.37"), addr("255.255.255.255"))
		if fold(sum(b[:20])) != 0xffff {
			t.Errorf("IP checksum of % x", b)
		}
		pseudo := append(append([]byte(nil), b[12:20]...), 0, protoUDP, b[24], b[25])
		if fold(sum(append(pseudo, b[20:]...))) != 0xffff {
			t.Errorf("UDP checksum of % x", b)
		}
	}
}

// answer is a datagram to port 68 as a server sends it, with IP options when more > 0.
func answer(msg []byte, more int) []byte {
	b := datagram(msg, addr("10.0.0.1"), addr("10.0.0.37"))
	binary.BigEndian.PutUint16(b[20:], serverPort)
	binary.BigEndian.PutUint16(b[22:], clientPort)
	b = append(append(append([]byte(nil), b[:20]...), make([]byte, 4*more)...), b[20:]...)
	b[0] += byte(more)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// What the filter passes, payload must read, and the other way round.
func TestFilterAndPayload(t *testing.T) {
	id := testID()
	filter, err := dhcpFilter(id)
	if err != nil {
		t.Fatal(err)
	}
	msg := raw("10.0.0.37", ec2)
	change := func(i int, v byte) []byte { b := answer(msg, 0); b[i] = v; return b }
	other := func(i int) []byte { m := append([]byte(nil), msg...); m[i]++; return answer(m, 0) }
	for _, c := range []struct {
		name  string
		frame []byte
		pass  bool
	}{
		{"answer", answer(msg, 0), true},
		{"with IP options", answer(msg, 3), true},
		{"with the most IP options", answer(msg, 10), true},
		{"with Ethernet's padding", append(answer(msg, 0), 1, 2, 3), true},
		{"checksum left to the hardware", change(26, 0xee), true},
		{"TCP", change(9, 6), false},
		{"later fragment", change(7, 1), false},
		{"first fragment", change(6, 0x20), false},
		{"do not fragment", change(6, 0x40), true},
		{"port 67", change(23, 67), false},
		{"port 0x4444", change(22, 0x44), false},
		{"request", other(0), false},
		{"other xid", other(offXid + 3), false},
		{"other MAC, begin", other(offChaddr), false},
		{"other MAC, end", other(offChaddr + 5), false},
		{"cut short", answer(msg, 0)[:40], false},
		{"empty", nil, false},
	} {
		if got := runFilter(t, filter, c.frame); got != c.pass {
			t.Errorf("%s: filter %v", c.name, got)
		}
		p, ok := payload(c.frame)
		_, ours := parseReply(p, id)
		if ok && ours != c.pass {
			t.Errorf("%s: payload %v, ours %v", c.name, ok, ours)
		}
	}
}

// runFilter runs a program as the kernel would.
func runFilter(t *testing.T, raw []bpf.RawInstruction, frame []byte) bool {
	t.Helper()
	prog, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter can not be disassembled")
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(frame)
	return err == nil && n > 0
}

func TestPayloadOfNonsense(t *testing.T) {
	good := answer(raw("10.0.0.37", ec2), 0)
	for i := range good {
		if p, ok := payload(good[:i]); ok {
			t.Fatalf("%d bytes gave %d", i, len(p))
		}
	}
	for name, change := range map[string]func(b []byte){
		"IPv6":                 func(b []byte) { b[0] = 0x65 },
		"short header":         func(b []byte) { b[0] = 0x44 },
		"header beyond end":    func(b []byte) { b[2], b[3] = 0, 20 },
		"UDP longer than IP":   func(b []byte) { b[24] = 0xff },
		"UDP without a header": func(b []byte) { b[24], b[25] = 0, 7 },
		"IP longer than frame": func(b []byte) { b[2] = 0xff },
	} {
		b := append([]byte(nil), good...)
		if change(b); true {
			if _, ok := payload(b); ok {
				t.Errorf("%s: taken", name)
			}
		}
	}
}

func TestARP(t *testing.T) {
	ours, theirs, sibling := [6]byte(mac(clientMAC)), [6]byte(mac(otherMAC)), [6]byte(mac("02:00:00:00:00:bb"))
	own := []net.HardwareAddr{mac(clientMAC), mac("02:00:00:00:00:bb")}
	a, b := addr("10.0.0.37"), addr("10.0.0.38")
	watching, err := watchFilter(a)
	probing, err2 := probeFilter(a)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                string
		packet              arp
		claims, watch, hear bool // a conflict; passed by each filter
	}{
		{"answer", arp{op: 2, senderMAC: theirs, sender: a, target: netip.IPv4Unspecified()}, true, true, true},
		{"announcement", announcement(theirs, a), true, true, true},
		{"ordinary request", arp{op: 1, senderMAC: theirs, sender: a, target: b}, true, true, true},
		{"probe of another host", probe(theirs, a), true, false, true},
		{"our own probe", probe(ours, a), false, false, true},
		{"our own announcement", announcement(ours, a), false, true, true},
		{"another interface of this host", arp{op: 2, senderMAC: sibling, sender: a, target: netip.IPv4Unspecified()}, false, true, true},
		{"who asks for the address", arp{op: 1, senderMAC: theirs, sender: b, target: a}, false, false, false},
		{"about another address", announcement(theirs, b), false, false, false},
		{"probe for another address", probe(theirs, b), false, false, false},
		{"answer of nobody", arp{op: 2, senderMAC: theirs, sender: netip.IPv4Unspecified(), target: a}, false, false, true},
	} {
		raw := append(c.packet.bytes(), make([]byte, 18)...) // as padded by Ethernet
		back, err := parseARP(raw)
		if err != nil || back != c.packet {
			t.Errorf("%s: read back as %+v, %v", c.name, back, err)
		}
		if got := back.claims(a, own); got != c.claims {
			t.Errorf("%s: claims %v", c.name, got)
		}
		if got := runFilter(t, watching, raw); got != c.watch {
			t.Errorf("%s: passes the watch %v", c.name, got)
		}
		if got := runFilter(t, probing, raw); got != c.hear {
			t.Errorf("%s: passes the probe's filter %v", c.name, got)
		}
	}
	for i := range 6 { // not Ethernet, not IPv4
		raw := announcement(theirs, a).bytes()
		raw[i]++
		if _, err := parseARP(raw); err == nil || !strings.Contains(err.Error(), "not an ARP packet") {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if _, err := parseARP(announcement(theirs, a).bytes()[:27]); err == nil {
		t.Error("a short packet was taken")
	}
}

func TestMessages(t *testing.T) {
	id, a, s := testID(), addr("10.0.0.37"), addr("10.0.0.1")
	for name, c := range map[string]struct {
		m                 *dhcpv4.DHCPv4
		kind              dhcpv4.MessageType
		ciaddr            string
		requested, server string
	}{
		"discover": {discover(id, 7, nil), dhcpv4.MessageTypeDiscover, "0.0.0.0", "", ""},
		"request":  {request(id, 7, nil, a, s), dhcpv4.MessageTypeRequest, "0.0.0.0", "10.0.0.37", "10.0.0.1"},
		"reboot":   {reboot(id, 7, nil, a), dhcpv4.MessageTypeRequest, "0.0.0.0", "10.0.0.37", ""},
		"extend":   {extend(id, 7, nil, a), dhcpv4.MessageTypeRequest, "10.0.0.37", "", ""},
		"decline":  {decline(id, a, s), dhcpv4.MessageTypeDecline, "0.0.0.0", "10.0.0.37", "10.0.0.1"},
	} {
		m, err := dhcpv4.FromBytes(c.m.ToBytes()) // RFC 2131, table 5
		if err != nil {
			t.Fatal(err)
		}
		if m.MessageType() != c.kind || m.ClientIPAddr.String() != c.ciaddr || m.TransactionID != id.xid || m.ClientHWAddr.String() != clientMAC || m.Flags != 0 {
			t.Errorf("%s: %s", name, m.Summary())
		}
		if got := ip(m.RequestedIPAddress()) + "|" + ip(m.ServerIdentifier()); got != c.requested+"|"+c.server {
			t.Errorf("%s: options 50|54 are %s", name, got)
		}
		if decl := c.kind == dhcpv4.MessageTypeDecline; decl == m.Options.Has(dhcpv4.OptionParameterRequestList) || (!decl && m.NumSeconds != 7) {
			t.Errorf("%s: %s", name, m.Summary())
		}
	}
	if got := discover(id, 0, []uint8{1, 245}).Options.Get(dhcpv4.OptionParameterRequestList); !bytes.Equal(got, []byte{1, 245}) {
		t.Errorf("options % x are asked for", got)
	}
}

func ip(a net.IP) string {
	if a == nil {
		return ""
	}
	return a.String()
}
