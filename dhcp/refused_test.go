package dhcp

import (
	"strings"
	"testing"
)

// bad is an answer that must be refused, and what the reason must say.
type bad struct{ name, yiaddr, options, want string }

func refused() []bad {
	const head = "35 01 05 36 04 0a000001 33 04 00000e10 "
	return []bad{
		{"no address", "0.0.0.0", base + "ff", "the address offered (yiaddr), 0.0.0.0, is unspecified"},
		{"0/8", "0.1.2.3", base + "ff", "(yiaddr), 0.1.2.3, is unspecified"},
		{"everybody", "255.255.255.255", base + "ff", "(yiaddr), 255.255.255.255, is reserved"},
		{"loopback", "127.0.0.1", base + "ff", "(yiaddr), 127.0.0.1, is a loopback address"},
		{"multicast", "224.0.0.1", base + "ff", "(yiaddr), 224.0.0.1, is a multicast address"},
		{"class E", "240.0.0.1", base + "ff", "(yiaddr), 240.0.0.1, is reserved (240.0.0.0/4)"},
		{"network address", "10.0.0.0", base + "ff", "(yiaddr), 10.0.0.0/24, is the network or broadcast address"},
		{"broadcast address", "10.0.0.255", base + "ff", "(yiaddr), 10.0.0.255/24, is the network or broadcast address"},
		{"mask missing", "10.0.0.37", head + "ff", "option 1 (subnet mask): missing"},
		{"mask 0", "10.0.0.37", head + "01 04 00000000 ff", "option 1 (subnet mask): 0.0.0.0 makes the whole internet one subnet"},
		{"mask with holes", "10.0.0.37", head + "01 04 ff00ff00 ff", "option 1 (subnet mask): 255.0.255.0 has holes"},
		{"mask inverted", "10.0.0.37", head + "01 04 000000ff ff", "option 1 (subnet mask): 0.0.0.255 has holes"},
		{"mask too long", "10.0.0.37", head + "01 05 ffffff0000 ff", "option 1 (subnet mask): 5 bytes (ff ff ff 00 00), want 4"},
		{"mask twice", "10.0.0.37", head + "01 04 ffffff00 01 04 ffffff00 ff", "option 1 (subnet mask): 8 bytes"},
		{"lease missing", "10.0.0.37", "35 01 05 36 04 0a000001 01 04 ffffff00 ff", "option 51 (ip addresses lease time): missing"},
		{"lease 0", "10.0.0.37", "35 01 05 36 04 0a000001 33 04 00000000 01 04 ffffff00 ff", "option 51 (ip addresses lease time): 0s is shorter than 10s"},
		{"lease 9 s", "10.0.0.37", "35 01 05 36 04 0a000001 33 04 00000009 01 04 ffffff00 ff", "option 51 (ip addresses lease time): 9s is shorter than 10s"},
		{"lease short", "10.0.0.37", "35 01 05 36 04 0a000001 33 02 0e10 01 04 ffffff00 ff", "option 51 (ip addresses lease time): 2 bytes (0e 10), want 4"},
		{"T1 short", "10.0.0.37", base + "3a 01 05 ff", "option 58 (renew time value): 1 bytes (05), want 4"},
		{"T2 empty", "10.0.0.37", base + "3b 00 ff", "option 59 (rebinding time value): 0 bytes (), want 4"},
		{"MTU long", "10.0.0.37", base + "1a 04 00000578 ff", "option 26 (interface mtu): 4 bytes (00 00 05 78), want 2"},
		{"router cut", "10.0.0.37", base + "03 05 0a0000010a ff", "option 3 (router): 5 bytes (0a 00 00 01 0a), want a multiple of 4"},
		{"server missing", "10.0.0.37", "35 01 05 33 04 00000e10 01 04 ffffff00 ff", "option 54 (server identifier): missing"},
		{"server 0.0.0.0", "10.0.0.37", "35 01 05 36 04 00000000 33 04 00000e10 01 04 ffffff00 ff", "option 54 (server identifier): 0.0.0.0 is unspecified"},
		{"server multicast", "10.0.0.37", "35 01 05 36 04 e0000001 33 04 00000e10 01 04 ffffff00 ff", "option 54 (server identifier): 224.0.0.1 is a multicast address"},
		{"type missing", "10.0.0.37", "36 04 0a000001 33 04 00000e10 01 04 ffffff00 ff", "option 53 (dhcp message type): missing"},
		{"type twice", "10.0.0.37", "35 01 05 " + base + "ff", "option 53 (dhcp message type): 2 bytes (05 05), want 1"},
		{"a client's type", "10.0.0.37", "35 01 03 36 04 0a000001 33 04 00000e10 ff", "message of type 3 from 10.0.0.1, want OFFER, ACK or NAK"},
		{"no end", "10.0.0.37", base, "unreadable message: unexpected EOF"},
		{"option runs over the end", "10.0.0.37", base + "06 ff 0a000002 ff", "unreadable message"},
		{"length missing", "10.0.0.37", base + "06", "unreadable message"},
		{"overload 9", "10.0.0.37", base + "34 01 09 ff", "option 52 (option overload): 09, want one of 1, 2, 3"},
		{"overload, and the field is junk", "10.0.0.37", base + "34 01 03 ff", ""},
	}
}

func TestRefusedReplies(t *testing.T) {
	for _, c := range refused() {
		t.Run(c.name, func(t *testing.T) {
			b := raw(c.yiaddr, c.options)
			if c.want == "" { // options in the file field that claim more than there is
				b[offFile], b[offFile+1], b[offFile+127] = 6, 200, 6
				c.want = "error collecting options"
			}
			r, ours := parseReply(b, testID())
			if !ours || r.bad == nil || !strings.Contains(r.bad.Error(), c.want) {
				t.Errorf("ours %v, %v; want %q", ours, r.bad, c.want)
			}
		})
	}
}
