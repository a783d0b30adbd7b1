package plumb

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// router makes the test's namespace a router between an inner and an outer host, each in a namespace of its
// own. Its interface eth1, with an MTU of 1400, leads to the outer one, which knows no way to the inner.
func router(t *testing.T) (inner, outer netns.NsHandle) {
	t.Helper()
	inNamespace(t)
	sysctl(t, "ipv6/conf/default/accept_dad", "0")
	self, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	for _, into := range []*netns.NsHandle{&inner, &outer} {
		inNamespace(t)
		sysctl(t, "ipv6/conf/default/accept_dad", "0")
		if *into, err = netns.Get(); err != nil {
			t.Fatal(err)
		}
	}
	if err := netns.Set(self); err != nil {
		t.Fatal(err)
	}
	sysctl(t, "ipv4/ip_forward", "1")
	sysctl(t, "ipv6/conf/all/forwarding", "1")
	batch(t, `link add in0 type veth peer name eth0
link add eth1 mtu 1400 type veth peer name eth9
link set in0 up
link set eth1 up
addr add 172.22.5.129/26 dev in0
addr add 198.51.100.1/24 dev eth1
addr add 2001:db8:5::1/64 dev in0 nodad
addr add 2001:db8:9::1/64 dev eth1 nodad
`)
	hand(t, "eth0", inner, "addr add 172.22.5.130/26 dev eth0\naddr add 2001:db8:5::2/64 dev eth0 nodad\n"+
		"route add default via 172.22.5.129\nroute add default via 2001:db8:5::1\n")
	hand(t, "eth9", outer, "addr add 198.51.100.2/24 dev eth9\naddr add 2001:db8:9::2/64 dev eth9 nodad\n")
	return inner, outer
}

// hand moves a device into another namespace and sets it up there.
func hand(t *testing.T, device string, to netns.NsHandle, commands string) {
	t.Helper()
	fd, err := unix.Dup(int(to))
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "namespace")
	defer f.Close()
	c := exec.Command("ip", "link", "set", device, "netns", "/proc/self/fd/3")
	c.ExtraFiles = []*os.File{f}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("move %s: %v\n%s", device, err, out)
	}
	if err := in(to, func() error { batch(t, "link set "+device+" up\n"+commands); return nil }); err != nil {
		t.Fatal(err)
	}
}

// in runs fn on a thread of its own in a namespace, which ends with it.
func in(ns netns.NsHandle, fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(ns)
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}

// TestMasqueradeAndClamp: a connection from the prefix leaves with the interface's address, and its segments are as
// small in both directions as the interface's MTU wants them. It lives on while the table is replaced.
func TestMasqueradeAndClamp(t *testing.T) {
	inner, outer := router(t)
	l := open(t, "eth1")
	dev := read(t, l).Index
	masquerade := []PacketRule{
		{Table: 10001, Kind: Masquerade, Dev: dev, From: netip.MustParsePrefix("172.22.5.128/26")},
		{Table: 10001, Kind: Masquerade, Dev: dev, From: netip.MustParsePrefix("2001:db8:5::/64")},
	}
	clamped := append([]PacketRule{{Table: 10001, Kind: ClampMSS, Dev: dev}}, masquerade...)
	for _, family := range []struct {
		server, iface string
		header        int // of IP and TCP, with the timestamp option
	}{{"198.51.100.2", "198.51.100.1", 20 + 20 + 12}, {"2001:db8:9::2", "2001:db8:9::1", 40 + 20 + 12}} {
		if err := l.Reconcile(t.Context(), packing()).Err(); err != nil {
			t.Fatal(err)
		}
		if c, err := through(inner, outer, family.server, 200*time.Millisecond); err == nil {
			t.Fatalf("%s is reached without translation, from %s", family.server, c.seen)
		}
		if err := l.Reconcile(t.Context(), packing(masquerade...)).Err(); err != nil {
			t.Fatal(err)
		}
		c, err := through(inner, outer, family.server, patience)
		if err != nil {
			t.Fatal(err)
		}
		if c.seen.String() != family.iface || c.there != 1500-family.header || c.back != 1500-family.header {
			t.Errorf("%s sees %s, segments of %d and %d bytes", family.server, c.seen, c.there, c.back)
		}
		if err := l.Reconcile(t.Context(), packing(clamped...)).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.echo(); err != nil {
			t.Errorf("the connection to %s, after the table was replaced: %v", family.server, err)
		}
		c.close()
		if c, err = through(inner, outer, family.server, patience); err != nil {
			t.Fatal(err)
		}
		if c.seen.String() != family.iface || c.there != 1400-family.header || c.back != 1400-family.header {
			t.Errorf("%s sees %s, segments of %d and %d bytes", family.server, c.seen, c.there, c.back)
		}
		c.close()
	}
}

// connection is one from the inner host to a server on the outer.
type connection struct {
	client, server net.Conn
	seen           netip.Addr // where the server sees it come from
	there, back    int        // bytes of a full segment to the server, and of one from it
}

func through(inner, outer netns.NsHandle, at string, limit time.Duration) (*connection, error) {
	var l net.Listener
	err := in(outer, func() (err error) { l, err = net.Listen("tcp", net.JoinHostPort(at, "0")); return err })
	if err != nil {
		return nil, err
	}
	defer l.Close()
	c := &connection{}
	err = in(inner, func() (err error) {
		c.client, err = net.DialTimeout("tcp", l.Addr().String(), limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	if c.server, err = l.Accept(); err != nil {
		return nil, err
	}
	from, err := netip.ParseAddrPort(c.server.RemoteAddr().String())
	c.seen = from.Addr()
	return c, errors.Join(err, c.echo(), segment(c.client, &c.there), segment(c.server, &c.back))
}

func segment(c net.Conn, into *int) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var inside error
	err = raw.Control(func(fd uintptr) { *into, inside = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) })
	return errors.Join(err, inside)
}

// echo sends a word there, and the same back.
func (c *connection) echo() error {
	for _, way := range [][2]net.Conn{{c.client, c.server}, {c.server, c.client}} {
		got := make([]byte, 4)
		_ = way[1].SetReadDeadline(time.Now().Add(patience))
		if _, err := way[0].Write([]byte("word")); err != nil {
			return err
		}
		if _, err := way[1].Read(got); err != nil || string(got) != "word" {
			return fmt.Errorf("got %q: %w", got, err)
		}
	}
	return nil
}

func (c *connection) close() { _, _ = c.client.Close(), c.server.Close() }
