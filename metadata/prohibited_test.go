package metadata

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// A route of the type prohibit is no silence: the kernel refuses each request, to root too, and asking on is pointless
// until somebody takes the route away.
func TestProhibited(t *testing.T) {
	if !inNetns(t) {
		return
	}
	setUp(t, "lo")
	lock := func(cidr string) *netlink.Route {
		_, dst, err := net.ParseCIDR(cidr)
		must(t, err)
		r := &netlink.Route{Dst: dst, Type: syscall.RTN_PROHIBIT}
		must(t, netlink.RouteAdd(r))
		return r
	}
	read := func() error {
		s, err := NewEC2(EC2Options{})
		must(t, err)
		defer s.Close()
		_, err = s.Read(t.Context(), secondMAC)
		return err
	}
	forbidden := func(what string) {
		t.Helper()
		err := read()
		if !errors.Is(err, ErrProhibited) || errors.Is(err, ErrUnavailable) || !Closed(err) || Backoff(0, err, 0) < 20*time.Second {
			t.Errorf("%s: %v, and once more after %s", what, err, Backoff(0, err, 0))
		}
	}
	if err := read(); !errors.Is(err, ErrUnavailable) || Closed(err) {
		t.Errorf("without a route: %v", err)
	}
	six := lock("fd00:ec2::254/128")
	forbidden("IPv6 alone has a route, and that one forbids it")
	four := lock("169.254.169.254/32")
	forbidden("both")
	must(t, netlink.RouteDel(six))
	forbidden("IPv4")
	must(t, netlink.RouteDel(four))
	setUp(t, "lo", "169.254.169.254/32")
	newFakeOn(t, "plain", "169.254.169.254:80")
	must(t, read())
}
