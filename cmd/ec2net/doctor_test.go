package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/doctor"
	"ec2net/test/lab"
)

// patient is a world for the doctor: a cloud, interfaces that are set up, and what was done to them.
type patient struct {
	name    string
	cfg     lab.Config
	ifaces  string // to set up; empty: eth1 eth0
	conf    string // the configuration file
	breaks  []string
	harm    func(t *testing.T, c *lab.Cloud)
	want    string   // what is found, the worst first: "fail source-rule eth1"
	because []string // what is a consequence of it
	says    string   // in the report for a person
	cure    []string // after which all is well
	told    bool     // the cure is what the report says after "until then:"
}

// run builds the world, and wants the doctor to find what is wrong, and only that.
func (p patient) run(t *testing.T) {
	t.Helper()
	c := cloud(t, p.cfg)
	for _, iface := range strings.Fields(strings.Replace(p.ifaces, "-", "", 1)) {
		ec2net(t, c, exitOK, "up", iface)
	}
	if p.ifaces == "" {
		ec2net(t, c, exitOK, "up", "eth1")
		ec2net(t, c, exitOK, "up", "eth0")
	}
	shell(t, c.Instance(), p.breaks...)
	if p.harm != nil {
		p.harm(t, c)
	}
	var flags []string
	if p.conf != "" {
		flags = []string{"--config", write(t, p.conf)}
	}
	before := world(t, c)
	findings, status := diagnosis(t, c, flags...)
	if got := roots(findings); got != p.want {
		t.Errorf("found %q, want %q\n%s", got, p.want, report(t, c, flags...))
	}
	if fails := strings.Contains(p.want, "fail"); fails != (status == exitDifferences) || (!fails && status != exitOK) {
		t.Errorf("exit status %d", status)
	}
	for _, id := range p.because {
		if !explains(findings, id) {
			t.Errorf("%s is not told as a consequence\n%s", id, report(t, c, flags...))
		}
	}
	text := textOf(t, findings)
	says(t, strings.Join(strings.Fields(text), " "), p.says)
	for line := range strings.Lines(text) {
		if len(line) > doctor.Width+1 && strings.Contains(strings.TrimSpace(line[8:]), " ") {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if d := cmp.Diff(timeless(before), timeless(world(t, c))); d != "" {
		t.Errorf("the doctor changed something:\n%s", d)
	}
	if p.told {
		p.cure = commandsTold(findings)
	}
	if len(p.cure) == 0 {
		return
	}
	for _, cmd := range p.cure {
		if args, ok := upOf(cmd); ok {
			upAsPlanned(t, c, exitOK, args...)
		} else {
			shell(t, c.Instance(), cmd)
		}
	}
	if findings, _ := diagnosis(t, c, flags...); roots(findings) != "" {
		t.Errorf("after the cure:\n%s", report(t, c, flags...))
	}
}

// commandsTold are the commands that the causes' remedies name.
func commandsTold(list []doctor.Finding) (out []string) {
	for _, f := range list {
		if _, commands, ok := strings.Cut(f.Remedy, "until then: "); ok && f.Verdict >= doctor.Warn && !slices.Contains(out, commands) {
			out = append(out, commands)
		}
	}
	return out
}

// diagnosis is what the doctor finds, and its exit status.
func diagnosis(t *testing.T, c *lab.Cloud, flags ...string) ([]doctor.Finding, int) {
	t.Helper()
	out, status := on(t, c, "ec2net", append(slices.Clone(flags), "--cloud", string(c.Provider()), "doctor", "--json")...)
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("doctor: %v, exit status %d\n%s", err, status, out)
	}
	return r.Findings, status
}

func report(t *testing.T, c *lab.Cloud, flags ...string) string {
	t.Helper()
	out, _ := on(t, c, "ec2net", append(slices.Clone(flags), "--cloud", string(c.Provider()), "doctor")...)
	return out
}

// textOf is what the doctor tells a person of what it found, without another run: see TestDoctorTextIsItsJSON.
func textOf(t *testing.T, list []doctor.Finding) string {
	t.Helper()
	var b strings.Builder
	must(t, doctor.Report{Findings: list}.Write(&b, false))
	return b.String()
}

// The JSON has all that the text says.
func TestDoctorTextIsItsJSON(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	shell(t, c.Instance(), "ip rule del pref 20001", "ip rule add from 10.0.2.37 blackhole pref 5")
	findings, _ := diagnosis(t, c)
	if d := cmp.Diff(report(t, c), textOf(t, findings)); d != "" || !strings.Contains(textOf(t, findings), "do: ") {
		t.Errorf("(-program +from its JSON):\n%s", d)
	}
}

// roots are the causes: "fail source-rule eth1, warn networkd".
func roots(list []doctor.Finding) string {
	var out []string
	for _, f := range list {
		if f.Verdict >= doctor.Warn {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Verdict, f.ID, f.Interface)))
		}
	}
	return strings.Join(out, ", ")
}

func explains(list []doctor.Finding, id string) bool {
	return slices.ContainsFunc(list, func(f doctor.Finding) bool {
		return slices.ContainsFunc(f.Consequences, func(c doctor.Finding) bool { return c.ID == id })
	})
}

// shared is two interfaces in one subnet.
func shared() lab.Config {
	return lab.Config{Interfaces: []lab.Interface{lab.Eth0(), {Name: "eth1", Addrs4: []netip.Addr{addr("10.0.0.77")}}}}
}

// secondaries has three more addresses on eth1.
func secondaries() lab.Config {
	eth1 := lab.Eth1()
	eth1.Addrs4 = append(slices.Clone(eth1.Addrs4), addr("10.0.2.40"), addr("10.0.2.41"), addr("10.0.2.42"))
	return lab.Config{Interfaces: []lab.Interface{lab.Eth0(), eth1}}
}

// What is well is found well.
func TestDoctorHealthy(t *testing.T) {
	t.Parallel()
	for _, p := range []patient{
		{name: "the primary alone", cfg: lab.Config{Interfaces: []lab.Interface{lab.Eth0()}}, ifaces: "-"},
		{name: "primary and second"},
		{name: "rp_filter strict", cfg: lab.Config{RPFilter: 1}},
		{name: "rp_filter loose", cfg: lab.Config{RPFilter: 2}},
		{name: "one subnet", cfg: shared()},
		{name: "one subnet, strict", cfg: func() lab.Config { c := shared(); c.RPFilter = 1; return c }()},
		{name: "secondary addresses", cfg: secondaries()},
		{name: "IPv6 only", cfg: lab.Config{Subnets: []lab.Subnet{
			{ID: "subnet-a", CIDR: netip.MustParsePrefix("10.0.0.0/24")}, {ID: "subnet-c", IPv6: netip.MustParsePrefix("2001:db8:ec2:2::/64")},
		}, Interfaces: []lab.Interface{lab.Eth0(), {Name: "eth1", Subnet: "subnet-c", Addrs6: []netip.Addr{addr("2001:db8:ec2:2::37")}}}}},
		{name: "both families", cfg: matrixCloud(), ifaces: "eth1 eth2 eth3 eth0"},
		{name: "docker and a tunnel", harm: neighbours},
		{name: "an operator's static route", breaks: []string{"ip route add 192.0.2.0/24 via 10.0.2.254 dev eth1", "ec2net --cloud ec2 up eth1"}},
		{name: "an operator who refuses bogons", cfg: lab.Config{RPFilter: 1}, breaks: []string{
			"ip route add blackhole 192.0.2.0/24", "ip route add blackhole 203.0.113.0/24", "ip -6 route add unreachable 2001:db8:ffff::/48",
		}},
		{name: "not managed", ifaces: "eth0", conf: "[[interface]]\nname = \"eth1\"\nmanage = false\n", breaks: []string{"ec2net --cloud ec2 down eth0"}},
		{name: "owned by dhclient", ifaces: "-", harm: leased},
		{name: "owned by networkd", ifaces: "-", breaks: []string{networkdRuns, "mkdir -p /run/systemd/netif/links",
			"printf 'ADMIN_STATE=configured\\nNETWORK_FILE=/run/systemd/network/80.network\\n' > /run/systemd/netif/links/$(cat /sys/class/net/eth1/ifindex)",
			"ip link set eth1 up", "ip addr add 10.0.2.37/24 dev eth1", told, upAgain, "ec2net --cloud ec2 up eth0"}},
		{name: "a rule without preference that came first", ifaces: "-", breaks: []string{bridged, blog, "ec2net --cloud ec2 up eth1", "ec2net --cloud ec2 up eth0"}},
		{name: "networkd that was told", breaks: []string{networkdRuns, told}},
		{name: "Azure", cfg: azureMachine(3), ifaces: "eth1 eth2 eth0"},
		{name: "egress", ifaces: "-", harm: egressed},
		{name: "answers by interface", cfg: lab.Config{RPFilter: 1}, ifaces: "-", harm: byInterface},
		{name: "a NAT gateway", cfg: wide(), ifaces: "-", harm: natted},
		{name: "kept", ifaces: "-", harm: kept2},
	} {
		p.says = "all well: "
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.run(t)
		})
	}
}

// networkdRuns is a process of that name on the instance.
const networkdRuns = `bash -c 'exec -a /usr/lib/systemd/systemd-networkd sleep 600' >/dev/null 2>&1 &`

// told is what our package tells networkd.
const told = `mkdir -p /etc/systemd/networkd.conf.d
printf '[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n' > /etc/systemd/networkd.conf.d/ec2net.conf`

// leased has dhclient take the lease of eth1, and ec2net its layer.
func leased(t *testing.T, c *lab.Cloud) {
	t.Helper()
	startDhclient(t, c, 200)
	ec2net(t, c, exitOK, "up", "eth1")
	ec2net(t, c, exitOK, "up", "eth0")
}

// kept2 has both interfaces kept by processes.
func kept2(t *testing.T, c *lab.Cloud) {
	t.Helper()
	keep(t, c, "eth0")
	keep(t, c, "eth1").notify.await(t, "lease until")
	settled(t, c, []string{"eth0", "eth1"}) // eth0's rules beside eth1 come after those of eth1
}

// egressed has the host's own traffic leave by eth1, set up by processes that have ended since.
func egressed(t *testing.T, c *lab.Cloud) {
	t.Helper()
	configure(t, c, "[egress]\ninterface = \"eth1\"\n")
	first, second := keep(t, c, "eth0"), keep(t, c, "eth1")
	second.notify.await(t, "lease until")
	eventually(t, hang, "traffic leaves by eth1", func() bool { return strings.Contains(ip(t, c, "rule"), "30200:") })
	settled(t, c, []string{"eth0", "eth1"})
	second.stop(t)
	first.stop(t)
}

// byInterface has eth1 answer for containers, too.
func byInterface(t *testing.T, c *lab.Cloud) {
	t.Helper()
	configure(t, c, "replies = \"by-interface\"\n")
	ec2net(t, c, exitOK, "up", "eth1")
	ec2net(t, c, exitOK, "up", "eth0")
}

// natted passes the traffic of a third subnet on by eth1, set up by processes that have ended since.
func natted(t *testing.T, c *lab.Cloud) {
	t.Helper()
	configure(t, c, "[nat]\nfrom = [\"10.0.3.0/24\"]\nin = \"eth0\"\nout = \"eth1\"\n")
	first, second := keep(t, c, "eth0"), keep(t, c, "eth1")
	second.notify.await(t, "lease until")
	eventually(t, hang, "forwarding", func() bool {
		return forwarding(t, c, "eth0", "eth1") == "1 1" && strings.Contains(ip(t, c, "rule"), "from 10.0.3.0/24 iif eth0 lookup 10001")
	})
	settled(t, c, []string{"eth0", "eth1"})
	second.stop(t)
	first.stop(t)
}

// timeless leaves out of a world what the kernel does in its own time: carriers, and the addresses that it gives.
func timeless(world []string) (out []string) {
	for _, l := range world {
		if strings.Contains(l, "fe80::") || strings.Contains(l, "ff00::") || strings.Contains(l, " table local ") {
			continue
		}
		if _, link, ok := strings.Cut(l, "> mtu "); ok {
			before, after, _ := strings.Cut(link, " state ")
			_, after, _ = strings.Cut(after, " ")
			l = strings.SplitN(l, "<", 2)[0] + before + after
		}
		out = append(out, strings.ReplaceAll(l, " linkdown", ""))
	}
	return out
}
