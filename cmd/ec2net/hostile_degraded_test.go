package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ec2net/agent"
	"ec2net/test/lab"
)

// leaseTable is the table of an interface that runs on its lease alone.
func leaseTable(t *testing.T, c *lab.Cloud, iface string) string {
	t.Helper()
	var index int
	if _, err := fmt.Sscanf(ip(t, c, "-o link show dev "+iface), "%d:", &index); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(19000 + index%1000)
}

// The metadata is off or silent from the start, and a lease is there: the interface answers, says that it is
// degraded, and moves to its own table when the metadata speaks, without a packet lost.
func TestDegraded(t *testing.T) {
	t.Parallel()
	forbidden := func(c *lab.Cloud) error { _, err := c.IMDS().Inject(lab.Fault{Status: 403}); return err }
	clear := func(c *lab.Cloud) error { c.IMDS().Clear(); return nil }
	for _, tt := range []struct {
		name    string
		off, on func(*lab.Cloud) error
		from    time.Duration // until it answers, at the least
	}{
		{"403", forbidden, clear, 0},
		{"refused", func(c *lab.Cloud) error { return c.IMDS().Refuse() }, func(c *lab.Cloud) error { return c.IMDS().Resume() }, agent.Silence},
		{"silent", func(c *lab.Cloud) error { return c.IMDS().Silence() }, func(c *lab.Cloud) error { return c.IMDS().Resume() }, agent.Silence},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			must(t, c.Assign("eth1", addr("10.0.2.40")))
			must(t, c.AssociateEIP(addr("10.0.2.40"), addr("203.0.113.40")))
			must(t, tt.off(c))
			begun := time.Now()
			k := keep(t, c, "eth1")
			took := time.Since(begun)
			answers(t, c, lab.EIP2)
			if n := len(c.IMDS().Requests(begun)); took < tt.from || (tt.from == 0 && n > 2) {
				t.Errorf("ready after %s, want %s at least, and %d requests", took, tt.from, n)
			}
			t.Logf("ready after %s", took.Round(time.Millisecond))
			table := leaseTable(t, c, "eth1")
			holds(t, ip(t, c, "rule"), "from 10.0.2.37 lookup "+table)
			k.notify.await(t, "STATUS=degraded: 10.0.2.37/24 from its lease alone; waiting for the metadata")
			says(t, statusOf1(t, c, "eth1"), "eth1: degraded: 10.0.2.37/24 from its lease alone")
			says(t, ec2net(t, c, exitOK, "status", "--json"), `"ready": true`)
			session(t, c, "10.0.2.37", lab.EIP2)
			ip(t, c, "rule del lookup "+table) // it is looked after like any other
			answersWithin(t, c, hang, lab.EIP2)

			must(t, tt.on(c))
			answersWithin(t, c, hang, addr("203.0.113.40"))
			k.notify.await(t, "STATUS=10.0.2.37 and 1 more, table 10001, lease until")
			for _, what := range []string{"rule", "route show table all"} {
				if out := ip(t, c, what); strings.Contains(out, table) {
					t.Errorf("something of table %s is left:\n%s", table, out)
				}
			}
			k.logsTimes(t, "degraded", 2) // when it begins and when it ends
		})
	}
}

// An interface that runs on its lease alone, and another host that turns out to have the address: it is declined
// and taken off, with all that hung on it, and the next lease is used. When the metadata says that the address
// is the interface's after all, that is believed.
func TestDegradedConflict(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	heal := spoil(t, c, lab.Fault{Status: 403})
	begun := time.Now()
	k := keep(t, c, "eth1")
	table := leaseTable(t, c, "eth1")
	squatter, err := c.Squat("eth1", addr("10.0.2.37")) // within the seconds in which a new address is still probed
	must(t, err)
	eventually(t, hang, "the address is given up", func() bool {
		must(t, squatter.Announce()) // again and again: a conflict that is found later is defended against once
		return addresses(t, c, "eth1") == "" && !lookups(t, c, table)
	})
	if out := ip(t, c, "route show table all"); strings.Contains(out, table) {
		t.Errorf("something of table %s is left:\n%s", table, out)
	}
	k.logs(t, "the lease of 10.0.2.37/24 is lost", "in use by another host, "+squatter.MAC.String())
	k.notify.await(t, "STATUS=waiting for the metadata (")
	if !slices.ContainsFunc(c.DHCP().Messages(begun), func(m lab.DHCPMessage) bool { return m.Type == "DECLINE" }) {
		t.Error("the server was not told")
	}

	spoilDHCP(t, c, lab.DHCPFault{Interface: "eth1", Offer: addr("10.0.2.99")})
	k.notify.await(t, "STATUS=degraded: 10.0.2.99/24 from its lease alone")
	holds(t, ip(t, c, "rule"), "from 10.0.2.99 lookup "+table)
	must(t, squatter.Close())
	heal()
	k.reload(t, c)
	k.notify.await(t, "STATUS=10.0.2.37, table 10001")
	answers(t, c, lab.EIP2)
	if got := addresses(t, c, "eth1"); got != "10.0.2.37" {
		t.Errorf("eth1 has %s", got)
	}
	k.logs(t, "leases 10.0.2.99, which the metadata does not list for this interface")
}

// `up` with the metadata off: the interface answers, and the status says that it is not all.
func TestUpDegraded(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	heal := spoil(t, c, lab.Fault{Status: 403})
	says(t, ec2net(t, c, exitPartial, "up", "eth1"), "partly set up: degraded: 10.0.2.37/24 from its lease alone")
	answers(t, c, lab.EIP2)
	end := session(t, c, "10.0.2.37", lab.EIP2)
	eventually(t, hang, "the interface's own IPv6 address", func() bool { // in the kernel's own time
		return strings.Contains(ip(t, c, "-6 route show table local"), "local fe80::ec:20ff:fe00:101 dev eth1")
	})
	held := world(t, c)
	ec2net(t, c, exitPartial, "up", "eth1") // new, with what the first one left
	unchanged(t, c, held, "a second up")
	heal()
	says(t, ec2net(t, c, exitOK, "up", "eth1"), "ready: 10.0.2.37, table 10001")
	before := world(t, c)
	spoil(t, c, lab.Fault{Status: 403})
	says(t, ec2net(t, c, exitUnavailable, "up", "eth1"), "switched off", "what was set up stays")
	unchanged(t, c, before, "up with the metadata off")

	end()
	conf := write(t, "dhcp = \"off\"\n")
	ec2net(t, c, exitOK, "down", "eth1")
	before = world(t, c)
	says(t, ec2net(t, c, exitUnavailable, "--config", conf, "up", "eth1"), "nothing was changed")
	unchanged(t, c, before, "up without metadata and DHCP")
}

// `up` beside a process that keeps the interface says what `up` alone does: degraded, then ready, then that an address
// was refused, each with its status and without waiting for what does not come.
func TestUpBesideADegradedKeeper(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	heal := spoil(t, c, lab.Fault{Status: 403})
	keep(t, c, "eth1")
	says(t, ec2net(t, c, exitPartial, "up", "eth1"), "manages this interface", "partly set up: degraded: 10.0.2.37/24 from its lease alone")
	heal()
	says(t, ec2net(t, c, exitOK, "up", "eth1"), "ready: 10.0.2.37, table 10001")
	spoil(t, c, lab.Fault{Interface: "eth1", Path: "local-ipv4s", Value: value("10.0.2.37\n192.0.2.9")})
	says(t, ec2net(t, c, exitPartial, "up", "eth1"), "partly set up: 10.0.2.37")
}

// A lease that ends and a DHCP server that is dead take nothing away that the metadata grants.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	shell(t, c.Fabric(), "ip addr add 10.0.2.254/32 dev lo")
	spoilDHCP(t, c, lab.DHCPFault{Lease: 10 * time.Second, Router: addr("10.0.2.254")})
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	session(t, c, "10.0.2.37", lab.EIP2)
	held := world(t, c)
	spoilDHCP(t, c, lab.DHCPFault{Silent: true})
	eventually(t, hang, "the lease ends", func() bool { return strings.Contains(k.log.String(), "the lease of 10.0.2.37/24 is lost") })
	unchanged(t, c, held, "the end of the lease")
	answers(t, c, lab.EIP2)
	tells(t, c, "eth1", "lease ended", "drift       none")
	c.DHCP().Clear()
	eventually(t, hang, "the lease comes back", func() bool { return strings.Count(k.log.String(), "lease of 10.0.2.37/24 from 10.0.2.1") == 2 })
	if n := k.lineCount(); n > 11 {
		t.Errorf("%d log lines:\n%s", n, k.log)
	}
}

// Metadata and lease that disagree: the metadata wins, nothing of the lease is used, and it is said once.
func TestDisagreement(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	spoilDHCP(t, c, lab.DHCPFault{Interface: "eth1", Offer: addr("10.0.2.99"), Router: addr("10.0.2.66"), MTU: 576, Lease: 10 * time.Second})
	k := keep(t, c, "eth1")
	said := func() int {
		return strings.Count(k.log.String(), "which the metadata does not list for this interface")
	}
	eventually(t, hang, "it is said", func() bool { return said() > 0 })
	answers(t, c, lab.EIP2)
	if got := addresses(t, c, "eth1"); got != "10.0.2.37" {
		t.Errorf("eth1 has %s", got)
	}
	if out := ip(t, c, "link show eth1") + ip(t, c, "route show table 10001"); strings.Contains(out, "mtu 576") || strings.Contains(out, "10.0.2.66") {
		t.Errorf("the stranger's MTU or router is used:\n%s", out)
	}
	since := time.Now()
	eventually(t, hang, "it is renewed", func() bool { return len(c.DHCP().Messages(since)) > 1 })
	if said() != 1 {
		t.Errorf("said %d times:\n%s", said(), k.log)
	}
}

// A process that is killed, and started again while the metadata is down, keeps what the kernel holds, on
// the primary interface too, and goes on looking after it.
func TestRestartWithoutMetadata(t *testing.T) {
	t.Parallel()
	for _, off := range []string{"403", "silent"} {
		t.Run(off, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			must(t, c.Assign("eth0", addr("10.0.0.40")))
			must(t, c.Assign("eth1", addr("10.0.2.4")))
			for _, iface := range []string{"eth1", "eth0"} { // beside a second interface the primary has rules too
				k := keep(t, c, iface)
				if iface == "eth1" {
					k.notify.await(t, "lease until")
				}
				must(t, k.Process.Signal(syscall.SIGKILL))
				<-k.ended
			}
			session(t, c, "10.0.2.37", lab.EIP2)
			held, messages := world(t, c), time.Now()
			if off == "403" {
				spoil(t, c, lab.Fault{Status: 403})
			} else {
				must(t, c.IMDS().Silence())
			}
			k0, k1 := start(t, c, "eth0"), start(t, c, "eth1")
			k0.notify.await(t, "; waiting for the metadata")
			k1.notify.await(t, "; waiting for the metadata")
			time.Sleep(agent.Silence/2 + 6*time.Second) // longer than the silence after which an interface without a past is degraded
			unchanged(t, c, held, "a restart without metadata")
			for _, m := range c.DHCP().Messages(messages) {
				if m.Interface == "eth1" && m.Type == "DISCOVER" {
					t.Error("the lease was forgotten: the client began with a DISCOVER")
				}
				if m.Interface == "eth0" {
					t.Errorf("DHCP on the primary interface: %+v", m)
				}
			}
			for _, damage := range []string{"addr del 10.0.2.4/32 dev eth1", "addr del 10.0.0.40/32 dev eth0", "rule flush protocol 236", "route flush table 10001"} {
				ip(t, c, damage)
				restored(t, c, held, damage)
			}
			c.IMDS().Clear()
			must(t, c.IMDS().Resume())
			k0.reload(t, c)
			k1.reload(t, c)
			k0.notify.await(t, "READY=1")
			k1.notify.await(t, "READY=1")
			unchanged(t, c, held, "the metadata's return")
		})
	}
}

func same(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }
