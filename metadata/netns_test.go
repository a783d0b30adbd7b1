package metadata

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"ec2net/test/stock"
	"ec2net/test/testkit"
)

const childVar = "EC2NET_TEST_IN_NETNS"

// inNetns runs the calling test once more as a process of its own in a new network namespace, since
// net/http dials from any thread. It is true in that process, where the test goes on.
func inNetns(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childVar) != "" {
		t.Setenv(endpointVar, "")
		must(t, stock.Sysctls())
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), childVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in a network namespace: %v\n%s", err, out)
	}
	return false
}

var must = testkit.Must

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

// setUp brings an interface up with addresses, without waiting for duplicate address detection.
func setUp(t *testing.T, name string, addrs ...string) {
	t.Helper()
	must(t, netlink.LinkSetUp(link(t, name)))
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		must(t, err)
		if addr.IP.To4() == nil {
			addr.Flags = syscall.IFA_F_NODAD
		}
		must(t, netlink.AddrAdd(link(t, name), addr))
	}
}

// reach returns once a fresh address can be connected to: the kernel makes it ready in its own time,
// and a SYN lost until then is sent again only after a second.
func reach(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(patient); ; {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// routeToMetadata sends the IPv4 metadata address out of an interface.
func routeToMetadata(t *testing.T, iface string, metric int) {
	t.Helper()
	_, dst, err := net.ParseCIDR("169.254.169.254/32")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link(t, iface).Attrs().Index, Dst: dst, Priority: metric, Scope: netlink.SCOPE_LINK}))
}

// TestProxyIsNotAsked runs on the well-known address: Go never uses a proxy for loopback ones.
func TestProxyIsNotAsked(t *testing.T) {
	if !inNetns(t) {
		return
	}
	setUp(t, "lo", "169.254.169.254/32")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var asked atomic.Int64
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set(tokenTTL, "300")
		w.Write([]byte("token-from-the-proxy"))
	}))
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://"+l.Addr().String())
	}
	res, err := http.Get(endpoint4)
	must(t, err)
	res.Body.Close()
	if asked.Load() != 1 {
		t.Fatal("this test shows nothing: Go's own client does not use the proxy either")
	}
	newFakeOn(t, "plain", "169.254.169.254:80")
	s := newClientAt(t, EC2Options{})
	if got, err := s.Read(t.Context(), secondMAC); err != nil || got.N() != 1 || s.Requests() != 7 {
		t.Errorf("%v, %v, %d requests", got, err, s.Requests())
	}
	if asked.Load() != 1 {
		t.Errorf("the proxy was asked %d times", asked.Load()-1)
	}
}

// TestIPv6WhereIPv4HasNoRoute: no route at all, then a route to nobody, then IPv4 again.
func TestIPv6WhereIPv4HasNoRoute(t *testing.T) {
	if !inNetns(t) {
		return
	}
	setUp(t, "lo")
	s := newClientAt(t, EC2Options{})
	_, err := s.Read(t.Context(), secondMAC)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("neither family: %v", err)
	}
	_, err = newClientAt(t, EC2Options{Endpoint: "http://192.0.2.1"}).Read(t.Context(), secondMAC)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("a configured address: %v", err)
	}
	setUp(t, "lo", "fd00:ec2::254/128")
	f6 := newFakeOn(t, "full", "[fd00:ec2::254]:80")
	reach(t, "[fd00:ec2::254]:80")
	expect := func(requests int) {
		t.Helper()
		before := s.Requests()
		got, err := s.Read(t.Context(), secondMAC)
		if n := s.Requests() - before; err != nil || got.N() != 102 || n != requests {
			t.Errorf("%d requests, want %d: %v, %v", n, requests, got, err)
		}
	}
	expect(1 + 12) // one token asked for in vain by IPv4
	expect(6)      // and never again
	f6.Close()
	s.Close() // or a request might go out on a connection whose end is not noticed yet
	must(t, netlink.AddrDel(link(t, "lo"), &netlink.Addr{IPNet: ipNet("fd00:ec2::254/128")}))
	setUp(t, "lo", "169.254.169.254/32")
	newFakeOn(t, "full", "169.254.169.254:80")
	expect(1 + 1 + 6) // by IPv6 in vain, with the token it still has, then a token and 6 keys by IPv4
	expect(6)
}

// TestIPv6WhereNobodyAnswersOnIPv4: the route is there, ARP is not answered.
func TestIPv6WhereNobodyAnswersOnIPv4(t *testing.T) {
	if !inNetns(t) {
		return
	}
	setUp(t, "lo", "fd00:ec2::254/128")
	must(t, netlink.LinkAdd(&netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: "dead0"}}))
	setUp(t, "dead0", "192.0.2.1/24")
	routeToMetadata(t, "dead0", 1)
	newFakeOn(t, "plain", "[fd00:ec2::254]:80")
	reach(t, "[fd00:ec2::254]:80")
	s := newClientAt(t, EC2Options{})
	if got, err := s.Read(t.Context(), secondMAC); err != nil || got.N() != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestBoundToInterface: the better route to the metadata leads to a dead interface, as it does while the first
// interface has lost its link.
func TestBoundToInterface(t *testing.T) {
	if !inNetns(t) {
		return
	}
	setUp(t, "lo")
	must(t, netlink.LinkAdd(&netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: "dead0"}}))
	setUp(t, "dead0", "192.0.2.1/24")
	l := behindVeth(t, "live0")
	setUp(t, "live0", "198.51.100.1/24")
	routeToMetadata(t, "dead0", 1)
	routeToMetadata(t, "live0", 2)
	serveFake(t, "plain", l)
	if _, err := newClientAt(t, EC2Options{Timeout: brief}).Read(t.Context(), secondMAC); !errors.Is(err, ErrUnavailable) {
		t.Errorf("this test shows nothing: unbound, got %v", err)
	}
	if _, err := newClientAt(t, EC2Options{Interface: "live0"}).Read(t.Context(), secondMAC); err != nil {
		t.Errorf("bound to the live interface: %v", err)
	}
	_, err := newClientAt(t, EC2Options{Interface: "gone0"}).Read(t.Context(), secondMAC)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENODEV) {
		t.Errorf("bound to no interface: %v", err)
	}
}

// behindVeth makes a veth whose other end lies in a namespace of its own, holds the metadata's
// address there and is listened on.
func behindVeth(t *testing.T, name string) net.Listener {
	t.Helper()
	home, err := netns.Get()
	must(t, err)
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with its namespace
		l, err := listenBehind(home, name)
		done <- result{l, err}
		<-t.Context().Done() // the namespace lives as long as the thread
	}()
	r := <-done
	must(t, r.err)
	return r.l
}

func listenBehind(home netns.NsHandle, name string) (net.Listener, error) {
	if _, err := netns.New(); err != nil {
		return nil, err
	}
	if err := stock.Sysctls(); err != nil {
		return nil, err
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "peer0"}, PeerName: name, PeerNamespace: netlink.NsFd(home)}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, err
	}
	peer, err := netlink.LinkByName("peer0")
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(peer); err != nil {
		return nil, err
	}
	for _, a := range []string{"169.254.169.254/32", "198.51.100.2/24"} {
		if err := netlink.AddrAdd(peer, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return nil, err
		}
	}
	return net.Listen("tcp", "169.254.169.254:80")
}

func ipNet(s string) *net.IPNet {
	p := netip.MustParsePrefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
