package main

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/agent"
	"ec2net/test/lab"
)

// Two interfaces that traffic may leave by, each with elastic IPs, so that the client sees which one it was.
var (
	egressEIP2 = netip.MustParseAddr("203.0.113.2")
	egressEIP3 = netip.MustParseAddr("203.0.113.3")
)

// leavesBy sends a datagram from an unbound socket to the client, and says by which interface it left.
func leavesBy(t *testing.T, c *lab.Cloud, dst netip.Addr) string {
	t.Helper()
	dev := wordAfter(ip(t, c, "route get "+dst.String()), " dev ")
	capture, err := c.Capture(dev)
	must(t, err)
	defer capture.Close()
	conn, err := c.Instance().Dial(t.Context(), "udp", netip.AddrPortFrom(dst, 9).String())
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("x"))
	must(t, err)
	_, err = capture.Wait(t.Context(), lab.FromInterface, lab.Proto(unix.IPPROTO_UDP), lab.To(dst))
	must(t, err)
	return dev
}

// ways are the tables that the rules of egress lead to, in their order, of both families.
func ways(t *testing.T, c *lab.Cloud) string {
	t.Helper()
	var out []string
	for _, family := range []string{"-4 ", "-6 "} {
		for line := range strings.Lines(ip(t, c, family+"rule")) {
			if strings.HasPrefix(line, "302") {
				out = append(out, strings.Fields(line)[4])
			}
		}
	}
	return strings.Join(out, " ")
}

// leads waits until both families leave by the table, and by it alone.
func leads(t *testing.T, c *lab.Cloud, limit time.Duration, table string) time.Duration {
	t.Helper()
	return eventually(t, limit, "the host's own traffic by table "+table, func() bool { return ways(t, c) == table+" "+table })
}

func leadsNowhere(t *testing.T, c *lab.Cloud, limit time.Duration) time.Duration {
	t.Helper()
	return eventually(t, limit, "the host's own traffic by the primary interface", func() bool { return ways(t, c) == "" })
}

// kept starts the keepers of interfaces with a configuration.
func (l egressLab) keep(t *testing.T, iface string) *kept {
	t.Helper()
	k := startWith(t, l.Cloud, iface, []string{"--config", l.conf})
	k.notify.await(t, "READY=1")
	return k
}

// egressLab is a cloud and a configuration.
type egressLab struct {
	*lab.Cloud
	conf string
}

func (l egressLab) tells(t *testing.T, name string, words ...string) {
	t.Helper()
	tellsBy(t, l.Cloud, []string{"--config", l.conf}, name, words...)
}

func (l egressLab) settled(t *testing.T, names ...string) {
	t.Helper()
	settled(t, l.Cloud, names, "--config", l.conf)
}

func (l egressLab) ec2net(t *testing.T, status int, args ...string) string {
	t.Helper()
	return ec2net(t, l.Cloud, status, append([]string{"--config", l.conf}, args...)...)
}

// The host's own traffic leaves by the interface, in both families, and everything else stays as it was: what
// comes in by an interface is answered by it, the primary's session goes on, the metadata is asked by the primary.
// A restart, by a kill too, changes nothing; down leaves nothing.
func TestEgress(t *testing.T) {
	t.Parallel()
	l := egressLab{egressCloud(t), write(t, "[egress]\ninterface = \"eth2\"\n")}
	before := world(t, l.Cloud)
	k2 := l.keep(t, "eth2")
	if got := leavesBy(t, l.Cloud, lab.ClientIP); got != "eth0" {
		t.Errorf("before the primary interface has rules, traffic leaves by %s", got)
	}
	l.tells(t, "eth2", "not by this interface: nobody has set up the primary interface")
	k0 := l.keep(t, "eth0")
	leads(t, l.Cloud, hang, "10001")
	k2.notify.await(t, "lease until")
	l.settled(t, "eth0", "eth2")
	main := ip(t, l.Cloud, "route") + ip(t, l.Cloud, "-6 route")
	for _, dst := range []netip.Addr{lab.ClientIP, lab.ClientIP6} {
		if got := leavesBy(t, l.Cloud, dst); got != "eth2" {
			t.Errorf("to %s traffic leaves by %s", dst, got)
		}
	}
	for _, eip := range []netip.Addr{lab.EIP1, egressEIP2} {
		answers(t, l.Cloud, eip)
	}
	byPrimary(t, l.Cloud)
	l.tells(t, "eth2", "egress      IPv4 and IPv6 by this interface")
	if out := l.ec2net(t, exitOK, "plan", "eth2") + l.ec2net(t, exitOK, "plan", "eth0"); out != "" {
		t.Errorf("plan:\n%s", out)
	}
	k2.logsTimes(t, "now leaves by this interface", 2) // once for each family

	held, quiet := world(t, l.Cloud), silently(t, l.Cloud)
	for _, k := range []*kept{k2, k0} {
		must(t, k.Process.Kill())
		<-k.ended
	}
	k0, k2 = l.keep(t, "eth0"), l.keep(t, "eth2")
	quiet("killed and started again")
	unchanged(t, l.Cloud, held, "killed and started again")
	for _, damage := range []string{"rule del pref 30200", "rule del pref 30100"} { // one of both families, and of several
		ip(t, l.Cloud, damage)
		took := restored(t, l.Cloud, held, damage)
		if log := k2.log.String(); took < agent.PrimaryGrace && strings.Contains(log, "withdrawn") {
			t.Errorf("%s, put right within %s: traffic was taken back\n%s", damage, took, log)
		}
	}
	if now := ip(t, l.Cloud, "route") + ip(t, l.Cloud, "-6 route"); now != main {
		t.Errorf("main was touched:\n%s", now)
	}

	k2.stop(t)
	k0.stop(t)
	l.ec2net(t, exitOK, "down", "eth2")
	l.ec2net(t, exitOK, "down", "eth0")
	unchanged(t, l.Cloud, before, "down")
}

// byPrimary wants new connections to the metadata by the primary interface, on the wire.
func byPrimary(t *testing.T, c *lab.Cloud) {
	t.Helper()
	for _, server := range []string{"169.254.169.254", "fd00:ec2::254"} {
		capture, err := c.Capture("eth0")
		must(t, err)
		conn, err := c.Instance().Dial(t.Context(), "tcp", netip.AddrPortFrom(addr(server), 80).String())
		must(t, err)
		conn.Close()
		_, err = capture.Wait(t.Context(), lab.FromInterface, lab.Proto(unix.IPPROTO_TCP), lab.To(addr(server)))
		if err := errors.Join(err, capture.Close()); err != nil {
			t.Errorf("the metadata on %s is not reached by the primary interface: %v", server, err)
		}
	}
}

// Names that can not be meant are refused with the place and the reason; the interfaces are set up all the same.
func TestEgressMisnamed(t *testing.T) {
	t.Parallel()
	c := egressCloud(t)
	for _, tt := range []struct{ toml, says string }{
		{"[egress]\ninterface = \"eth9\"\n", ":2:13: [egress] there is no network interface eth9 here"},
		{"[egress]\ninterface = \"eth3\"\n[[interface]]\nname = \"eth3\"\nmanage = false\n", ":2:13: [egress] eth3 is not managed, so traffic cannot leave by it"},
		{"[egress]\ninterface = [\"eth0\", \"eth2\"]\n", ":2:22: [egress] eth2 is never used: it is listed after eth0, the primary interface"},
	} {
		l := egressLab{c, write(t, tt.toml)}
		l.ec2net(t, exitOK, "up", "eth0")
		for _, command := range []string{"up", "plan"} {
			says(t, l.ec2net(t, exitOK, command, "eth2"), l.conf+tt.says)
		}
		says(t, l.ec2net(t, exitOK, "status"), l.conf+tt.says)
		answers(t, c, egressEIP2)
		if got := ways(t, c); got != "" {
			t.Errorf("%s: traffic by table %s", tt.toml, got)
		}
	}
	l := egressLab{c, write(t, "[egress]\ninterface = [\"eth2\", \"eth0\"]\n")}
	says(t, l.ec2net(t, exitOK, "up", "eth2"), "+ rule from all lookup 10001 pref 30200", "egress: IPv4 and IPv6 by this interface")
	says(t, l.ec2net(t, exitOK, "status", "eth0"), "egress")
	l = egressLab{c, write(t, "")}
	says(t, l.ec2net(t, exitOK, "up", "eth2"), "- rule from all lookup 10001 pref 30200") // switched off again
}

// Without the primary interface's rules `up` does the rest, and says so by its exit status.
func TestEgressUpAlone(t *testing.T) {
	t.Parallel()
	l := egressLab{egressCloud(t), write(t, "[egress]\ninterface = \"eth2\"\n")}
	says(t, l.ec2net(t, exitDifferences, "plan", "eth2"), "nobody has set up the primary interface", "+ rule from 10.0.2.37")
	says(t, l.ec2net(t, exitPartial, "up", "eth2"), "egress IPv4: the host's own traffic does not leave by this interface: nobody has set up the primary interface",
		"partly set up: 10.0.2.37 and 1 more, table 10001")
	answers(t, l.Cloud, egressEIP2)
	l.ec2net(t, exitOK, "up", "eth0")
	says(t, l.ec2net(t, exitDifferences, "plan", "eth2"), "+ rule from all lookup 10001 pref 30200")
	spoil(t, l.Cloud, lab.Fault{Path: "**", Delay: 300 * time.Millisecond})
	if out := l.ec2net(t, exitOK, "up", "eth2"); strings.Contains(out, "warning") {
		t.Errorf("nothing is wrong:\n%s", out) // that the metadata has yet to be asked is no trouble
	}
	leads(t, l.Cloud, 0, "10001")
}

// Keepers that do not agree on the order, because the file was changed between their starts, agree all the same:
// what the kernel holds decides, one interface has it, and nothing goes to and fro.
func TestEgressDisagreement(t *testing.T) {
	t.Parallel()
	c := egressCloud(t)
	one := egressLab{c, write(t, "[egress]\ninterface = [\"eth2\", \"eth3\"]\n")}
	other := egressLab{c, write(t, "[egress]\ninterface = [\"eth3\", \"eth2\"]\n")}
	one.keep(t, "eth0")
	k3 := other.keep(t, "eth3")
	leads(t, c, hang, "10002")
	k2 := one.keep(t, "eth2")
	quiet, requests := silently(t, c), len(c.IMDS().Requests(time.Time{}))
	eventually(t, hang, "the next readings", func() bool { return len(c.IMDS().Requests(time.Time{})) > requests+laterReading })
	quiet("two first choices")
	leads(t, c, 0, "10002") // who has it keeps it
	if n := k2.lineCount() + k3.lineCount(); n > 20 {
		t.Errorf("%d log lines:\n%s\n%s", n, k2.log, k3.log)
	}
}
