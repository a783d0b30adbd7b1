//go:build system

package system

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ec2net/doctor"
	"ec2net/test/lab"
)

// limit ends a hang. No time is judged.
const limit = 90 * time.Second

// bed is a machine with two interfaces, and those who ask its addresses all the time.
type bed struct {
	*machine
	asked []asked
	dead  []string // of those, the ones that are silenced on purpose
	short bool     // something is missing on purpose, which ec2net would add
	rows  []row
}

// asked is an address that somebody asks.
type asked struct {
	name string
	*lab.Echoes
}

// row is what was measured while something happened.
type row struct {
	name string
	gaps []time.Duration
}

// newBed boots a machine without ec2net, with the neighbour's configuration.
func newBed(t *testing.T, suite string, n neighbour) *bed {
	t.Helper()
	files := with(renamed(second()), n.files)
	if n.config != "" {
		files["/etc/ec2net/ec2net.toml"] = n.config
	}
	b := &bed{machine: start(t, options{suite: crowded[suite], bare: true, unmanaged: n.unmanaged, filter: "@keyring @mount bpf",
		cloud: lab.Config{Interfaces: twoInterfaces(), RPFilter: 2}, files: files})}
	t.Cleanup(func() { t.Logf("%s\n%s", t.Name(), b.table()) })
	b.run("sh", "-c", "mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200")
	if n.world != nil {
		n.world(b)
	}
	b.watch()
	return b
}

// watch has a client on the internet ask every elastic IP, and a host in each interface's subnet the other interface.
func (b *bed) watch() {
	b.t.Helper()
	for _, c := range b.cloud.Interfaces() {
		for _, private := range c.Addrs4 {
			b.ask(private.String(), b.cloud.Client(), c.EIPs[private])
		}
	}
	for _, p := range []struct{ name, from, to string }{{"near ens6", "10.0.2.50", "10.0.0.29"}, {"near eth0", "10.0.0.50", "10.0.2.37"}} {
		peer, err := b.cloud.AddPeer(p.from, netip.MustParseAddr(p.from))
		if err != nil {
			b.t.Fatal(err)
		}
		b.ask(p.name, peer, netip.MustParseAddr(p.to))
	}
}

func (b *bed) ask(name string, from *lab.Node, to netip.Addr) {
	b.t.Helper()
	e, err := from.Echoes(to, lab.Ping{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.asked = append(b.asked, asked{name, e})
}

// act does something, waits until every address answers, and notes the longest gaps.
func (b *bed) act(name string, do func()) {
	b.t.Helper()
	b.measure()
	do()
	b.wholly(name)
	b.rows = append(b.rows, row{name, b.measure()})
}

func (b *bed) measure() (gaps []time.Duration) {
	for _, a := range b.asked {
		gaps = append(gaps, a.Longest())
	}
	return gaps
}

// wholly waits until every address answers that nothing silences.
func (b *bed) wholly(what string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, a := range b.asked {
		if slices.Contains(b.dead, a.name) {
			continue
		}
		if err := a.Alive(ctx); err != nil {
			b.t.Fatalf("%s: %s: %v\n%s", what, a.name, err, b.try("ec2net", "--cloud", "ec2", "doctor"))
		}
	}
}

// named waits until doctor names these causes and no other, and the plan is empty unless something is missing.
func (b *bed) named(what string, causes []string) {
	b.t.Helper()
	want := strings.Join(slices.Sorted(slices.Values(causes)), " ")
	b.until(limit, func() string {
		return what + ": doctor names " + want + ", but\n" + b.try("ec2net", "--cloud", "ec2", "doctor") + b.planned()
	}, func() bool { return b.causes() == want && (b.short || b.planned() == "") })
}

// planned is what ec2net would change.
func (b *bed) planned() string {
	return b.try("sh", "-c", `for i in $(ls /sys/class/net | grep -E '^(eth0|ens)'); do ec2net --cloud ec2 plan $i >/tmp/plan 2>&1 || cat /tmp/plan; done`)
}

// causes are the checks that fail or warn, as doctor names them, one after another.
func (b *bed) causes() string {
	report, err := b.doctor()
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, f := range report {
		names = append(names, strings.Trim(f.Interface+":"+f.ID, ":"))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// doctor is what doctor finds to fail or to warn of.
func (b *bed) doctor() ([]doctor.Finding, error) {
	out, _ := b.command("ec2net", "--cloud", "ec2", "doctor", "--json").Output() // its status says the same
	var report struct{ Findings []doctor.Finding }
	err := json.Unmarshal(out, &report)
	return slices.DeleteFunc(report.Findings, func(f doctor.Finding) bool { return f.Verdict < doctor.Warn }), err
}

// obey does what doctor says about rules that come before ec2net's, until it says no more of them.
func (b *bed) obey() {
	b.t.Helper()
	b.until(limit, func() string { return "no rule of another program is in front\n" + b.try("ip", "rule") }, func() bool {
		report, err := b.doctor()
		if err != nil {
			return false
		}
		for _, f := range report {
			if _, commands, ok := strings.Cut(f.Remedy, "until then: "); ok && f.ID == "rule-in-front" {
				b.sh(commands)
				return false
			}
		}
		return true
	})
}

// install installs the package, as an operator does on a running machine.
func (b *bed) install() {
	b.t.Helper()
	b.run("dpkg", "--install", b.pocket())
	b.active("ens6")
	b.active("eth0")
}

// outside prepares a program with the machine's files and a host of the cloud's network.
func (b *bed) outside(n *lab.Node, args ...string) *lab.Cmd {
	network, _ := n.Namespaces()
	cmd := n.Command(context.Background(), "nsenter", slices.Concat([]string{"-t", strconv.Itoa(b.leader), "-m", "-r", "-w", "--net=" + network, "--"}, args)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go"}
	return cmd
}
