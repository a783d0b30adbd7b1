package main

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// worlds in which the set-up of eth1 cuts the primary interface off.
var cutting = []struct {
	name string
	from string // where the operator comes from
	make func(t *testing.T, c *lab.Cloud) (mend func())
	says string
}{
	{"the operator's host is in the secondary's subnet", "10.0.2.200", nil, "would go by eth1, not by eth0 via 10.0.0.1"},
	{"a wrong subnet in the metadata", "10.0.3.200", func(t *testing.T, c *lab.Cloud) func() {
		return spoil(t, c, lab.Fault{Interface: "eth1", Path: "subnet-ipv4-cidr-block", Value: value("10.0.0.0/16")})
	}, "would go by eth1, not by eth0 via 10.0.0.1"},
	{"a stranger's rule that waits for our table", "10.0.3.200", func(t *testing.T, c *lab.Cloud) func() {
		ip(t, c, "rule add from 10.0.0.29 lookup 10001 pref 100")
		return func() { ip(t, c, "rule del from 10.0.0.29 lookup 10001 pref 100") }
	}, "would go by eth1 via 10.0.2.1, not by eth0"},
	{"a stranger's mark for the session", "10.0.3.200", func(t *testing.T, c *lab.Cloud) func() {
		ip(t, c, "rule add to 10.0.3.0/24 ipproto tcp sport 2222 lookup 10001 pref 100")
		return func() { ip(t, c, "rule flush pref 100") }
	}, "the connection of 10.0.0.29:2222 with 10.0.3.200"},
	{"the metadata's way is behind our table, and closed there", "10.0.3.200", func(t *testing.T, c *lab.Cloud) func() {
		ip(t, c, "rule add to 169.254.169.254 lookup 10001 pref 100")
		wall(t, c, "eth1", "10.0.2.1")
		return func() { ip(t, c, "rule flush pref 100"); ip(t, c, "neigh flush all nud permanent dev eth1") }
	}, "requests to the metadata would go by eth1 via 10.0.2.1, where it does not answer"},
}

// wall lets nothing out of an interface: its router's address leads nowhere.
func wall(t *testing.T, c *lab.Cloud, iface, router string) {
	t.Helper()
	ip(t, c, "link set "+iface+" up")
	linkLocals(t, c, iface)
	ip(t, c, "neigh replace "+router+" lladdr 02:00:00:00:00:99 dev "+iface+" nud permanent")
}

// A change that cuts off what was reached before is undone, object by object, and says what it was.
func TestUpIsUndone(t *testing.T) {
	t.Parallel()
	for _, tt := range cutting {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, wide())
			session := operator(t, c, tt.from, "10.0.0.29")
			mend := func() {}
			if tt.make != nil {
				mend = tt.make(t, c)
			}
			before := world(t, c)
			out := ec2net(t, c, exitFailed, "up", "eth1")
			says(t, out, tt.says, "+ rule from 10.0.2.37", "- rule from 10.0.2.37", "rolled back, because", "the change was: ")
			unchanged(t, c, before, "an `up` that was undone")
			must(t, session.Alive(t.Context()))
			if out := ec2net(t, c, exitOK, "status"); !strings.Contains(out, "ec2net has set up no interface") {
				t.Errorf("status: %s", out)
			}
			if tt.make == nil {
				return
			}
			mend()
			ec2net(t, c, exitOK, "up", "eth1")
			answers(t, c, lab.EIP2)
		})
	}
}

// A process that keeps the interface does not repeat what it had to undo, says so, and tries again when it
// is told to.
func TestRunIsUndone(t *testing.T) {
	t.Parallel()
	c := cloud(t, wide())
	session := operator(t, c, "10.0.3.200", "10.0.0.29")
	ip(t, c, "rule add from 10.0.0.29 lookup 10001 pref 100")
	k := start(t, c, "eth1")
	k.notify.await(t, "STATUS=rolled back, because the connection of 10.0.0.29:2222")
	if out, _ := on(t, c, "ec2net", "--cloud", "ec2", "up", "--wait", "10s", "eth1"); !strings.Contains(out, "rolled back, because") {
		t.Errorf("up beside it: %s", out)
	}
	held := ip(t, c, "rule") + ip(t, c, "route show table all")
	if strings.Contains(held, "proto ec2net") || strings.Contains(held, "10001 proto") || strings.Contains(held, "pref 20001") {
		t.Errorf("left behind:\n%s", held)
	}
	k.logs(t, "rolled back, because")
	tries := strings.Count(k.log.String(), "rolled back, because")
	time.Sleep(7 * time.Second) // a young interface's next reading has no news
	if n := strings.Count(k.log.String(), "rolled back, because"); n != tries || n > 2 {
		t.Errorf("undone %d times:\n%s", n, k.log)
	}
	says(t, statusOf1(t, c, "eth1"), "rolled back, because")
	must(t, session.Alive(t.Context()))

	ip(t, c, "rule del from 10.0.0.29 lookup 10001 pref 100")
	k.reload(t, c)
	k.notify.await(t, "READY=1")
	answers(t, c, lab.EIP2)
	k.stop(t)
}

// A later change is undone alone: what stood before stays, and is kept right.
func TestLaterChangeIsUndone(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	configure(t, c, soon)
	keep(t, c, "eth0")
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	settled(t, c, []string{"eth0", "eth1"})
	speak := idle(t, c, "10.0.2.200", "10.0.0.29")
	held := world(t, c)
	heal := spoil(t, c, lab.Fault{Interface: "eth1", Path: "local-ipv4s", Value: value("10.0.2.37\n10.0.2.200")})
	k.reload(t, c)
	k.notify.await(t, "STATUS=rolled back, because the connection of 10.0.0.29:2222 with 10.0.2.200")
	unchanged(t, c, held, "a change that was undone")
	ip(t, c, "rule del pref 20001")
	restored(t, c, held, "what stood before")
	answers(t, c, lab.EIP2)
	heal()
	k.reload(t, c)
	tells(t, c, "eth1", "10.0.2.37, table 10001")
	unchanged(t, c, held, "the end of the fault")
	speak()
}

// idle is an operator's connection on which nothing is said until speak is called.
func idle(t *testing.T, c *lab.Cloud, from, to string) (speak func()) {
	t.Helper()
	host, err := c.AddPeer("operator", addr(from))
	must(t, err)
	sshd, err := c.Instance().Echo(netip.AddrPortFrom(addr(to), 2222))
	must(t, err)
	conn, err := host.Dial(t.Context(), "tcp", sshd.Addr.String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return func() {
		t.Helper()
		must(t, conn.SetDeadline(time.Now().Add(hang)))
		got := make([]byte, 5)
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatalf("the operator's session: %v", err)
		}
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
			t.Errorf("the operator's session: %q, %v", got, err)
		}
	}
}

// Nothing is undone where nothing is lost.
func TestNoFalseAlarm(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, c *lab.Cloud){
		"the primary's process mends its own": func(t *testing.T, c *lab.Cloud) {
			keep(t, c, "eth0")
			operator(t, c, "10.0.2.200", "10.0.0.29")
		},
		"the metadata is slow, and comes by the new interface": func(t *testing.T, c *lab.Cloud) {
			ip(t, c, "rule add to 169.254.169.254 lookup 10001 pref 100")
			spoil(t, c, lab.Fault{Path: "**", Delay: 500 * time.Millisecond})
		},
		"a connection comes to leave by the interface that has its address": func(t *testing.T, c *lab.Cloud) {
			ip(t, c, "link set eth1 up")
			ip(t, c, "addr add 10.0.2.37/24 dev eth1 noprefixroute")
			must(t, c.Settle("eth1"))
			host, err := c.AddPeer("operator", addr("10.0.2.200"))
			must(t, err)
			ip(t, c, "route add 10.0.2.200 dev eth1")
			sshd, err := c.Instance().Echo(netip.MustParseAddrPort("10.0.2.37:22"))
			must(t, err)
			s, err := host.Stream(t.Context(), sshd.Addr)
			must(t, err)
			must(t, s.Alive(t.Context()))
			ip(t, c, "route del 10.0.2.200 dev eth1") // from now on by eth0
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("the session: %v", err)
				}
			})
		},
		"the metadata falls silent, and its way is the same": func(t *testing.T, c *lab.Cloud) {
			_, err := c.IMDS().Inject(lab.Fault{Skip: 14, Delay: time.Minute})
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			prepare(t, c)
			k := keep(t, c, "eth1")
			answers(t, c, lab.EIP2)
			if log := k.log.String(); strings.Contains(log, "rolled back") {
				t.Errorf("a false alarm:\n%s", log)
			}
		})
	}
}

// With main_table = false the interface's subnet is not in main, and an operator in it keeps his way.
func TestOperatorBesideWithoutMain(t *testing.T) {
	t.Parallel()
	c := cloud(t, wide())
	operator(t, c, "10.0.2.200", "10.0.0.29")
	conf := write(t, "main_table = false\n")
	says(t, ec2net(t, c, exitFailed, "up", "eth1"), "main_table = false")
	ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
	answers(t, c, lab.EIP2)
}

// A refresh without news takes no look at all, and a set-up dials nobody.
func TestProofCostsNoRequest(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	if n := c.IMDS().Stats().Connections; n > 4 {
		t.Errorf("%d connections to the metadata for one set-up", n)
	}
}

// `down` puts everything back when it would cut the host off.
func TestDownIsUndone(t *testing.T) {
	t.Parallel()
	c := cloud(t, wide())
	must(t, c.Assign("eth0", addr("10.0.0.5")))
	keep(t, c, "eth0")
	k := keep(t, c, "eth1")
	operator(t, c, "10.0.2.200", "10.0.0.29")
	settled(t, c, []string{"eth0", "eth1"})
	k.stop(t)
	held := world(t, c)
	says(t, ec2net(t, c, exitFailed, "down", "eth0"), "rolled back: without this interface", "10.0.0.29:2222 with 10.0.2.200", "by eth1, not by eth0 via 10.0.0.1",
		"eth0: the process that managed it has ended")
	unchanged(t, c, held, "a `down` that was undone")
	ec2net(t, c, exitOK, "down", "eth1")
	ec2net(t, c, exitOK, "down", "eth0")
}

// Taking down needs nothing of the cloud: not even an address of its metadata that makes sense.
func TestDownWithoutTheMetadatasAddress(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	if out, status := on(t, c, "env", "AWS_EC2_METADATA_SERVICE_ENDPOINT=nowhere:99999", "ec2net", "--cloud", "ec2", "down", "eth1"); status != exitOK {
		t.Errorf("status %d: %s", status, out)
	}
	if left := ip(t, c, "rule") + ip(t, c, "route show table all"); strings.Contains(left, "10001") {
		t.Errorf("something is left:\n%s", left)
	}
}

// Where the primary interface's next hop is another one, because its router has changed or the operator has given main
// a route, connections follow at once: they would do so without ec2net, and the old way may be a dead one.
func TestPrimaryFollowsItsRouter(t *testing.T) {
	t.Parallel()
	c := cloud(t, dual(lab.Config{RPFilter: 1}))
	ip(t, c, "-6 route del default dev eth0") // its manager's
	one := advertise(t, c, "eth0", lab.Advert{Router: addr("fe80::1:1")})
	eventually(t, hang, "the first router", func() bool { return strings.Contains(ip(t, c, "-6 route show default"), "fe80::1:1") })
	keep(t, c, "eth1")
	k := keep(t, c, "eth0")
	sshd, err := c.Instance().Echo(netip.AddrPortFrom(eth0v6, 22))
	must(t, err)
	session, err := c.Client().Stream(t.Context(), sshd.Addr)
	must(t, err)
	must(t, session.Alive(t.Context()))
	client := "2001:db8:ffff::146"
	by := func(via string) {
		t.Helper()
		eventually(t, hang, "answers leave by "+via, func() bool {
			return strings.Contains(ip(t, c, "-6 route get "+client+" from "+eth0v6.String()), "via "+via+" ")
		})
		must(t, session.Alive(t.Context()))
	}
	by("fe80::1:1")
	advertise(t, c, "eth0", lab.Advert{Router: addr("fe80::2:2")})
	eventually(t, hang, "the second router", func() bool { return strings.Contains(ip(t, c, "-6 route show default"), "fe80::2:2") })
	must(t, one.Withdraw())
	by("fe80::2:2")
	ip(t, c, "-6 route add 2001:db8:ffff::/64 via fe80:ec2::1 dev eth0")
	by("fe80:ec2::1")
	must(t, session.Close())
	if log := k.log.String(); strings.Contains(log, "rolled back") {
		t.Errorf("a false alarm:\n%s", log)
	}
}
