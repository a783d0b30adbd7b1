//go:build system

package system

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// server is one on the internet that the route table of the first interface's subnet leads to the machine for.
var server = netip.MustParseAddr("192.0.2.9")

// neighbour adds a host beside the first interface, whose way to the server is the machine.
func (m *machine) neighbour() *lab.Node {
	m.t.Helper()
	peer, err := m.cloud.AddPeer("test", netip.MustParseAddr("10.0.0.200"))
	if err == nil {
		err = m.cloud.AddRoute(lab.Route{Subnet: "subnet-a", Prefix: netip.PrefixFrom(server, 32), NextHop: netip.MustParseAddr("10.0.0.29")})
	}
	if err == nil {
		err = m.cloud.Client().Command(context.Background(), "ip", "addr", "add", server.String(), "dev", "lo").Run()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return peer
}

// passes waits until the host reaches the server, by ens6 and under its address.
func (m *machine) passes(peer *lab.Node) {
	m.t.Helper()
	wire, err := m.cloud.Capture("eth1")
	if err != nil {
		m.t.Fatal(err)
	}
	defer wire.Close()
	m.until(hang, said("the host beside eth0 reaches the internet by ens6"), func() bool {
		_, err := peer.Ping(context.Background(), server, lab.Ping{Timeout: 200 * time.Millisecond})
		return err == nil && len(wire.Packets(lab.FromInterface, lab.To(server), lab.From(second().Addrs4[0]))) > 0
	})
	if n := len(wire.Packets(lab.FromInterface, lab.To(server), lab.From(netip.MustParseAddr("10.0.0.200")))); n > 0 {
		m.t.Errorf("%d packets left untranslated", n)
	}
	m.until(hang, said("the machine's own traffic leaves by ens6"), func() bool {
		return strings.Contains(m.run("ip", "route", "get", lab.ClientIP.String()), " dev ens6 ")
	})
}

// The unit's sandbox allows what [egress] and [nat] need: rules, an nftables table, forwarding, questions to the
// gateway. The file makes them permanent. Restarts and kills are not felt, by the first interface's connection neither.
func TestEgressAndNAT(t *testing.T) {
	first, out := lab.Eth0(), second()
	first.Forwarding, out.Forwarding = true, true
	inTurn(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, cloud: lab.Config{Interfaces: []lab.Interface{first}, RPFilter: 1}, files: with(renamed(out), map[string]string{
			"/etc/ec2net/ec2net.toml": "[egress]\ninterface = \"ens6\"\n[nat]\nfrom = [\"10.0.0.128/25\"]\nout = \"ens6\"\n",
		})})
		peer := m.neighbour()
		m.plug(out)
		m.active("ens6")
		m.active("eth0")
		m.passes(peer)
		tr := m.talk(lab.EIP1, 7001)
		for _, unit := range []string{"ec2net-ifup@ens6.service", "ec2net-ifup@eth0.service"} {
			m.run("systemctl", "restart", unit)
			m.run("systemctl", "kill", "--signal=KILL", unit)
			m.until(hang, said(unit+" is started again"), func() bool { return m.unit(unit, "SubState") == "running" })
		}
		m.passes(peer)
		m.calm("restarts", tr)
		tr.end()
		if status := m.run("/usr/sbin/ec2net", "status"); !strings.Contains(status, "IPv4 by this interface") || !strings.Contains(status, "10.0.0.128/25 from eth0 leaves by this interface") {
			t.Errorf("status:\n%s", status)
		}
		m.healthy()

		m.reboot(first, out)
		m.passes(m.neighbour())
		m.answers(lab.EIP1, hang)
		m.healthy()
	})
}
