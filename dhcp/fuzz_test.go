package dhcp

import (
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

// FuzzOwner: whatever the files of other programs hold, what is said of it is one line that is fit for a
// terminal, and names the interface's owner only by a file or a process that is about this interface.
func FuzzOwner(f *testing.F) {
	for _, s := range [][2]string{
		{"[device]\nmanaged=true\nconnection-uuid=6f0-1\n", "NetworkManager"}, {"ADMIN_STATE=configured\nNETWORK_FILE=/x\n", "systemd-networkd"},
		{"ADMIN_STATE=pending\nNETWORK_FILE=\x1b[2J\n", "/lib/systemd/systemd-networkd"}, {"lo=lo\neth1=eth1\n", "sshd"},
		{"9\n", "dhclient\x00-pf\x00/x\x00eth1"}, {"denyinterfaces eth[1\nallowinterfaces *", "dhcpcd: [manager] [ip4]"},
		{"NetworkInterfaceBlacklist=veth, eth0", "connmand"}, {"", "udhcpc\x00-fbieth1"}, {"=\n=x\n#=", "wickedd\x00"}, {"\xff\xfe", "busybox\x00udhcpc\x00--interface"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, cmdline string) {
		all := fstest.MapFS{"proc/self": {Data: []byte("100")}, "proc/9/cmdline": {Data: []byte(cmdline)}}
		for _, name := range []string{"run/NetworkManager/devices/3", "run/systemd/netif/links/3", "run/network/ifstate", "run/network/ifstate.eth1",
			"run/dhclient-eth1.pid", "run/dhcpcd/eth1.pid", "etc/dhcpcd.conf", "etc/connman/main.conf", "run/wicked/leaseinfo.eth1.dhcp.ipv4"} {
			all[name] = &fstest.MapFile{Data: []byte(text)}
		}
		o, owned := FindOwner(all, "eth1", 3)
		if !owned {
			return
		}
		if strings.IndexFunc(o.Program+o.Why, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || len(o.Why) > 600 {
			t.Errorf("not fit for a terminal: %+q", o.Why)
		}
		if o.Program == "" || o.Why == "" {
			t.Errorf("no name or no reason: %+v", o)
		}
	})
}

// FuzzFrame: what the packet sockets hand over. A payload lies within the frame, and an ARP packet is read
// as it is written.
func FuzzFrame(f *testing.F) {
	four := netip.MustParseAddr("10.0.0.1")
	f.Add(datagram([]byte("hello"), four, four))
	f.Add(append(probe([6]byte{2}, four).bytes(), make([]byte, 18)...))
	f.Add(announcement([6]byte{2}, four).bytes()[:27])
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := payload(b); ok && len(p) > len(b)-ipHeader-udpHeader {
			t.Errorf("%d bytes of %d", len(p), len(b))
		}
		a, err := parseARP(b)
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("a long error: %v", err)
			}
			return
		}
		if again, err := parseARP(a.bytes()); err != nil || again != a {
			t.Errorf("%v is read again as %v (%v)", a, again, err)
		}
		a.claims(four, nil)
	})
}
