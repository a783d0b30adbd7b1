package main

import (
	"regexp"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// exitNode are Tailscale's rules with an exit node: its table takes all. tailscaled writes no route that would leave
// out the metadata.
const exitNode = "ip tuntap add tailscale0 mode tun; ip link set tailscale0 up; ip addr add 100.64.7.7/32 dev tailscale0; ip route add default dev tailscale0 table 52; " +
	"ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main; ip rule add pref 5230 fwmark 0x80000/0xff0000 lookup default; ip rule add pref 5250 fwmark 0x80000/0xff0000 unreachable; ip rule add pref 5270 lookup 52"

// preferences are those of ec2net's rules for addresses, each once.
func preferences(t *testing.T, c *lab.Cloud) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(ip(t, c, "rule")) {
		pref, _, _ := strings.Cut(line, ":")
		if regexp.MustCompile("proto (236|ec2net)").MatchString(line) && (len(out) == 0 || out[len(out)-1] != pref) {
			out = append(out, pref)
		}
	}
	return strings.Join(out, " ")
}

// The setting priority takes effect on a restart of the processes, under traffic; a reload reads the metadata alone, and
// who goes by the file as it was is told. Beside an exit node all is well then, and down leaves nothing.
func TestPriorityWhileKept(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{RPFilter: 1})
	first, second := keep(t, c, "eth0"), keep(t, c, "eth1")
	second.notify.await(t, "lease until")
	eventually(t, hang, "the rules of both", func() bool { return preferences(t, c) == "10000 10001 20000 20001" })
	end := session(t, c, "10.0.2.37", lab.EIP2)
	configure(t, c, "priority = 1000\n")
	second.reload(t, c)
	says(t, statusOf1(t, c, "eth1"), "with an older configuration")
	if got := preferences(t, c); got != "10000 10001 20000 20001" {
		t.Errorf("after a reload: %s", got)
	}
	for _, k := range []*kept{second, first} {
		k.stop(t)
	}
	second = keep(t, c, "eth1")
	eventually(t, hang, "one at 1000, the other as before", func() bool { return preferences(t, c) == "1000 1002 10000 20000" })
	answers(t, c, lab.EIP2)
	answers(t, c, lab.EIP1)
	first = keep(t, c, "eth0")
	eventually(t, hang, "both at 1000", func() bool { return preferences(t, c) == "1000 1002" })
	shell(t, c.Instance(), exitNode)
	answers(t, c, lab.EIP2)
	answers(t, c, lab.EIP1)
	end()
	settled(t, c, []string{"eth0", "eth1"})
	e := explain(t, c, exitOK, "198.51.100.146", "10.0.2.37")
	if e.There.In != "eth1" || e.Back == nil || e.Back.By[0] != "eth1" {
		t.Errorf("explained:\n%+v", e)
	}
	// What asks the metadata by the routing goes to the exit node; ec2net and the addresses do not.
	findings, status := diagnosis(t, c)
	if got := roots(findings); got != "warn metadata-route" || status != exitOK {
		t.Errorf("found %q, status %d\n%s", got, status, report(t, c))
	}
	says(t, strings.Join(strings.Fields(report(t, c)), " "), "by the rule 5270: from all lookup 52, written by Tailscale")
	first.stop(t)
	second.stop(t)
	shell(t, c.Instance(), "ip link del tailscale0; for p in 5210 5230 5250 5270; do ip rule del pref $p; done")
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c, exitOK, "down", iface)
	}
	if got := preferences(t, c); got != "" {
		t.Errorf("left: %s", got)
	}
}

// Without the setting, doctor names the exit node's rule as the cause, and not the metadata: that answers ec2net.
func TestExitNodeWithoutPriority(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	shell(t, c.Instance(), exitNode)
	findings, _ := diagnosis(t, c)
	if got := roots(findings); got != "fail rule-in-front eth0, fail rule-in-front eth1, warn metadata-route" {
		t.Errorf("found %q\n%s", got, report(t, c))
	}
	text := strings.Join(strings.Fields(report(t, c)), " ")
	says(t, text, "priority = 1000 at the top of ec2net.toml", "systemctl restart 'ec2net-ifup@*'")
	configure(t, c, "priority = 1000\n")
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	if findings, _ := diagnosis(t, c); roots(findings) != "warn metadata-route" {
		t.Errorf("after what it says:\n%s", report(t, c))
	}
}

// What containers publish is answered by the interface that was asked, also with an exit node, where the bridge's
// rp_filter is not strict: the way back to a container is looked up by the exit node's rule, which ec2net's do not
// concern.
func TestPriorityByInterface(t *testing.T) {
	t.Parallel()
	c := withContainer(t, lab.Config{RPFilter: 2})
	configure(t, c.Cloud, "replies = \"by-interface\"\npriority = 1000\n")
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c.Cloud, exitOK, "up", iface)
	}
	shell(t, c.Instance(), exitNode)
	if got := preferences(t, c.Cloud); got != "1000 1001 1002" {
		t.Errorf("rules at %s", got)
	}
	for _, at := range []string{lab.EIP1.String(), lab.EIP2.String()} {
		eventually(t, hang, "the container answers at "+at, func() bool { return c.reaches(t, c.Client(), addr(at)) })
	}
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c.Cloud, exitOK, "down", iface)
	}
	if got := preferences(t, c.Cloud); got != "" {
		t.Errorf("left: %s", got)
	}
}

// With [egress] the primary counts as protected by its early rules, and traffic moves.
func TestPriorityAndEgress(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	configure(t, c, "priority = 1000\n[egress]\ninterface = \"eth1\"\n")
	first, second := keep(t, c, "eth0"), keep(t, c, "eth1")
	second.notify.await(t, "lease until")
	eventually(t, hang, "traffic leaves by eth1", func() bool { return strings.Contains(ip(t, c, "rule"), "30200:") })
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	settled(t, c, []string{"eth0", "eth1"})
	if findings, status := diagnosis(t, c); roots(findings) != "" || status != exitOK {
		t.Errorf("status %d\n%s", status, report(t, c))
	}
	second.stop(t)
	first.stop(t)
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c, exitOK, "down", iface)
	}
	if got := preferences(t, c); got != "" {
		t.Errorf("left: %s", got)
	}
}
