//go:build system

package system

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/system/debian"
)

// neighbour is another program that has to do with the network of a host. Its commands are shell's.
type neighbour struct {
	name        string
	suite       string            // where its package is another one; default bookworm's
	files       map[string]string // its configuration
	config      string            // ours beside it
	unmanaged   bool              // it configures the first interface, too
	world       func(*bed)        // what it needs outside of the machine
	start, stop string
	acts        []string   // what its user does while it runs: restart, reload
	anew        string     // a restart after which it has come second
	second      []string   // what doctor names when it comes second, until cure; none: all is well
	cure        func(*bed) // what doctor advises then
	works       string     // succeeds once it does its work
	check       func(*bed) // traffic of its own
	causes      []string   // that doctor names while it runs; none: all is well
	apart       bool       // it takes minutes: make test-neighbours has it, test-system has not
}

// twoInterfaces are two interfaces with two addresses each, and an elastic IP for each address.
func twoInterfaces() []lab.Interface {
	first, second := lab.Eth0(), second()
	with := func(c *lab.Interface, private, public string) {
		a := netip.MustParseAddr(private)
		c.Addrs4 = append(c.Addrs4, a)
		c.EIPs[a] = netip.MustParseAddr(public)
	}
	with(&first, "10.0.0.40", "203.0.113.40")
	with(&second, "10.0.2.101", "203.0.113.101")
	return []lab.Interface{first, second}
}

// whole says whether every neighbour is run on every release; else on one.
func whole() bool { return os.Getenv("EC2NET_NEIGHBOURS") == "all" }

// Each neighbour comes before ec2net and after it, is reloaded, restarted and removed beside it, and sees it restarted
// and purged. Every address answers by its interface throughout; doctor says all well, or what the neighbour does; no
// object of the neighbour's is touched. The longest gaps are the test's table (-v).
func TestNeighbours(t *testing.T) {
	for _, n := range neighbours() {
		if n.apart && !whole() {
			continue
		}
		for _, suite := range suites {
			if n.suite != suite && (n.suite != "" || suite != debian.Bookworm) && !whole() {
				continue
			}
			for _, after := range n.orders() {
				t.Run(fmt.Sprintf("%s/%s/after=%v", n.name, suite, after), func(t *testing.T) {
					t.Parallel()
					n.unmanaged = n.unmanaged && !after // else nobody has set the first interface up when ec2net comes
					newBed(t, suite, n).round(n, after)
				})
			}
		}
	}
}

// orders are whether it begins after ec2net. One that can be stopped and started comes in both orders each time.
func (n neighbour) orders() []bool {
	if n.stop == "" {
		return []bool{false, true}
	}
	return []bool{false}
}

// round is one neighbour's life beside ec2net.
func (b *bed) round(n neighbour, after bool) {
	b.begins(n, after)
	b.both(n)
	for _, act := range n.acts {
		b.act(act, func() { b.sh(act) })
		b.both(n)
	}
	if n.anew != "" {
		b.second(n, n.anew, n.anew)
		b.both(n)
	}
	if n.stop != "" {
		b.act("it stops", func() { b.keptWhile(func() { b.sh(n.stop) }) })
		b.named("it has stopped", nil)
		b.second(n, "it comes after ec2net", n.start)
		b.both(n)
	}
	b.act("ec2net restarts", func() { b.run("systemctl", "restart", "ec2net-ifup@eth0", "ec2net-ifup@ens6") })
	b.both(n)
	b.leave(n)
}

func (b *bed) begins(n neighbour, after bool) {
	if after {
		b.act("ec2net comes first", func() { b.install() })
		b.second(n, "it comes after ec2net", n.start)
		return
	}
	b.sh(n.start)
	if n.unmanaged {
		b.answers(lab.EIP1, limit)
	}
	b.act("ec2net comes after it", func() { b.install() })
}

// second has the neighbour come after ec2net, and does what doctor advises where that is not well.
func (b *bed) second(n neighbour, what, do string) {
	b.t.Helper()
	if n.second == nil {
		b.act(what, func() { b.sh(do) })
		return
	}
	b.sh(do)
	b.works(n)
	b.named(what, n.second)
	b.act("as doctor advises", func() { n.cure(b) })
}

// both waits until the neighbour does its work and doctor names what is said of it.
func (b *bed) both(n neighbour) {
	b.t.Helper()
	b.act("both are there", func() {
		b.works(n)
		b.named("beside it", n.causes)
	})
}

// works waits until the neighbour does its work, and tries it.
func (b *bed) works(n neighbour) {
	b.t.Helper()
	b.working(n)
	if n.check != nil {
		n.check(b)
	}
}

func (b *bed) working(n neighbour) {
	b.t.Helper()
	if n.works != "" {
		b.until(limit, func() string { return n.works + ": " + b.try("sh", "-c", n.works) }, func() bool { return b.command("sh", "-c", n.works).Run() == nil })
	}
}

// leave purges ec2net while the neighbour runs: nothing of ours is left, and everything of the neighbour's.
func (b *bed) leave(n neighbour) {
	b.t.Helper()
	before := b.steady("what is not ours", b.foreign)
	b.run("dpkg", "--purge", "ec2net")
	// keepalived, whose address the cloud granted and ec2net therefore had put there, adds it anew and elects itself
	// once more before it writes its rules again.
	b.until(limit, func() string { return "the purge touched what is not ours:\n" + difference(before, b.foreign()) },
		func() bool { return b.foreign() == before })
	if left := b.ours() + b.run("sh", "-c", "nft list tables | grep ec2net; true"); left != "" {
		b.t.Errorf("the purge left:\n%s", left)
	}
	b.working(n)
}

// foreign is what the kernel holds that is neither ours nor its own.
func (b *bed) foreign() string {
	return b.run("sh", "-c", `for f in -4 -6; do ip $f rule; ip $f route show table all; done | grep -Ev 'proto (236|ec2net|kernel|ra)|table local' | sed 's/expires [0-9]*sec//'
		nft list ruleset | awk '/^table/ { t = $2 " " $3 } /^table|chain/ { print t ":" $0 }' | grep -v '^inet ec2net-'
		true`)
}

func (b *bed) sh(command string) {
	b.t.Helper()
	if command != "" {
		b.run("sh", "-c", command)
	}
}

// table is what was measured, for people.
func (b *bed) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "longest gap, ms%37s", "")
	for _, a := range b.asked {
		fmt.Fprintf(&out, "%16s", a.name)
	}
	for _, r := range b.rows {
		fmt.Fprintf(&out, "\n%-52.52s", r.name)
		for _, g := range r.gaps {
			fmt.Fprintf(&out, "%16d", g.Milliseconds())
		}
	}
	return out.String()
}
