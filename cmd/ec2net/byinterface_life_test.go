package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// A connection to the container lives through what a host goes through: refreshes, a stop, a kill and a new start
// of the process, and all that somebody may undo. What is undone is back within a second.
func TestContainerKept(t *testing.T) {
	t.Parallel()
	c := withContainer(t, lab.Config{RPFilter: 1})
	c.answering(t, "by-interface")
	before := c.wholeWorld(t)
	k := keep(t, c.Cloud, "eth1")
	k.notify.await(t, "lease until")
	// A connection that is asked for before the address is the host's own is not translated, and stays so when it is
	// asked for again: READY has to mean that it is.
	for _, a := range []netip.Addr{lab.EIP2, in6[0]} {
		if !echoedWithin(t, hang, c.Client(), netip.AddrPortFrom(a, published)) {
			t.Errorf("at READY the container does not answer at %s", a)
		}
	}
	session, err := c.Client().Stream(t.Context(), netip.AddrPortFrom(lab.EIP2, published))
	must(t, err)
	session6, err := c.Client().Stream(t.Context(), netip.AddrPortFrom(in6[0], published))
	must(t, err)
	held := c.marks()
	says(t, statusOf1(t, c.Cloud, "eth1"), "nftables    inet ec2net-10001: replies by interface, mark 0x2000000/0x7f000000", "drift       none")

	for _, damage := range []string{
		"nft delete table inet ec2net-10001", "nft flush table inet ec2net-10001", "nft add rule inet ec2net-10001 prerouting drop",
		"nft flush chain inet ec2net-10001 prerouting", "ip rule del pref 19999 fwmark 0x2000000/0x7f000000", "ip -6 rule del pref 10001 fwmark 0x2000000/0x7f000000",
		"ip rule flush protocol 236",
	} {
		logged, counted := k.log.String(), repairsOf(t, c.Cloud)
		shell(t, c.Instance(), damage)
		took := eventually(t, hang, damage, // a second, on a machine that has nothing else to do
			func() bool { return c.marks() == held })
		t.Logf("%-60s right after %s", damage, took.Round(time.Millisecond))
		k.logsChange(t, logged, damage)
		eventually(t, hang, "it is counted", func() bool { return repairsOf(t, c.Cloud) > counted })
	}
	must(t, session.Alive(t.Context()))

	ours := c.table(t)
	k.reload(t, c.Cloud)
	k.stop(t)
	c.unwritten(t, ours, "a stop")
	k = keep(t, c.Cloud, "eth1")
	c.unwritten(t, ours, "a new start")
	must(t, k.Process.Kill())
	<-k.ended
	k = keep(t, c.Cloud, "eth1")
	c.unwritten(t, ours, "kill -9 and a new start")
	shell(t, c.Instance(), "nft delete table inet ec2net-10001")
	eventually(t, hang, "the table is back", func() bool { return c.table(t) != "" && repairsOf(t, c.Cloud) > 0 })
	for _, s := range []*lab.Stream{session, session6} {
		must(t, s.Alive(t.Context()))
		if err := s.Close(); err != nil {
			t.Errorf("the session with the container: %v", err)
		}
	}
	k.stop(t)
	ec2net(t, c.Cloud, exitOK, "down", "eth1")
	if d := cmp.Diff(lasting(before), lasting(c.wholeWorld(t))); d != "" {
		t.Errorf("after down (-before +after):\n%s", d)
	}
}

// table is the interface's own nftables table.
func (c *docked) table(t *testing.T) string {
	t.Helper()
	out, status := runOn(c.Instance(), "nft -a list table inet ec2net-10001")
	if status != 0 {
		return ""
	}
	return out
}

// unwritten wants the table to be the very same: one that is written anew has other handles.
func (c *docked) unwritten(t *testing.T, before, what string) {
	t.Helper()
	if d := cmp.Diff(before, c.table(t)); d != "" || before == "" {
		t.Errorf("%s wrote the table (-before +after):\n%s", what, d)
	}
}

// The setting is changed while the interface stays; and what is left when the process is killed and the interface goes.
func TestContainerSwitched(t *testing.T) {
	t.Parallel()
	for _, found := range []string{"0", "1"} {
		t.Run("src_valid_mark was "+found, func(t *testing.T) {
			t.Parallel()
			c := withContainer(t, lab.Config{RPFilter: 1})
			must(t, c.Instance().Sysctl("net/ipv4/conf/eth1/src_valid_mark", found))
			untouched := c.wholeWorld(t)
			c.answering(t, "by-source")
			ec2net(t, c.Cloud, exitOK, "up", "eth1")
			plain := c.wholeWorld(t)
			c.answering(t, "by-interface")
			plan := ec2net(t, c.Cloud, exitDifferences, "plan", "eth1")
			says(t, plan, "+ rule from all fwmark 0x2000000/0x7f000000 lookup 10001 pref 19999\n", "+ table inet ec2net-10001 { chain protocol-236 { };")
			if strings.Contains(plan, "~ sysctl net/ipv4/conf/eth1/src_valid_mark=1\n") != (found == "0") {
				t.Errorf("plan:\n%s", plan)
			}
			if d := cmp.Diff(plain, c.wholeWorld(t)); d != "" {
				t.Errorf("plan changed something:\n%s", d)
			}
			if out := ec2net(t, c.Cloud, exitOK, "up", "eth1"); !strings.Contains(out, "+ table inet ec2net-10001") {
				t.Errorf("up:\n%s", out)
			}
			eventually(t, hang, "the container is reached", func() bool { return c.reaches(t, c.Client(), lab.EIP2) })
			ec2net(t, c.Cloud, exitOK, "plan", "eth1")
			c.answering(t, "by-source")
			ec2net(t, c.Cloud, exitOK, "up", "eth1")
			if d := cmp.Diff(plain, c.wholeWorld(t)); d != "" {
				t.Errorf("after the setting was taken back:\n%s", d)
			}
			c.answering(t, "by-interface")
			k := keep(t, c.Cloud, "eth1")
			must(t, k.Process.Kill())
			<-k.ended
			if c.table(t) == "" {
				t.Error("no table after READY")
			}
			ec2net(t, c.Cloud, exitOK, "down", "eth1")
			if d := cmp.Diff(lasting(untouched), lasting(c.wholeWorld(t))); d != "" {
				t.Errorf("after kill -9 and down:\n%s", d)
			}
		})
	}
}

// The interface goes while a process keeps it, and while none does: no table is left.
func TestContainerUnplugged(t *testing.T) {
	t.Parallel()
	c := withContainer(t, lab.Config{})
	c.answering(t, "by-interface")
	tables := func() string {
		out, _ := runOn(c.Instance(), "nft list tables; ip rule; ip -6 rule")
		return out
	}
	before := tables()
	for _, kept := range []bool{true, false} {
		if kept {
			k := keep(t, c.Cloud, "eth1")
			must(t, c.Detach("eth1"))
			k.end(t)
		} else {
			must(t, c.Attach(lab.Eth1()))
			ec2net(t, c.Cloud, exitOK, "up", "eth1")
			must(t, c.Detach("eth1"))
			if tables() == before {
				t.Error("nothing was there to be cleared up")
			}
			ec2net(t, c.Cloud, exitOK, "down", "eth1")
		}
		if now := tables(); now != before {
			t.Errorf("kept %v: left after the interface:\n%s", kept, now)
		}
	}
}

// Another program has a table of our name: it stays, that is said with what to do, and the rest is set up.
func TestContainerTableTaken(t *testing.T) {
	t.Parallel()
	c := withContainer(t, lab.Config{})
	c.answering(t, "by-interface")
	shell(t, c.Instance(), "nft add table inet ec2net-10001; nft add chain inet ec2net-10001 mine")
	before := c.table(t)
	out := ec2net(t, c.Cloud, exitPartial, "up", "eth1")
	says(t, out, `table inet ec2net-10001: it belongs to another program and is left alone (to remove it: nft delete table inet ec2net-10001)`)
	answers(t, c.Cloud, lab.EIP2)
	ec2net(t, c.Cloud, exitOK, "down", "eth1")
	if now := c.table(t); now != before || now == "" {
		t.Errorf("another program's table:\n%s", now)
	}
}
