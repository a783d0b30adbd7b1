package dhcp

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"ec2net/test/testkit"
)

// patience is how long a test waits for what must happen. It ends a test that hangs, and measures nothing.
const patience = time.Minute

const (
	clientMAC = "02:00:00:00:00:c0"
	serverMAC = "02:00:00:00:00:50"
	otherMAC  = "02:00:00:00:00:aa"
)

// bed is two network namespaces on one wire: the test's thread is in the client's, with the interface
// c0. The server's has a bridge b0 (10.66.0.1/24, 10.66.0.2/24) that the wire s0 ends in.
type bed struct {
	testing.TB
	client, server netns.NsHandle
	iface          *Client
	c, s           *netlink.Handle
}

// newBed takes the goroutine's thread for good: it dies with the goroutine, and both namespaces
// with it.
func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{TB: t}
	b.server = testkit.Namespace(t)
	b.s = b.handle(b.server)
	b.client = testkit.Namespace(t)
	b.c = b.handle(b.client)
	b.must(b.s.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "b0", HardwareAddr: mac(serverMAC)}}))
	b.wire("c0", clientMAC, b.client)
	b.up(b.s, "b0")
	b.up(b.s, "lo")
	b.up(b.c, "lo") // without one address in the namespace the kernel lets sockets bind to any
	b.addr(b.s, "b0", "10.66.0.1/24")
	b.addr(b.s, "b0", "10.66.0.2/24")
	link, err := b.c.LinkByName("c0")
	b.must(err)
	tuned := defaultTiming()
	tuned.first, tuned.ceiling, tuned.jitter = 500*time.Millisecond, time.Second, 50*time.Millisecond
	tuned.conflictWait, tuned.nakFirst, tuned.poll = 300*time.Millisecond, 200*time.Millisecond, 50*time.Millisecond
	b.iface = &Client{Name: "c0", Index: link.Attrs().Index, MAC: mac(clientMAC), tuned: &tuned}
	return b
}

func (b *bed) must(err error) {
	b.Helper()
	testkit.Must(b, err)
}

func (b *bed) handle(ns netns.NsHandle) *netlink.Handle {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	b.must(err)
	b.Cleanup(h.Close)
	return h
}

// wire makes an interface in a namespace, and plugs it into the bridge.
func (b *bed) wire(name, hw string, ns netns.NsHandle) {
	b.Helper()
	bridge, err := b.s.LinkByName("b0")
	b.must(err)
	port := "p-" + name
	b.must(b.s.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index, HardwareAddr: portMAC(hw)},
		PeerName:      name,
		PeerNamespace: netlink.NsFd(ns), PeerHardwareAddr: mac(hw),
	}))
	b.up(b.s, port)
	b.up(b.handle(ns), name)
}

// portMAC: a bridge port needs a MAC of its own.
func portMAC(hw string) net.HardwareAddr {
	m := mac(hw)
	m[1] = 0xbb
	return m
}

func mac(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func (b *bed) up(h *netlink.Handle, name string) {
	b.Helper()
	l, err := h.LinkByName(name)
	b.must(err)
	b.must(h.LinkSetUp(l))
}

func (b *bed) down(h *netlink.Handle, name string) {
	b.Helper()
	l, err := h.LinkByName(name)
	b.must(err)
	b.must(h.LinkSetDown(l))
}

func (b *bed) addr(h *netlink.Handle, name, cidr string) {
	b.Helper()
	l, err := h.LinkByName(name)
	b.must(err)
	a, err := netlink.ParseAddr(cidr)
	b.must(err)
	b.must(h.AddrReplace(l, a))
}

func (b *bed) noAddr(h *netlink.Handle, name, cidr string) {
	b.Helper()
	l, err := h.LinkByName(name)
	b.must(err)
	a, err := netlink.ParseAddr(cidr)
	b.must(err)
	b.must(h.AddrDel(l, a))
}

// atServer runs f on this thread in the server's namespace.
func (b *bed) atServer(f func()) {
	b.Helper()
	b.must(netns.Set(b.server))
	defer func() { b.must(netns.Set(b.client)) }()
	f()
}

// daemon is a real DHCP program.
type daemon struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	log  strings.Builder
	seen chan struct{} // closed when the ready line came
	gone chan struct{}
}

// start runs a program in the namespace that the thread is in, and waits for a line that says that
// it is ready.
func (b *bed) start(ready string, env []string, argv ...string) *daemon {
	b.Helper()
	d := &daemon{seen: make(chan struct{}), gone: make(chan struct{})}
	d.cmd = exec.Command(argv[0], argv[1:]...)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	b.must(err)
	d.cmd.Stdout, d.cmd.Stderr = w, w
	b.must(d.cmd.Start())
	w.Close()
	go d.read(r, ready)
	b.Cleanup(d.stop)
	select {
	case <-d.seen:
	case <-d.gone:
		b.Fatalf("%s ended at once: %s", argv[0], d.text())
	case <-time.After(patience):
		b.Fatalf("%s did not get ready: %s", argv[0], d.text())
	}
	return d
}

func (d *daemon) read(r *os.File, ready string) {
	defer close(d.gone)
	defer r.Close()
	found := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		d.mu.Lock()
		fmt.Fprintln(&d.log, lines.Text())
		d.mu.Unlock()
		if !found && strings.Contains(lines.Text(), ready) {
			found = true
			close(d.seen)
		}
	}
}

func (d *daemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

func (d *daemon) stop() {
	if d.cmd.ProcessState == nil {
		d.cmd.Process.Kill()
		d.cmd.Wait()
	}
}

// dnsmasq serves 10.66.0.50 to .60 for two minutes, its shortest time.
func (b *bed) dnsmasq(args ...string) (d *daemon) {
	b.Helper()
	dir := b.TempDir()
	args = append([]string{
		"dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0", "--user=root", "--group=root",
		"--interface=b0", "--bind-interfaces", "--no-ping", "--log-dhcp",
		"--dhcp-range=10.66.0.50,10.66.0.60,255.255.255.0,2m",
		"--dhcp-leasefile=" + filepath.Join(dir, "leases"), "--pid-file=" + filepath.Join(dir, "pid"),
	}, args...)
	b.atServer(func() { d = b.start("DHCP, sockets bound", nil, args...) })
	return d
}

func (b *bed) file(name, text string) string {
	b.Helper()
	f := filepath.Join(b.TempDir(), name)
	b.must(os.WriteFile(f, []byte(text), 0o644))
	return f
}
