package labtest

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"ec2net/metadata"
	"ec2net/test/lab"
)

// Nth is the nth interface of a machine that boots, with an address and an elastic IP. Its MAC is one that a .link
// file can name, or that a slot of the PCI bus gets.
func Nth(n byte, mac metadata.MAC, a netip.Addr) lab.Interface {
	eip := netip.AddrFrom4([4]byte{203, 0, 113, 165 + n})
	return lab.Interface{Name: fmt.Sprintf("eth%d", n), MAC: mac, Addrs4: []netip.Addr{a}, EIPs: map[netip.Addr]netip.Addr{a: eip}}
}

// EIP is the elastic IP of an interface that has one.
func EIP(c lab.Interface) (a netip.Addr) {
	for _, a = range c.EIPs {
	}
	return a
}

// Answers waits until an address answers a host, asked again and again, and returns how long that took. The test ends
// where the address does not answer within the limit.
func Answers(t testing.TB, from *lab.Node, a netip.Addr, each, limit time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if _, err := from.Ping(ctx, a, lab.Ping{Tries: 100000, Timeout: each}); err != nil {
		t.Fatalf("after %s: %v", limit, err)
	}
	return time.Since(began)
}
