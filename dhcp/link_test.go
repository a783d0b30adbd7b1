package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"ec2net/test/testkit"
)

func TestCarrierLostAndBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq()
	carrier := make(chan bool)
	l := b.run(nil, carrier, false)
	carrier <- true // no news
	first := l.state(Bound).Lease
	b.down(b.s, "p-c0")
	carrier <- false
	if e := l.failure(ErrLinkDown); e.State != Init || e.Lease == nil {
		t.Errorf("link down: %+v", e)
	}
	b.up(b.s, "p-c0")
	carrier <- true
	if e := l.state(InitReboot); e.Lease == nil || e.Err != nil {
		t.Errorf("link up: %+v", e)
	}
	e := l.state(Bound)
	if !e.Lease.Same(*first) || !e.Lease.Start.After(first.Start) {
		t.Errorf("after the link came back: %+v", e.Lease)
	}
	for range 3 { // again and again, the second time with the channel closed while up
		carrier <- false
		l.failure(ErrLinkDown)
		carrier <- true
		l.state(Bound)
	}
	close(carrier)
}

// Nobody tells of the link: the client finds out, and tries.
func TestInterfaceDownWithoutCarrierNews(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.dnsmasq()
	b.down(b.c, "c0")
	l := b.run(nil, nil, false)
	if e := l.failure(ErrLinkDown); e.State != Init || e.Err.Error() != "open a DHCP socket on c0: link is down" {
		t.Errorf("interface down: %+v", e)
	}
	b.up(b.c, "c0")
	l.state(Bound)
}

// In the middle of an exchange.
func TestInterfaceGoesDownWhileAsking(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	l := b.run(nil, nil, false)
	l.failure(ErrSilent)
	b.down(b.c, "c0")
	l.failure(ErrLinkDown)
	b.dnsmasq()
	b.up(b.c, "c0")
	l.state(Bound)
}

func TestExpiryWhileTheLinkIsDown(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.fake(granter(nil))
	carrier := make(chan bool)
	l := b.run(nil, carrier, false)
	l.state(Bound)
	carrier <- false
	l.failure(ErrLinkDown)
	if e := l.failure(ErrExpired); e.State != Init || e.Lease != nil {
		t.Errorf("expiry: %+v", e)
	}
	carrier <- true
	if e := l.until("the next state", func(Event) bool { return true }); e.State != Init {
		t.Errorf("link up without a lease: %s", e.State)
	}
	l.state(Bound)
}

func TestInterfaceGone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	gone := *b.iface
	gone.Index = 4711
	b.iface = &gone
	_, err := b.acquire(nil, patience)
	if !errors.Is(err, ErrNoInterface) || err.Error() != "open a DHCP socket on c0 (index 4711): no such network interface" {
		t.Errorf("no such interface: %v", err)
	}
}

func TestInterfaceUnpluggedWhileAsking(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	done := make(chan error, 1)
	events := make(chan Event, 100)
	go func() {
		runtime.LockOSThread()
		netns.Set(b.client)
		done <- b.iface.Run(t.Context(), nil, nil, func(e Event) { events <- e })
	}()
	<-events
	link, err := b.c.LinkByName("c0")
	b.must(err)
	b.must(b.c.LinkDel(link))
	select {
	case err := <-done:
		if !errors.Is(err, ErrNoInterface) {
			t.Errorf("unplugged: %v", err)
		}
	case <-time.After(patience):
		t.Error("Run goes on without its interface")
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []Client{{}, {Name: "c0", Index: 1}, {Name: "c0", MAC: mac(clientMAC)}, {Name: "c0", Index: 1, MAC: make(net.HardwareAddr, 20)}} {
		if err := c.Run(t.Context(), nil, nil, func(Event) {}); err == nil || !strings.Contains(err.Error(), "DHCP needs an interface") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A flood of UDP on the interface must not reach the client: neither to other ports, nor to port 68
// with somebody else's xid.
func TestFloodIsFiltered(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.addr(b.c, "c0", "10.66.0.9/24")
	x, err := b.iface.exchange()
	b.must(err)
	defer x.close()
	arps, err := b.iface.listenARP(watchFilter(netip.MustParseAddr("10.66.0.9")))
	b.must(err)
	defer arps.close()
	var conn net.Conn
	b.atServer(func() { conn, err = net.Dial("udp4", "10.66.0.9:68") })
	b.must(err)
	defer conn.Close()
	const n = 50000
	before := cpu(b)
	junk := make([]byte, 300)
	sent := 0
	for range n {
		if _, err := conn.Write(junk); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			sent++
		}
	}
	junk[0] = 2 // a BOOTREPLY with a foreign xid
	for range 1000 {
		conn.Write(junk)
	}
	t.Logf("%d sent, CPU %s", sent, cpu(b)-before)
	for _, s := range []*socket{x.raw, arps} {
		stats, err := s.conn.Stats()
		b.must(err)
		if stats.Packets != 0 || stats.Drops != 0 {
			t.Errorf("%s: %d packets and %d drops of %d passed the filter", s.what, stats.Packets, stats.Drops, n)
		}
	}
}

// cpu is this process's user time.
func cpu(b *bed) time.Duration {
	var u unix.Rusage
	b.must(unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano())
}

// Not parallel: it counts what the whole process holds.
func TestNothingIsLeftBehind(t *testing.T) {
	b := newBed(t)
	b.fake(granter(nil))
	round := func() {
		carrier := make(chan bool)
		l := b.run(nil, carrier, false)
		l.state(Bound)
		carrier <- false
		l.failure(ErrLinkDown)
		carrier <- true
		l.state(Bound)
		l.state(Renewing)
		l.end()
	}
	round()
	settled := func() (int, int) {
		return runtime.NumGoroutine(), testkit.Descriptors(b)
	}
	g, f := settled()
	for range 3 {
		round()
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		g2, f2 := settled()
		if g2 <= g && f2 <= f {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("goroutines %d, then %d; descriptors %d, then %d", g, g2, f, f2)
		}
	}
}

// Without CAP_NET_RAW there is nothing to wait for. Capabilities belong to the thread, which ends
// with the test.
func TestNotAllowed(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	b.must(unix.Capget(&head, &caps[0]))
	with := caps
	caps[0].Effective &^= 1 << unix.CAP_NET_RAW
	b.must(unix.Capset(&head, &caps[0]))
	_, err := b.acquire(nil, patience)
	b.must(unix.Capset(&head, &with[0])) // the clean-up needs it
	if !errors.Is(err, unix.EPERM) || !strings.HasPrefix(err.Error(), "open a DHCP socket on c0: ") {
		t.Errorf("without CAP_NET_RAW: %v", err)
	}
}
