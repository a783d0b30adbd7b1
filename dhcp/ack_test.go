package dhcp

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func addr(s string) netip.Addr  { return netip.MustParseAddr(s) }
func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func testID() identity {
	return identity{xid: dhcpv4.TransactionID{1, 2, 3, 4}, mac: [6]byte(mac(clientMAC))}
}

// raw builds a message byte by byte, so that what the codec would not write can be had too.
func raw(yiaddr string, options string) []byte {
	b := make([]byte, offOptions)
	copy(b, "\x02\x01\x06\x00\x01\x02\x03\x04")
	copy(b[16:], addr(yiaddr).AsSlice())
	copy(b[offChaddr:], mac(clientMAC))
	copy(b[offCookie:], "\x63\x82\x53\x63")
	o, err := hex.DecodeString(strings.Join(strings.Fields(options), ""))
	if err != nil {
		panic(err)
	}
	return append(b, o...)
}

// Options of the clouds, in the order in which they come.
const (
	ec2 = `35 01 05  36 04 0a000001  33 04 00000e10  01 04 ffffff00  1c 04 0a0000ff  03 04 0a000001
		0f 1a 65752d776573742d312e636f6d707574652e696e7465726e616c  06 04 0a000002
		0c 0c 69702d31302d302d302d3337  1a 02 2329  ff`
	azure = `35 01 05  36 04 a83f8110  33 04 ffffffff  01 04 ffffff00  03 04 0a010001  3a 04 ffffffff  3b 04 ffffffff
		06 04 a83f8110  79 17 00 0a010001 20 a83f8110 0a010001 20 a9fea9fe 0a010001  f5 04 a83f8110  ff`
	dnsmasq = `35 01 05  36 04 0a420001  33 04 00000078  3a 04 0000003c  3b 04 00000069  01 04 ffffff00  1c 04 0a4200ff
		03 04 0a42004d  1a 02 2329  79 0c 00 0a420001 10 0a43 0a420002  ff 000000`
	ipv6only = `35 01 05  36 04 a9feff01  33 04 00000e10  ff`
	base     = `35 01 05  36 04 0a000001  33 04 00000e10  01 04 ffffff00 `
)

func TestParseReply(t *testing.T) {
	hour := Lease{Addr: pfx("10.0.0.37/24"), Server: addr("10.0.0.1"), Renew: 30 * time.Minute, Rebind: 3150 * time.Second, Expires: time.Hour}
	with := func(l Lease, f func(*Lease)) Lease { f(&l); return l }
	for _, c := range []struct {
		name, yiaddr, options string
		want                  Lease
	}{
		{"EC2", "10.0.0.37", ec2, with(hour, func(l *Lease) { l.Router, l.MTU = addr("10.0.0.1"), 9001 })},
		{"Azure", "10.1.0.4", azure, Lease{
			Addr: pfx("10.1.0.4/24"), Router: addr("10.1.0.1"), Server: addr("168.63.129.16"),
			Routes: []Route{{pfx("168.63.129.16/32"), addr("10.1.0.1")}, {pfx("169.254.169.254/32"), addr("10.1.0.1")}},
			Renew:  Infinite, Rebind: Infinite, Expires: Infinite, Wire: addr("168.63.129.16"),
		}},
		{"245 cut short", "10.0.0.37", base + "f5 03 a83f81 ff", hour},
		{"245 of nobody", "10.0.0.37", base + "f5 04 00000000 ff", hour},
		{"dnsmasq", "10.66.0.50", dnsmasq, Lease{
			Addr: pfx("10.66.0.50/24"), Router: addr("10.66.0.1"), MTU: 9001, Server: addr("10.66.0.1"),
			Routes: []Route{{pfx("10.67.0.0/16"), addr("10.66.0.2")}},
			Renew:  time.Minute, Rebind: 105 * time.Second, Expires: 2 * time.Minute,
		}},
		{"EC2 without IPv4", "169.254.7.9", ipv6only, with(hour, func(l *Lease) { l.Addr, l.Server = pfx("169.254.7.9/32"), addr("169.254.255.1") })},
		{"EC2 without IPv4, mask given", "169.254.7.9", "01 04 ffffffff " + ipv6only, with(hour, func(l *Lease) { l.Addr, l.Server = pfx("169.254.7.9/32"), addr("169.254.255.1") })},
		{"bare", "10.0.0.37", base + "ff", hour},
		{"/31", "10.0.0.36", "35 01 05 36 04 0a000001 33 04 00000e10 01 04 fffffffe 03 04 0a000025 ff",
			with(hour, func(l *Lease) { l.Addr, l.Router = pfx("10.0.0.36/31"), addr("10.0.0.37") })},
		{"router outside", "10.0.0.37", base + "03 04 0a000101 ff", with(hour, func(l *Lease) { l.Router = addr("10.0.1.1") })},
		{"router outside, then two in the subnet", "10.0.0.37", base + "03 0c 0a000101 0a000009 0a000008 ff", with(hour, func(l *Lease) { l.Router = addr("10.0.0.9") })},
		{"a subnet of one address (Google, Hetzner, OVH)", "10.0.0.37", "35 01 05 36 04 0a000001 33 04 00000e10 01 04 ffffffff 03 04 0a000001 79 0e 20 0a000001 00000000 00 0a000001 ff",
			with(hour, func(l *Lease) {
				l.Addr, l.Router, l.Routes = pfx("10.0.0.37/32"), addr("10.0.0.1"), []Route{{pfx("10.0.0.1/32"), addr("0.0.0.0")}}
			})},
		{"router is us, then broadcast, then good", "10.0.0.37", base + "03 0c 0a000025 0a0000ff 0a000009 ff", with(hour, func(l *Lease) { l.Router = addr("10.0.0.9") })},
		{"router 0.0.0.0", "10.0.0.37", base + "03 04 00000000 ff", hour},
		{"121 without a default hides 3", "10.0.0.37", base + "03 04 0a000001 79 08 18 0a0102 0a000001 ff",
			with(hour, func(l *Lease) { l.Routes = []Route{{pfx("10.1.2.0/24"), addr("10.0.0.1")}} })},
		{"121 with host bits, twice, on the link, to multicast, by a stranger", "10.0.0.37",
			base + "79 24 14 0affff 0a000001  14 0af000 0a000002  10 0a43 00000000  04 e0 0a000001  10 0a44 c0a80001  ff",
			with(hour, func(l *Lease) {
				l.Routes = []Route{{pfx("10.255.240.0/20"), addr("10.0.0.1")}, {pfx("10.240.0.0/20"), addr("10.0.0.2")}, {pfx("10.67.0.0/16"), addr("0.0.0.0")}, {pfx("10.68.0.0/16"), addr("192.168.0.1")}}
			})},
		{"121 default on the link", "10.0.0.37", base + "03 04 0a000001 79 05 00 00000000 ff", hour},
		{"121 of mask 33: as if it were not there", "10.0.0.37", base + "03 04 0a000001 79 09 21 0a010203 0a000001 ff", with(hour, func(l *Lease) { l.Router = addr("10.0.0.1") })},
		{"121 cut short", "10.0.0.37", base + "03 04 0a000001 79 0a 00 0a000009 10 0a43 0a00 ff", with(hour, func(l *Lease) { l.Router = addr("10.0.0.1") })},
		{"121 empty", "10.0.0.37", base + "03 04 0a000001 79 00 ff", with(hour, func(l *Lease) { l.Router = addr("10.0.0.1") })},
		{"121 by way of a loopback address", "10.0.0.37", base + "03 04 0a000001 79 05 00 7f000001 ff", with(hour, func(l *Lease) { l.Router = addr("10.0.0.1") })},
		{"121 in two parts (RFC 3396)", "10.0.0.37", base + "79 04 10 0a43 0a 79 03 000009 ff", with(hour, func(l *Lease) { l.Routes = []Route{{pfx("10.67.0.0/16"), addr("10.0.0.9")}} })},
		{"MTU 575", "10.0.0.37", base + "1a 02 023f ff", hour},
		{"MTU 576", "10.0.0.37", base + "1a 02 0240 ff", with(hour, func(l *Lease) { l.MTU = 576 })},
		{"MTU 65535", "10.0.0.37", base + "1a 02 ffff ff", with(hour, func(l *Lease) { l.MTU = 65535 })},
		{"T1 after T2", "10.0.0.37", base + "3a 04 00000b00 3b 04 00000a00 ff", hour},
		{"T2 after the end", "10.0.0.37", base + "3a 04 00000100 3b 04 00000e10 ff", hour},
		{"T1 zero, T2 set", "10.0.0.37", base + "3a 04 00000000 3b 04 00000d00 ff", with(hour, func(l *Lease) { l.Rebind = 0xd00 * time.Second })},
		{"T1 set alone", "10.0.0.37", base + "3a 04 00000010 ff", with(hour, func(l *Lease) { l.Renew = 16 * time.Second })},
		{"T1 never", "10.0.0.37", base + "3a 04 ffffffff ff", hour},
		{"longest lease", "10.0.0.37", "35 01 05 36 04 0a000001 33 04 fffffffe 01 04 ffffff00 ff",
			with(hour, func(l *Lease) {
				l.Expires = 0xfffffffe * time.Second
				l.Renew, l.Rebind = l.Expires/2, l.Expires/8*7
			})},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ours := parseReply(raw(c.yiaddr, c.options), testID())
			if !ours || r.bad != nil {
				t.Fatalf("ours %v, %v", ours, r.bad)
			}
			if !reflect.DeepEqual(r.lease, c.want) {
				t.Errorf("got  %+v\nwant %+v", r.lease, c.want)
			}
		})
	}
}

func TestCookieAndOverload(t *testing.T) {
	b := raw("10.0.0.37", base+"34 01 03 ff")
	copy(b[offFile:], "\x1a\x02\x05\x78\xff")
	copy(b[offSname:], "\x03\x04\x0a\x00\x00\x09\xff")
	r, _ := parseReply(b, testID())
	if r.bad != nil || r.lease.MTU != 1400 || r.lease.Router != addr("10.0.0.9") {
		t.Errorf("options in the name fields: %+v, %v", r.lease, r.bad)
	}
	b[offCookie] = 0
	if r, ours := parseReply(b, testID()); !ours || !strings.Contains(r.bad.Error(), "magic cookie") {
		t.Errorf("no cookie: %v %v", ours, r.bad)
	}
}

func TestNotOurs(t *testing.T) {
	good := raw("10.0.0.37", ec2)
	for name, change := range map[string]func(b []byte) []byte{
		"a request":     func(b []byte) []byte { b[0] = 1; return b },
		"token ring":    func(b []byte) []byte { b[1] = 6; return b },
		"MAC of 8":      func(b []byte) []byte { b[2] = 8; return b },
		"other xid":     func(b []byte) []byte { b[offXid+3]++; return b },
		"other MAC":     func(b []byte) []byte { b[offChaddr+5]++; return b },
		"cut short":     func(b []byte) []byte { return b[:offOptions-1] },
		"empty":         func(b []byte) []byte { return nil },
		"one byte only": func(b []byte) []byte { return b[:1] },
	} {
		if r, ours := parseReply(change(append([]byte(nil), good...)), testID()); ours {
			t.Errorf("%s: taken for ours: %+v", name, r)
		}
	}
	for id, want := range map[string]bool{"3d 07 01 0200000000c0": true, "3d 07 01 0200000000c1": false, "3d 00": false} {
		if _, ours := parseReply(raw("10.0.0.37", base+id+" ff"), testID()); ours != want {
			t.Errorf("client identifier %s: ours %v", id, ours)
		}
	}
}

func TestNakText(t *testing.T) {
	b := raw("0.0.0.0", "35 01 06 36 04 0a000001 38 05 6e6f1b5b41 ff")
	r, ours := parseReply(b, testID())
	if !ours || r.bad != nil || r.kind != dhcpv4.MessageTypeNak || r.text != `"no\x1b[A"` || r.server != addr("10.0.0.1") {
		t.Errorf("NAK: %+v", r)
	}
	if r, _ := parseReply(raw("0.0.0.0", "35 01 06 ff"), testID()); r.bad == nil {
		t.Error("a NAK of nobody was taken")
	}
}

// nonsense is what the fake server sends: each refused answer, as an OFFER with the xid and the MAC
// of the question.
type trick struct {
	name, want string
	answers    func(m *dhcpv4.DHCPv4) [][]byte
}

func nonsense() (list []trick) {
	for _, c := range refused() {
		switch c.name {
		case "type twice", "type missing", "a client's type", "overload, and the field is junk":
			continue // the type is what makes it an offer
		}
		list = append(list, trick{c.name, c.want, func(m *dhcpv4.DHCPv4) [][]byte {
			b := raw(c.yiaddr, strings.Replace(c.options, "35 01 05", "35 01 02", 1))
			copy(b[offXid:], m.TransactionID[:])
			return [][]byte{b}
		}})
	}
	return list
}

func TestNonsenseIsOffers(t *testing.T) {
	m, err := dhcpv4.NewDiscovery(mac(clientMAC))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range nonsense() {
		r, ours := parseReply(c.answers(m)[0], identity{m.TransactionID, testID().mac})
		if !ours || r.bad == nil || r.kind == dhcpv4.MessageTypeAck {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

func TestLeaseSameAndLive(t *testing.T) {
	now := time.Now()
	l := Lease{Addr: pfx("10.0.0.37/24"), Start: now.Add(-time.Hour), Expires: 2 * time.Hour, Routes: []Route{{pfx("10.9.0.0/16"), addr("10.0.0.1")}}}
	o := l
	o.Start, o.Server, o.Expires = now, addr("10.0.0.9"), time.Hour
	o.Routes = []Route{{pfx("10.9.0.0/16"), addr("10.0.0.1")}}
	if !l.Same(o) {
		t.Error("times and server are not what a caller configures")
	}
	for name, change := range map[string]func(l *Lease){
		"address": func(l *Lease) { l.Addr = pfx("10.0.0.37/25") }, "router": func(l *Lease) { l.Router = addr("10.0.0.1") },
		"MTU": func(l *Lease) { l.MTU = 1400 }, "routes": func(l *Lease) { l.Routes = nil },
	} {
		o := l
		if change(&o); l.Same(o) {
			t.Errorf("a change of the %s goes unseen", name)
		}
	}
	for at, want := range map[time.Duration]bool{-1: false, 0: true, 2*time.Hour - 1: true, 2 * time.Hour: false} {
		if got := l.Live(l.Start.Add(at)); got != want {
			t.Errorf("live %s after its start: %v", at, got)
		}
	}
	if (Lease{Expires: Infinite, Start: now}).Live(now) {
		t.Error("a lease of no address is alive")
	}
	l.Expires = Infinite
	if !l.Live(now.Add(1e6 * time.Hour)) {
		t.Error("an infinite lease ended")
	}
}

func FuzzAck(f *testing.F) {
	f.Add(raw("10.0.0.37", ec2))
	f.Add(raw("10.1.0.4", azure))
	f.Add(raw("10.66.0.50", dnsmasq))
	f.Add(raw("169.254.7.9", ipv6only))
	f.Add(raw("10.0.0.37", base+"34 01 03 ff"))
	f.Add(raw("10.0.0.37", base+"79 14 00 0a000001 10 0a43 0a000002 18 0a0203 00000000 ff"))
	for _, c := range refused() {
		f.Add(raw(c.yiaddr, c.options))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ours := parseReply(b, testID())
		if !ours || r.bad != nil || r.kind == dhcpv4.MessageTypeNak {
			return
		}
		checkLease(t, r.lease)
		if frame := datagram(b, addr("10.0.0.1"), addr("10.0.0.2")); len(b) < 60000 {
			frame[23] = clientPort
			if p, ok := payload(frame); !ok || string(p) != string(b) {
				t.Error("a datagram does not give back what it was made of")
			}
		}
	})
}

// checkLease: what a caller may rely on, whatever the server sent.
func checkLease(t *testing.T, l Lease) {
	t.Helper()
	a := l.Addr.Addr()
	if !a.Is4() || (!a.IsGlobalUnicast() && !a.IsLinkLocalUnicast()) || l.Addr.Bits() < 1 {
		t.Errorf("address %s", l.Addr)
	}
	if !l.Canonical() || l.Router == a {
		t.Errorf("router %s of %s", l.Router, l.Addr)
	}
	if l.MTU != 0 && (l.MTU < 576 || l.MTU > 65535) {
		t.Errorf("MTU %d", l.MTU)
	}
	finite := l.Expires != Infinite
	if l.Expires < minLease || (finite && (l.Renew <= 0 || l.Renew >= l.Rebind || l.Rebind >= l.Expires)) || (!finite && l.Renew != Infinite) {
		t.Errorf("times %s %s %s", l.Renew, l.Rebind, l.Expires)
	}
	if !l.Server.Is4() || l.Server.IsUnspecified() {
		t.Errorf("server %s", l.Server)
	}
	for _, r := range l.Routes {
		if r.Dst != r.Dst.Masked() || r.Dst.Bits() == 0 || r.Via == a {
			t.Errorf("route %v", r)
		}
	}
}
