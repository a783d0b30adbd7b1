package plumb

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
	"ec2net/test/testkit"
)

// inNamespace puts the test, and every ip(8) that it starts, into a network namespace of its own.
func inNamespace(t testing.TB) {
	t.Helper()
	testkit.Namespace(t)
	ip(t, "link set lo up")
}

// ip runs ip(8) in the test's namespace. Its text is what operators compare with.
func ip(t testing.TB, args string) string {
	t.Helper()
	out, err := run("ip", args)
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return out
}

// run starts a program in the test's namespace.
func run(program, args string) (string, error) {
	out, err := exec.Command(program, strings.Fields(args)...).CombinedOutput()
	return string(out), err
}

// batch runs ip(8) commands, one a line.
func batch(t testing.TB, commands string) {
	t.Helper()
	c := exec.Command("ip", "-batch", "-")
	c.Stdin = strings.NewReader(commands)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s%s", err, commands, out)
	}
}

// sysctl writes a setting of the test's namespace.
func sysctl(t testing.TB, key, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// host is the instance of seed 002: eth0 set up as its installer left it, eth1 bare and down. IPv6
// link-local addresses are off, because they come at a time of the kernel's choice; a test that
// wants one asks for it.
func host(t testing.TB) {
	t.Helper()
	hostLike(t, "10.0.0.29/24", "10.0.0.1")
}

func hostLike(t testing.TB, addr0, gateway0 string) {
	t.Helper()
	inNamespace(t)
	sysctl(t, "ipv6/conf/default/addr_gen_mode", "1")
	sysctl(t, "ipv6/conf/default/accept_dad", "0")
	batch(t, `
link add eth0 address 02:00:00:00:00:10 type veth peer name gw0
link add eth1 address 02:00:00:00:00:11 type veth peer name gw1
link set gw0 up
link set gw1 up
link set eth0 up
addr add `+addr0+` dev eth0
route add default via `+gateway0+` dev eth0
`)
	lookAt(t, "gw0", "gw1", "eth0")
}

// secondHost has one more interface, eth2, and both are up.
func secondHost(t testing.TB) {
	t.Helper()
	host(t)
	batch(t, `
link add eth2 address 02:00:00:00:00:12 type veth peer name gw2
link set gw2 up
link set eth1 up
link set eth2 up
`)
	lookAt(t, "gw2", "eth1", "eth2")
}

// lookAt has the kernel announce a change of carrier now, which it else does up to a second late
// (net/core/link_watch.c): a test that watches would take it for news.
func lookAt(t testing.TB, links ...string) {
	t.Helper()
	for _, l := range links {
		ip(t, "link show dev "+l)
	}
}

// eth2 is a third interface, in eth1's subnet.
func eth2(addr ...string) metadata.Interface {
	return metadata.Interface{
		MAC: mac("02:00:00:00:00:12"), ID: "eni-0a2", DeviceNumber: 2,
		Addrs4: addrs(addr...), Subnets4: prefixes("10.0.2.0/24"),
	}
}

func open(t testing.TB, name string) *Link {
	t.Helper()
	l, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	l.scope.Peers = []metadata.MAC{mac("02:00:00:00:00:10")}
	t.Cleanup(l.Close)
	return l
}

func mac(s string) metadata.MAC {
	m, err := metadata.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func addrs(s ...string) metadata.Answer[[]netip.Addr] { return metadata.Is(testkit.Addrs(s...)) }

func prefixes(s ...string) metadata.Answer[[]netip.Prefix] {
	return metadata.Is(testkit.Prefixes(s...))
}

// eth1 is the second interface of seed 002.
func eth1() metadata.Interface {
	return metadata.Interface{
		MAC: mac("02:00:00:00:00:11"), ID: "eni-0a1", DeviceNumber: 1,
		Addrs4: addrs("10.0.2.37"), Subnets4: prefixes("10.0.2.0/24"),
	}
}

func wanting(c metadata.Interface) func(Snapshot) (State, error) {
	return func(s Snapshot) (State, error) {
		return Want(Input{Interface: c, Have: s, OwnAddress: true, MainTable: true, Gateway6: netip.MustParseAddr("fe80:ec2::1")})
	}
}

// both is what was done, and all that is wrong.
func (r Result) both() (Plan, error) { return r.Done, r.Err() }

func reconcile(t testing.TB, l *Link, c metadata.Interface) Plan {
	t.Helper()
	done, err := l.Reconcile(context.Background(), wanting(c)).both()
	if err != nil {
		t.Fatalf("reconcile: %v\ndone:\n%s", err, done)
	}
	again, err := l.Reconcile(context.Background(), wanting(c)).both()
	if err != nil || len(again) != 0 {
		t.Fatalf("the second plan is not empty: %v\n%s", err, again)
	}
	return done
}

// world is everything that a stranger could compare: addresses, routes, rules and links, but for what
// the kernel changes in its own time and what lies at the other end of the wires.
func world(t testing.TB) []string {
	t.Helper()
	var out []string
	for family, commands := range map[string]string{"-4": "addr\nroute show table all\nrule\nlink\n", "-6": "addr\nroute show table all\nrule\n"} {
		c := exec.Command("ip", family, "-o", "-d", "-batch", "-")
		c.Stdin = strings.NewReader(commands)
		text, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("ip -batch: %v\n%s", err, text)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.ReplaceAll(line, " proto ec2net", " proto 236") // where ec2net is installed, or was meanwhile
			words := strings.Fields(volatile.ReplaceAllString(strings.ReplaceAll(line, `\`, " "), ""))
			if strings.Contains(line, "altname") { // the order in which they came
				slices.Sort(words)
			}
			if !elsewhere.MatchString(line) {
				out = append(out, strings.Join(words, " "))
			}
		}
	}
	slices.Sort(out)
	return out
}

// elsewhere is the other end of the wires, and the kernel's own table, which follows the addresses in
// its own time.
var elsewhere = regexp.MustCompile(` gw\d| table local `)

// volatile is the signal on the wire, which follows the link a moment later, the queue that a link
// keeps once it has been up.
var volatile = regexp.MustCompile(` (state|qdisc) \S+|,?(NO-CARRIER|LOWER_UP|M-DOWN),?| (linkdown|dead)\b`)

// same fails the test when the world is not what it was.
func same(t testing.TB, what string, before []string) {
	t.Helper()
	if d := cmp.Diff(before, world(t)); d != "" {
		t.Errorf("%s (-before +after):\n%s", what, d)
	}
}

// found is what the state file holds of an interface that nobody touched yet.
func found(t testing.TB, l *Link) *Baseline {
	t.Helper()
	s := read(t, l)
	return &Baseline{Link: s.Link, AltNames: s.AltNames}
}

func read(t testing.TB, l *Link) Snapshot {
	t.Helper()
	s, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leave takes the interface back as another process would, after a kill -9: with what the state file
// tells, and nothing else.
func leave(t testing.TB, name string, before *Baseline, numbers ...int) Plan {
	t.Helper()
	l := open(t, name)
	l.scope.Numbers = numbers
	done, err := l.Leave(context.Background(), before)
	if err != nil {
		t.Fatalf("leave: %v\ndone:\n%s", err, done)
	}
	return done
}
