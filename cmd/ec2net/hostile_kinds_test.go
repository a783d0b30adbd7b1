package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/dhcp"
	"ec2net/test/lab"
)

// serverKind is one of the servers that are met in the field. start leases an address to eth1, with T1 of 3 s,
// T2 of 8 s and, where the server can, a lease of 12 s.
type serverKind struct {
	name, ready, mtu string
	start            func(t *testing.T, c *lab.Cloud, port, give string) *server
}

func serverKinds() []serverKind {
	return []serverKind{
		{"dnsmasq", "DHCP, static leases only", "8000", func(t *testing.T, c *lab.Cloud, port, give string) *server {
			return dnsmasq(t, c, port, filepath.Join(t.TempDir(), "leases"), give, "--dhcp-option-force=58,3", "--dhcp-option-force=59,8")
		}},
		{"ISC dhcpd", "Server starting service", "7000", func(t *testing.T, c *lab.Cloud, port, give string) *server {
			return dhcpd(t, c, port, give, 12)
		}},
		{"Kea", "DHCP4_STARTED", "7000", kea},
	}
}

func kea(t *testing.T, c *lab.Cloud, port, give string) *server {
	t.Helper()
	dir := t.TempDir()
	conf := fmt.Sprintf(`{"Dhcp4": {
  "interfaces-config": {"interfaces": [%q], "service-sockets-max-retries": 1000, "service-sockets-retry-wait-time": 20}, "lease-database": {"type": "memfile", "persist": false},
  "valid-lifetime": 12, "renew-timer": 3, "rebind-timer": 8, "authoritative": true,
  "option-data": [{"name": "routers", "data": "10.0.2.1"}, {"name": "interface-mtu", "data": "7000"}],
  "subnet4": [{"id": 1, "subnet": "10.0.2.0/24", "reservations": [{"hw-address": %q, "ip-address": %q}]}],
  "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout", "flush": true}]}]}}`, port, eth1MAC, give)
	file := filepath.Join(dir, "conf")
	must(t, os.WriteFile(file, []byte(conf), 0o644))
	return serve(t, c, "env", "KEA_PIDFILE_DIR="+dir, "KEA_LOCKFILE_DIR=none", "kea-dhcp4", "-c", file)
}

// up starts a server and waits until it serves.
func (k serverKind) up(t *testing.T, c *lab.Cloud, port, give string) *server {
	t.Helper()
	s := k.start(t, c, port, give)
	eventually(t, hang, k.name+" is up", func() bool { return strings.Contains(s.log.String(), k.ready) })
	return s
}

// leaseOf is the lease that an interface's record holds.
func leaseOf(t *testing.T, c *lab.Cloud, iface string) (l dhcp.Lease) {
	t.Helper()
	var list []struct{ Lease *dhcp.Lease }
	must(t, json.Unmarshal([]byte(ec2net(t, c, exitOK, "status", "--json", iface)), &list))
	if len(list) == 1 && list[0].Lease != nil {
		return *list[0].Lease
	}
	return l
}

// Every kind of server against the whole program: it acquires, renews, rebinds with another server, of the kind or of
// another one, when the first has died, is refused, and does not believe what it is given instead. The interface
// answers through all of it, and its session does not notice.
func TestEveryKindOfServer(t *testing.T) {
	t.Parallel()
	kinds := serverKinds()
	for _, tt := range []struct{ kind, next serverKind }{
		{kinds[0], kinds[0]}, {kinds[1], kinds[1]}, {kinds[2], kinds[2]}, {kinds[0], kinds[1]},
	} {
		t.Run(tt.kind.name+" and "+tt.next.name, func(t *testing.T) {
			t.Parallel()
			kind := tt.kind
			c := hostile(t, lab.Config{})
			must(t, c.DHCP().Stop())
			const port = "p1"
			at(t, c, port, "10.0.2.253", "")
			first := kind.up(t, c, port, "10.0.2.37")
			k := keep(t, c, "eth1")
			k.notify.await(t, "lease until")
			rebinds := broadcasts(t, c)
			answers(t, c, lab.EIP2)
			session(t, c, "10.0.2.37", lab.EIP2)
			eventually(t, hang, "the lease's MTU", func() bool { return mtu(t, c) == kind.mtu })
			l := leaseOf(t, c, "eth1")
			if l.Addr.String() != "10.0.2.37/24" || l.Router != addr("10.0.2.1") || l.Renew != 3*time.Second || l.Rebind != 8*time.Second || l.MTU < 7000 {
				t.Errorf("lease %+v", l)
			}
			renewed(t, rebinds, func() any { return leaseOf(t, c, "eth1").Start })

			before := k.lineCount()
			first.kill()
			at(t, c, port, "10.0.2.254", "10.0.2.253") // so that only a broadcast finds the second
			second := tt.next.up(t, c, port, "10.0.2.37")
			eventually(t, hang, "rebound", func() bool { return leaseOf(t, c, "eth1").Server == addr("10.0.2.254") })
			eventually(t, hang, "the other server's MTU", func() bool { return mtu(t, c) == tt.next.mtu })
			answers(t, c, lab.EIP2)
			if n := k.lineCount() - before; n > 3 {
				t.Errorf("%d log lines for one server that died:\n%s", n, k.log)
			}
			renewed(t, rebinds, func() any { return leaseOf(t, c, "eth1").Start })
			if n := k.lineCount(); n > 6 {
				t.Errorf("%d log lines:\n%s", n, k.log)
			}

			second.kill()
			tt.next.up(t, c, port, "10.0.2.99")
			eventually(t, hang, "refused", func() bool { return strings.Contains(k.log.String(), dhcp.ErrNak.Error()) })
			eventually(t, hang, "and the other address not believed", func() bool {
				return strings.Contains(k.log.String(), "leases 10.0.2.99, which the metadata does not list for this interface")
			})
			if got := addresses(t, c, "eth1"); got != "10.0.2.37" {
				t.Errorf("eth1 has %s", got)
			}
			answers(t, c, lab.EIP2)
		})
	}
}

// broadcasts counts the requests of eth1 by which it asked anybody for more time of its lease, and not its server alone.
func broadcasts(t *testing.T, c *lab.Cloud) func() int {
	t.Helper()
	wire, err := c.Capture("eth1")
	must(t, err)
	t.Cleanup(func() { must(t, wire.Close()) })
	return func() int {
		return len(wire.Packets(lab.FromInterface, lab.Proto(unix.IPPROTO_UDP), lab.From(addr("10.0.2.37")), lab.To(addr("255.255.255.255"))))
	}
}

// renewed waits until a lease has been given more time by the server that gave it, asked alone. A machine that is so
// busy that it comes to that only when anybody is asked comes to it the next time.
func renewed(t *testing.T, rebinds func() int, term func() any) {
	t.Helper()
	last, before := term(), rebinds()
	eventually(t, hang, "renewed", func() bool {
		now := term()
		if now == last {
			return false
		}
		alone := rebinds() == before
		last, before = now, rebinds()
		return alone
	})
}

// at gives the servers' end of a cable an address, and takes the one before it away: in this order, because the
// kernel drops the fabric's routes with the last one.
func at(t *testing.T, c *lab.Cloud, port, address, before string) {
	t.Helper()
	old := ""
	if before != "" {
		old = " && ip addr del " + before + "/24 dev " + port
	}
	must(t, c.Fabric().Sysctl("net/ipv4/conf/"+port+"/promote_secondaries", "1"))
	shell(t, c.Fabric(), "ip addr add "+address+"/24 dev "+port+" noprefixroute"+old)
}
