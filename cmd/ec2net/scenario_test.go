package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// A second `up` writes nothing, the plan is empty, and `down` leaves the host as it was, object by
// object, with other people's things in place and untouched.
func TestUpPlanDown(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ip(t, c, "link set eth1 up")
	linkLocals(t, c, "eth1")
	ip(t, c, "addr add 10.0.2.99/24 dev eth1") // keepalived's
	ip(t, c, "rule add from 10.0.2.37 lookup 100012 pref 20001")
	ip(t, c, "route add 192.0.2.0/24 dev eth1 table 100012")
	before := world(t, c)
	if err := c.Assign("eth1", addr("10.0.2.40"), addr("10.0.2.4")); err != nil {
		t.Fatal(err)
	}

	conf := write(t, "dhcp = \"native\"\n") // the foreign address must not count
	plan := ec2net(t, c, exitDifferences, "--config", conf, "plan", "eth1")
	if !strings.Contains(plan, "+ rule from 10.0.2.37 lookup 10001 pref 20001\n") {
		t.Errorf("plan:\n%s", plan)
	}
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("plan changed something:\n%s", d)
	}
	upAsPlanned(t, c, exitOK, "--config", conf, "up", "eth1")
	if out := ec2net(t, c, exitOK, "--config", conf, "plan", "eth1"); out != "" {
		t.Errorf("plan after up:\n%s", out)
	}
	for _, eip := range []netip.Addr{lab.EIP1, lab.EIP2} {
		answers(t, c, eip)
	}
	up := world(t, c)
	quiet := silently(t, c)
	out := ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
	quiet("a second up")
	if strings.ContainsAny(out, "+~") {
		t.Errorf("a second up did something:\n%s", out)
	}
	if d := cmp.Diff(up, world(t, c)); d != "" {
		t.Errorf("a second up changed something:\n%s", d)
	}
	ec2net(t, c, exitOK, "down", "eth1")
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("after down (-before +after):\n%s", d)
	}
}

// Seed 002's stale list: addresses and rules follow the metadata, nothing else moves, and a
// connection on an untouched address does not notice.
func TestStaleList(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	eth2 := lab.Interface{Name: "eth2", Addrs4: []netip.Addr{addr("10.0.2.60")}}
	configure(t, c, soon)
	must(t, c.Attach(eth2))
	must(t, c.Assign("eth1", addr("10.0.2.3"), addr("10.0.2.41"), addr("10.0.2.42")))
	must(t, c.AssociateEIP(addr("10.0.2.41"), addr("203.0.113.41")))
	must(t, c.AssociateEIP(addr("10.0.2.42"), addr("203.0.113.42")))
	for _, iface := range []string{"eth1", "eth2"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	sshd, err := c.Instance().Echo(netip.MustParseAddrPort("10.0.2.37:22"))
	must(t, err)
	session, err := c.Client().Stream(t.Context(), netip.AddrPortFrom(lab.EIP2, sshd.Addr.Port()))
	must(t, err)
	must(t, session.Alive(t.Context()))

	steps := []struct {
		what   string
		change func() error
		eth1   string
		eth2   string
	}{
		{"as it begins", func() error { return nil }, "10.0.2.3 10.0.2.37 10.0.2.41 10.0.2.42", "10.0.2.60"},
		{"released", func() error { return c.Release("eth1", addr("10.0.2.3")) }, "10.0.2.37 10.0.2.41 10.0.2.42", "10.0.2.60"},
		{"assigned", func() error { return c.Assign("eth1", addr("10.0.2.2")) }, "10.0.2.2 10.0.2.37 10.0.2.41 10.0.2.42", "10.0.2.60"},
		{"moved", func() error { return c.Move(addr("10.0.2.42"), "eth1", "eth2") }, "10.0.2.2 10.0.2.37 10.0.2.41", "10.0.2.42 10.0.2.60"},
	}
	for _, s := range steps {
		must(t, s.change())
		upAsPlanned(t, c, exitOK, "up", "eth1")
		upAsPlanned(t, c, exitOK, "up", "eth2")
		for iface, want := range map[string]string{"eth1": s.eth1, "eth2": s.eth2} {
			if got := addresses(t, c, iface); got != want {
				t.Errorf("%s: %s has %s, want %s", s.what, iface, got, want)
			}
			if got := sources(t, c, iface); got != want {
				t.Errorf("%s: rules of %s are from %s, want %s", s.what, iface, got, want)
			}
		}
		// Seed 003: whatever the numeric order, the primary is what new connections come from.
		for _, dst := range []string{"198.51.100.146 oif eth1", "10.0.2.200 oif eth1"} {
			if out := ip(t, c, "route get "+dst); !strings.Contains(out, " src 10.0.2.37 ") {
				t.Errorf("%s: preferred source: %s", s.what, out)
			}
		}
	}
	answers(t, c, addr("203.0.113.41"))
	answers(t, c, addr("203.0.113.42"))
	if err := session.Close(); err != nil {
		t.Errorf("the open connection: %v", err)
	}
}

func sources(t *testing.T, c *lab.Cloud, iface string) string {
	t.Helper()
	var list []struct {
		Src   string `json:"src"`
		Table string `json:"table"`
	}
	must(t, json.Unmarshal([]byte(ip(t, c, "-j rule")), &list))
	var out []string
	for _, r := range list {
		if r.Table == "1000"+strings.TrimPrefix(iface, "eth") {
			out = append(out, r.Src)
		}
	}
	return sorted(out)
}

// The interface goes while `run` keeps it: nothing of it is left, and nothing else was touched.
func TestUnplugged(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	before := world(t, c)
	for range 3 {
		must(t, c.Attach(lab.Eth1()))
		k := keep(t, c, "eth1")
		answers(t, c, lab.EIP2)
		must(t, c.Detach("eth1"))
		k.end(t)
		if d := cmp.Diff(before, world(t, c)); d != "" {
			t.Errorf("after the interface is gone (-before +after):\n%s", d)
		}
		if files, _ := on(t, c, "ls", "/run/ec2net"); strings.Contains(files, "json") {
			t.Errorf("records are left: %s", files)
		}
	}
}

// The interface goes while nobody runs: `down` still finds what is its.
func TestDownAfterTheInterface(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}})
	before := world(t, c)
	must(t, c.Attach(lab.Eth1()))
	ec2net(t, c, exitOK, "up", "eth1")
	must(t, c.Detach("eth1"))
	if out := ec2net(t, c, exitOK, "status"); !strings.Contains(out, "the interface is gone; to clean up: ec2net down eth1") {
		t.Errorf("status:\n%s", out)
	}
	ec2net(t, c, exitOK, "down", "eth1")
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
	ec2net(t, c, exitUsage, "down", "eth1") // nothing is left, and it says so
}

// What somebody deletes is back within a second, and what nobody touches costs nothing: no log line,
// no netlink write.
func TestRunRepairs(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	held := world(t, c)
	logged, counted := k.log.String(), repairsOf(t, c)
	for _, damage := range []string{
		"rule del pref 20001", "rule del pref 10001", "route flush table 10001", "route del default metric 10001",
		"addr del 10.0.2.37/24 dev eth1", "link set eth1 group default", "link set eth0 group default", "link set eth1 down",
	} {
		ip(t, c, damage)
		took := restored(t, c, held, damage)
		t.Logf("%-32s repaired within %s", damage, took.Round(time.Millisecond))
	}
	answers(t, c, lab.EIP2)
	eventually(t, hang, "they are repairs, and not the work of readings", func() bool { return repairsOf(t, c)-counted > 4 })
	if got := strings.Count(strings.TrimPrefix(k.log.String(), logged), "\n"); got > 12 {
		t.Errorf("8 repairs made %d log lines", got)
	}

	quiet := silently(t, c)
	logged = k.log.String()
	requests := len(c.IMDS().Requests(time.Time{}))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, "reload reads the metadata", func() bool { return len(c.IMDS().Requests(time.Time{})) > requests })
	requests = len(c.IMDS().Requests(time.Time{}))
	eventually(t, hang, "a young interface is read again", func() bool { return len(c.IMDS().Requests(time.Time{})) > requests })
	quiet("two readings without news")
	if got := k.log.String(); got != logged {
		t.Errorf("two readings without news were logged:\n%s", strings.TrimPrefix(got, logged))
	}
	k.stop(t)
	if d := cmp.Diff(held, world(t, c)); d != "" {
		t.Errorf("stopping changed something:\n%s", d)
	}
}

// The guard: local bridges and the operator's own routes win, the primary's do not.
func TestGuard(t *testing.T) {
	t.Parallel()
	shared := lab.Interface{Name: "eth2", Addrs4: []netip.Addr{addr("10.0.0.77")}} // eth0's subnet
	c := cloud(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0(), lab.Eth1(), shared}})
	peer, err := c.AddPeer("neighbour", addr("10.0.0.200"))
	must(t, err)
	for _, cmd := range []string{
		"link add docker0 type bridge", "link set docker0 up", "addr add 172.17.0.1/16 dev docker0",
		"netns add box", "link add veth0 type veth peer name ceth0 netns box", "link set veth0 master docker0 up",
		"-n box addr add 172.17.0.2/16 dev ceth0", "-n box link set ceth0 up", "-n box route add default via 172.17.0.1",
	} {
		ip(t, c, cmd)
	}
	for _, iface := range []string{"eth1", "eth2"} {
		ec2net(t, c, exitOK, "up", iface)
	}
	// While an interface is being set up, the kernel may refuse a DHCP answer (ICMP) before its rules are there.
	before := map[string]int{}
	for _, iface := range []string{"eth0", "eth1", "eth2"} {
		before[iface], _ = c.Spoofed(iface)
	}
	reaches(t, c.Instance(), addr("172.17.0.2"), lab.Ping{Source: addr("10.0.2.37")}) // a container behind docker0
	for _, dst := range []string{"10.0.0.77", "10.0.0.29", "10.0.2.37"} {
		reaches(t, peer, addr(dst), lab.Ping{}) // a peer in eth0's and eth2's subnet
	}
	for iface, was := range before {
		if n, err := c.Spoofed(iface); err != nil || n != was {
			drops, _ := c.SourceCheck()
			t.Errorf("%s: %d answers left by the wrong interface (%v): %+v", iface, n, err, drops)
		}
	}
	for _, r := range []struct{ route, dst, want string }{
		{"192.0.2.0/25 via 172.17.0.2 dev docker0", "192.0.2.9", "dev docker0"},
		{"192.0.2.128/26 via 10.0.2.254 dev eth1", "192.0.2.130", "via 10.0.2.254 dev eth1"},
		{"192.0.2.192/26 via 10.0.0.254 dev eth0", "192.0.2.200", "via 10.0.2.1 dev eth1"},
	} {
		ip(t, c, "route add "+r.route)
		upAsPlanned(t, c, exitOK, "up", "eth1")
		if out := ip(t, c, fmt.Sprintf("route get %s from 10.0.2.37", r.dst)); !strings.Contains(out, r.want) {
			t.Errorf("with %q, from eth1's address to %s: %s want %q", r.route, r.dst, out, r.want)
		}
	}
}
