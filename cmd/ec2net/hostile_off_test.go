package main

import (
	"net/netip"
	"testing"
	"time"

	"ec2net/test/lab"
)

// life is when a server is there: in the first, second and third part of a test.
type life struct {
	name string
	up   [3]bool
}

// Both servers, off in each way, in all nine combinations: as soon as one of them has named the interface's
// address, the interface answers, and goes on answering.
func TestServersComeAndGo(t *testing.T) {
	t.Parallel()
	lives := []life{
		{"off from the start", [3]bool{false, false, false}},
		{"off later", [3]bool{true, false, false}},
		{"back again", [3]bool{false, false, true}},
	}
	for _, cloudy := range lives {
		for _, leased := range lives {
			t.Run("metadata "+cloudy.name+", DHCP "+leased.name, func(t *testing.T) {
				t.Parallel()
				comeAndGo(t, cloudy, leased, ours)
			})
			t.Run("metadata "+cloudy.name+", DHCP "+leased.name+", by dhclient", func(t *testing.T) {
				t.Parallel()
				comeAndGo(t, cloudy, leased, dhclientOn)
			})
		}
	}
}

// ours is an interface whose lease nobody else has.
func ours(*testing.T, *lab.Cloud, string) (kill func()) { return func() {} }

// comeAndGo wants an answer once one server came: DHCP is asked again after 16 s at most, and metadata that is back after
// having been off by a reload. Without that it takes half a minute, which is TestDegraded's.
func comeAndGo(t *testing.T, cloudy, leased life, owner func(*testing.T, *lab.Cloud, string) func()) {
	c := hostile(t, lab.Config{})
	spoilDHCP(t, c, lab.DHCPFault{Lease: 10 * time.Second})                        // it ends within the test
	lengths := [3]time.Duration{4 * time.Second, 9 * time.Second, 4 * time.Second} // a lease of the first part ends in the others
	k, named := (*kept)(nil), false
	for part := range 3 {
		off := setServers(t, c, cloudy.up[part], leased.up[part])
		if k == nil {
			owner(t, c, "eth1")
			k = startAs(t, c, quick(), "eth1", nil)
		} else if cloudy.up[part] && !cloudy.up[part-1] {
			must(t, k.Process.Signal(syscallHUP))
		}
		named = named || cloudy.up[part] || leased.up[part]
		if !named {
			time.Sleep(2 * time.Second)
			silent(t, c, lab.EIP2)
			k.notify.await(t, "STATUS=waiting for the metadata (")
		} else {
			answersWithin(t, c, 2*hang, lab.EIP2)
			staysUp(t, c, lengths[part], lab.EIP2)
		}
		off()
	}
	if cloudy.up[2] {
		eventually(t, 2*hang, "the interface is in its own table", func() bool {
			return lookups(t, c, "10001")
		})
	}
}

// setServers makes both servers there or not, and returns what undoes it.
func setServers(t *testing.T, c *lab.Cloud, cloudy, leased bool) (undo func()) {
	t.Helper()
	var undos []func()
	if !cloudy {
		undos = append(undos, spoil(t, c, lab.Fault{Status: 403}))
	}
	if !leased {
		undos = append(undos, spoilDHCP(t, c, lab.DHCPFault{Silent: true}))
	}
	return func() {
		for _, u := range undos {
			u()
		}
	}
}

// staysUp wants every one of the echo requests of some seconds to be answered.
func staysUp(t *testing.T, c *lab.Cloud, length time.Duration, dst netip.Addr) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < length; time.Sleep(100 * time.Millisecond) {
		if _, err := c.Client().Ping(t.Context(), dst, single); err != nil {
			t.Errorf("after %s: %v", time.Since(begun).Round(time.Millisecond), err)
			return
		}
	}
}

func lookups(t *testing.T, c *lab.Cloud, table string) bool {
	t.Helper()
	out, _ := on(t, c, "ip", "rule", "list", "lookup", table)
	return out != ""
}
