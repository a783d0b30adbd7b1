package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ec2net/test/lab"
)

// server is a DHCP server that nobody here wrote, on the fabric's end of eth1's cable.
type server struct {
	*lab.Cmd
	log  *lab.Log
	done chan struct{}
}

// withoutLabDHCP is a cloud whose own DHCP server is gone, and the name of the fabric's port of eth1, with an
// address that another server can be started on.
func withoutLabDHCP(t *testing.T) (c *lab.Cloud, port string) {
	t.Helper()
	c = hostile(t, lab.Config{})
	must(t, c.DHCP().Stop())
	port = "p1"
	shell(t, c.Fabric(), "ip addr add 10.0.2.1/24 dev p1 noprefixroute")
	return c, port
}

func serve(t *testing.T, c *lab.Cloud, name string, args ...string) *server {
	t.Helper()
	s := &server{Cmd: c.Fabric().Command(t.Context(), name, args...), log: &lab.Log{}, done: make(chan struct{})}
	s.Stdout, s.Stderr = s.log, s.log
	must(t, s.Start())
	go func() { _ = s.Wait(); close(s.done) }()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", name, s.log)
		}
	})
	return s
}

func (s *server) kill() {
	_ = s.Process.Signal(syscall.SIGKILL)
	<-s.done
}

const eth1MAC = "02:ec:20:00:01:01"

// dnsmasq leases one address to eth1, for two minutes, which is the least that it can.
func dnsmasq(t *testing.T, c *lab.Cloud, port, leases string, give string, more ...string) *server {
	t.Helper()
	return serve(t, c, "dnsmasq", append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0", "--user=root", "--log-facility=-", "--log-dhcp",
		"--interface=" + port, "--bind-interfaces", "--no-ping", "--dhcp-authoritative", "--dhcp-range=10.0.2.0,static,255.255.255.0",
		"--dhcp-host=" + eth1MAC + "," + give + ",2m", "--dhcp-option=3,10.0.2.1", "--dhcp-option-force=26,8000",
		"--dhcp-leasefile=" + leases, "--pid-file=" + leases + ".pid",
	}, more...)...)
}

// dhcpd is ISC's server.
func dhcpd(t *testing.T, c *lab.Cloud, port, give string, lease int) *server {
	t.Helper()
	dir := t.TempDir()
	timers := "option dhcp-renewal-time 3; option dhcp-rebinding-time 8;"
	if lease != 12 {
		timers = ""
	}
	conf := fmt.Sprintf(`authoritative; default-lease-time %d; max-lease-time %d; min-lease-time %d;
subnet 10.0.2.0 netmask 255.255.255.0 { option routers 10.0.2.1; option interface-mtu 7000; %s }
host eth1 { hardware ethernet %s; fixed-address %s; }
`, lease, lease, lease, timers, eth1MAC, give)
	must(t, os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "leases"), nil, 0o644))
	return serve(t, c, "dhcpd", "-4", "-f", "-d", "--no-pid", "-cf", filepath.Join(dir, "conf"), "-lf", filepath.Join(dir, "leases"), port)
}

func mtu(t *testing.T, c *lab.Cloud) string {
	t.Helper()
	return wordAfter(ip(t, c, "-o link show eth1"), " mtu ")
}

// Without metadata, a real server's lease is enough.
func TestDegradedByDhcpd(t *testing.T) {
	t.Parallel()
	c, port := withoutLabDHCP(t)
	spoil(t, c, lab.Fault{Status: 403})
	s := dhcpd(t, c, port, "10.0.2.37", 12)
	eventually(t, hang, "dhcpd is up", func() bool { return strings.Contains(s.log.String(), "Sending on") })
	k := keep(t, c, "eth1")
	k.notify.await(t, "STATUS=degraded: 10.0.2.37/24")
	answers(t, c, lab.EIP2)
	session(t, c, "10.0.2.37", lab.EIP2)
	s.kill()
	eventually(t, hang, "the lease ends", func() bool { return strings.Contains(k.log.String(), "is lost") })
	answers(t, c, lab.EIP2)
}
