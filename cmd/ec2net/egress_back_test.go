package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/agent"
	"ec2net/test/lab"
)

// rollBack ends a hang. Traffic is taken back within 10 s, as the README says, on a machine that has nothing else to do;
// the tests log how long it took.
const rollBack = hang

// Whatever happens to the interface that traffic leaves by, it is taken back within the documented time, goes to
// the next candidate, and comes back once the interface works again; the operator's session goes on.
func TestEgressTakenBack(t *testing.T) {
	t.Parallel()
	port := func(t *testing.T, c *lab.Cloud, commands ...string) {
		t.Helper()
		shell(t, c.Fabric(), commands...)
	}
	for _, tt := range []struct {
		name        string
		break_, fix func(t *testing.T, c *lab.Cloud)
		says        string
	}{
		{"unplugged", func(t *testing.T, c *lab.Cloud) { must(t, c.Detach("eth2")) }, nil, ""},
		{"no carrier", func(t *testing.T, c *lab.Cloud) { port(t, c, "ip link set p1 down") }, nil, "withdrawn from this interface: its link is down"},
		{"gateway dead", func(t *testing.T, c *lab.Cloud) {
			port(t, c, "nft add table netdev dead", "nft 'add chain netdev dead in { type filter hook ingress device p1 priority 0; policy drop; }'")
		}, func(t *testing.T, c *lab.Cloud) { port(t, c, "nft delete table netdev dead") }, "does not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := egressLab{egressCloud(t), write(t, "[egress]\ninterface = [\"eth2\", \"eth3\"]\n")}
			l.keep(t, "eth0")
			k3, k2 := l.keep(t, "eth3"), l.keep(t, "eth2")
			leads(t, l.Cloud, hang, "10001")
			begun := time.Now()
			busy := l.Instance().Command(t.Context(), "ping", "-q", "-i", "0.05", lab.ClientIP.String()) // the kernel never rests from asking
			must(t, busy.Start())
			defer func() { must(t, busy.Process.Kill()); _ = busy.Wait() }()
			tt.break_(t, l.Cloud)
			leads(t, l.Cloud, rollBack, "10002")
			t.Logf("taken over after %s", time.Since(begun).Round(time.Millisecond))
			for _, dst := range []netip.Addr{lab.ClientIP, lab.ClientIP6} {
				if got := leavesBy(t, l.Cloud, dst); got != "eth3" {
					t.Errorf("to %s traffic leaves by %s", dst, got)
				}
			}
			byPrimary(t, l.Cloud)
			if tt.says == "" {
				k2.end(t)
			}
			k2.logs(t, tt.says)
			if tt.fix == nil {
				return
			}
			tt.fix(t, l.Cloud)
			leads(t, l.Cloud, hang, "10001")
			if n := k2.lineCount() + k3.lineCount(); n > 30 {
				t.Errorf("%d log lines:\n%s\n%s", n, k2.log, k3.log)
			}
		})
	}
}

// Traffic is moved only where the metadata answers, and moved back when it does not answer afterwards. What
// the primary interface needs for its own connections is not there, or vanishes: traffic is not moved, or moved back.
func TestEgressProved(t *testing.T) {
	t.Parallel()
	l := egressLab{egressCloud(t), write(t, "[egress]\ninterface = \"eth2\"\n")}
	l.ec2net(t, exitOK, "up", "eth0") // its rules are there, and nobody keeps them
	ip(t, l.Cloud, "rule del pref 30000")
	k := l.keep(t, "eth2")
	leads6 := func() bool { return ways(t, l.Cloud) == "10001" } // what IPv6 needs is there
	eventually(t, hang, "IPv6", leads6)
	l.tells(t, "eth2", "IPv4 not by this interface: the primary interface eth0: its own rules are not set up yet: no rule from all to 169.254.169.254 lookup 10000")

	must(t, l.IMDS().Silence())
	begun := time.Now()
	ip(t, l.Cloud, "rule add to 169.254.169.254 lookup 10000 pref 30000 protocol 236")
	leads(t, l.Cloud, hang, "10001")
	eventually(t, rollBack, "IPv4 is taken back", leads6)
	t.Logf("taken back after %s", time.Since(begun).Round(time.Millisecond))
	k.logs(t, "egress IPv4: the host's own traffic was withdrawn from this interface: the metadata did not answer within 7s")
	must(t, l.IMDS().Resume())
	leads(t, l.Cloud, hang, "10001")
	l.settled(t, "eth0", "eth2")

	held := world(t, l.Cloud)
	says(t, l.ec2net(t, exitFailed, "down", "eth0"), "the connection of 10.0.0.29:22 with") // it would be cut
	restored(t, l.Cloud, held, "down of the primary interface")                             // what it had let go of may have had traffic taken back
	ip(t, l.Cloud, "rule del pref 20000")
	ip(t, l.Cloud, "-6 rule del pref 20000")
	took := leadsNowhere(t, l.Cloud, rollBack)
	t.Logf("the primary interface's rules are gone: taken back after %s", took.Round(time.Millisecond))
	l.tells(t, "eth2", "withdrawn: the primary interface eth0: its own rules are not set up yet: no rule from 10.0.0.29")
}

// While another change of the interface is undone, traffic is taken back all the same, and it comes back.
func TestEgressTakenBackWhileUndone(t *testing.T) {
	t.Parallel()
	l := egressLab{egressCloud(t), write(t, soon+"[egress]\ninterface = \"eth2\"\n")}
	l.keep(t, "eth0")
	k := l.keep(t, "eth2")
	leads(t, l.Cloud, hang, "10001")
	speak := idle(t, l.Cloud, "10.0.2.200", "10.0.0.29")
	heal := spoil(t, l.Cloud, lab.Fault{Interface: "eth2", Path: "local-ipv4s", Value: value("10.0.2.37\n10.0.2.200")})
	k.reload(t, l.Cloud)
	k.notify.await(t, "STATUS=rolled back, because the connection of 10.0.0.29:2222 with 10.0.2.200")
	leads(t, l.Cloud, 0, "10001")

	shell(t, l.Fabric(), "nft add table netdev dead", "nft 'add chain netdev dead in { type filter hook ingress device p1 priority 0; policy drop; }'")
	took := leadsNowhere(t, l.Cloud, rollBack)
	t.Logf("taken back after %s", took.Round(time.Millisecond))
	l.tells(t, "eth2", "withdrawn: its gateway")
	speak()
	shell(t, l.Fabric(), "nft delete table netdev dead")
	heal()
	k.reload(t, l.Cloud)
	leads(t, l.Cloud, hang, "10001")
}

// A connection with an address that no interface has goes where the host's own traffic goes. It is no reason to leave
// that with a dead gateway.
func TestEgressTakenBackFromAConnection(t *testing.T) {
	t.Parallel()
	l := egressLab{egressCloud(t), write(t, "[egress]\ninterface = \"eth2\"\n")}
	must(t, l.Detach("eth3"))
	must(t, l.Forward("eth2", true))
	must(t, l.AddRoute(lab.Route{Subnet: "subnet-c", Prefix: netip.MustParsePrefix("10.99.0.1/32"), NextHop: addr("10.0.2.37")}))
	ip(t, l.Cloud, "addr add 10.99.0.1/32 dev lo")
	l.keep(t, "eth0")
	k := l.keep(t, "eth2")
	leads(t, l.Cloud, hang, "10001")
	idle(t, l.Cloud, "10.0.3.200", "10.99.0.1")()
	shell(t, l.Fabric(), "nft add table netdev dead", "nft 'add chain netdev dead in { type filter hook ingress device p1 priority 0; policy drop; }'")
	leadsNowhere(t, l.Cloud, rollBack)
	if log := k.log.String(); strings.Contains(log, "rolled back") {
		t.Errorf("a false alarm:\n%s", log)
	}
}

// A folder of records that somebody deletes is no reason to take traffic back: the kernel has the primary interface's
// rules.
func TestEgressWithoutRecords(t *testing.T) {
	t.Parallel()
	l := egressLab{egressCloud(t), write(t, "[egress]\ninterface = \"eth2\"\n")}
	k0, k := l.keep(t, "eth0"), l.keep(t, "eth2")
	leads(t, l.Cloud, hang, "10001")
	k0.stop(t) // nobody makes its record anew
	shell(t, l.Instance(), "rm -r /run/ec2net")
	k.reload(t, l.Cloud, "local-ipv4s")
	for begun := time.Now(); time.Since(begun) < 3*agent.PrimaryGrace; time.Sleep(50 * time.Millisecond) {
		leads(t, l.Cloud, 0, "10001")
	}
	ip(t, l.Cloud, "rule del pref 20000")
	ip(t, l.Cloud, "-6 rule del pref 20000")
	leadsNowhere(t, l.Cloud, rollBack)
	k.logs(t, "the primary interface eth0: its own rules are not set up yet")
}
