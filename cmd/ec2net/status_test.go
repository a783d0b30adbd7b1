package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/state"
	"ec2net/test/lab"
)

// shown are interfaces in every state that status has a word for.
func shown(now time.Time) []interfaceStatus {
	iface := func(name, word string, change func(*interfaceStatus)) interfaceStatus {
		c := interfaceStatus{Present: true, Process: 4711, Table: 10001, Drift: []string{}}
		c.Name, c.MAC = name, metadata.MAC{2, 0, 0, 0, 0, 1}
		c.Enter(state.Ready)
		c.State = "10.0.2.37 and 1 more, table 10001, lease until 17:30:03"
		c.Interface = metadata.Interface{
			MAC: c.MAC, ID: "eni-0123456789abcdef0", DeviceNumber: 1,
			Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37"), addr("10.0.2.40")}),
		}
		c.ReadAt = now.Add(-12 * time.Second)
		c.Lease = &dhcp.Lease{Addr: netip.MustParsePrefix("10.0.2.37/24"), Server: addr("10.0.2.1"), Start: now, Expires: time.Hour}
		c.DHCP = "native"
		change(&c)
		if got := c.word(); got != word {
			panic(fmt.Sprintf("%s is %s, want %s", name, got, word))
		}
		return c
	}
	return []interfaceStatus{
		iface("eth0", "ok", func(c *interfaceStatus) { c.Table, c.Lease, c.Process = 0, nil, 0 }),
		iface("eth1", "ok", func(c *interfaceStatus) {
			for i := range 30 {
				c.Interface.Addrs6.Value = append(c.Interface.Addrs6.Value, addr(fmt.Sprintf("2001:db8:ec2:2::%x", 1000+i)))
			}
		}),
		iface("eth2", "waiting", func(c *interfaceStatus) {
			c.Enter(state.Waiting)
			c.State, c.ReadAt = "waiting for the metadata", time.Time{}
		}),
		iface("eth3", "degraded", func(c *interfaceStatus) {
			c.Enter(state.LeaseOnly)
			c.State, c.Interface = "degraded: 10.0.2.37/24 from its lease alone", metadata.Interface{}
		}),
		iface("eth4", "drift", func(c *interfaceStatus) { c.Drift = []string{"+ rule from 10.0.2.37 lookup 10001 pref 20001"} }),
		iface("eth5", "rollback", func(c *interfaceStatus) {
			c.Enter(state.RolledBack)
			c.RolledBack = &state.Rollback{Plan: []string{"+ addr 10.0.2.37/24 dev eth5 noprefixroute", "+ rule from 10.0.2.37 lookup 10001 pref 20001"}}
			c.State = "rolled back, because the connection of 10.0.0.29:22 with 192.0.2.1:40000 would go by eth5, not by eth0 via 10.0.0.1"
		}),
		iface("eth6", "left", func(c *interfaceStatus) {
			c.Enter(state.LeftTo)
			c.LeftTo, c.State = "Cilium", "left to Cilium"
		}),
		iface("averylongname15", "gone", func(c *interfaceStatus) { c.Present = false }),
	}
}

// On a terminal nothing is wider than it, the words have their colours, and every fact is there.
func TestStatusText(t *testing.T) {
	now := time.Date(2026, 11, 21, 16, 30, 3, 0, time.Local)
	list := shown(now)
	text := view{now: now, width: 80}.text(list)
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	table, _, _ := strings.Cut(text, "\n\n")
	const want = `INTERFACE             STATE     ADDRESS        TABLE  LEASE  READ   DRIFT  MANAGED BY
eth0             ok        10.0.2.37 +1   -      -      12s    0      nobody
eth1             ok        10.0.2.37 +31  10001  60m    12s    0      4711
eth2             waiting   10.0.2.37 +1   10001  60m    never  0      4711
eth3             degraded  10.0.2.37      10001  60m    12s    0      4711
eth4             drift     10.0.2.37 +1   10001  60m    12s    1      4711
eth5             rollback  10.0.2.37 +1   10001  60m    12s    0      4711
eth6             left      10.0.2.37 +1   10001  60m    12s    0      4711
averylongname15  gone      10.0.2.37 +1   10001  60m    12s    0      4711`
	if got := strings.ReplaceAll(table, "1h", "60m"); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("the table:\n%s\nwant:\n%s", got, want)
	}
	says(t, text, "eni-0123456789abcdef0", "02:00:00:00:00:01", "read 12s ago", "(1h left)", "process 4711, 0 repairs",
		"+ rule from 10.0.2.37 lookup 10001 pref 20001", "to clean up: ec2net down averylongname15", "2001:db8:ec2:2::405")
	if strings.Contains(text, "\x1b") {
		t.Error("colours without being asked for")
	}
	coloured := view{now: now, width: 80, colour: true}.text(list)
	says(t, coloured, "\x1b[32mok\x1b[0m", "\x1b[31mrollback\x1b[0m", "\x1b[33mdegraded\x1b[0m")
	if plain := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(coloured); plain != text {
		t.Error("the colours change the text")
	}
	still := view{now: now, still: true}
	if a, b := still.text(list), (view{now: now.Add(time.Hour / 2), still: true}).text(list); a != b {
		t.Error("what stands still changes with the time")
	}
	if one := (view{now: now}).text(list[1:2]); strings.Contains(one, "INTERFACE") || strings.Count(one, "\n") > 10 {
		t.Errorf("one interface, to a pipe:\n%s", one)
	}
}

// Who may not read the records sees what the kernel tells, and is told what is missing.
func TestStatusUnprivileged(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	if out, status := on(t, c, "chmod", "0", "/run/ec2net"); status != 0 {
		t.Fatal(out)
	}
	weak := []string{"--bounding-set=-dac_override,-dac_read_search,-net_admin", "--inh-caps=-all", "ec2net", "status"}
	out, status := on(t, c, "setpriv", weak...)
	if status != exitOK {
		t.Fatalf("status %d: %s", status, out)
	}
	says(t, out, "only root may read /run/ec2net", "eth1: set up, according to the kernel", "10.0.2.37", "10001")
	out, _ = on(t, c, "setpriv", append(weak, "--json", "--log-level", "error")...)
	var list []struct {
		Name    string
		Limited bool
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || !list[0].Limited {
		t.Errorf("%v: %s", err, out)
	}
	if out, status := on(t, c, "setpriv", append(weak, "--watch")...); status != exitFailed || !strings.Contains(out, "--watch needs root: watch /run/ec2net: permission denied") {
		t.Errorf("watch: status %d, %s", status, out)
	}
}

// --watch shows each change of a record and of the kernel, and nothing while nothing happens.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	if out, status := on(t, c, "ec2net", "status", "--watch"); status != exitFailed || !strings.Contains(out, "nothing to watch yet") {
		t.Errorf("status %d: %s", status, out)
	}
	ec2net(t, c, exitOK, "up", "eth1")
	seen := &lab.Log{}
	watch := c.Instance().Command(t.Context(), "ec2net", "status", "--watch")
	watch.Stdout, watch.Stderr = seen, seen
	must(t, watch.Start())
	await := func(what string, words ...string) {
		t.Helper()
		eventually(t, hang, what, func() bool {
			frames := strings.Split(strings.TrimSuffix(seen.String(), "\n\n"), "\n\n")
			last := frames[len(frames)-1]
			for _, w := range words {
				if !strings.Contains(last, w) {
					return false
				}
			}
			return true
		})
	}
	await("the first frame", "eth1: 10.0.2.37, table 10001", "drift       none")
	ip(t, c, "rule del pref 20001")
	await("a rule is gone", "+ rule from 10.0.2.37 lookup 10001 pref 20001")
	must(t, c.Assign("eth1", addr("10.0.2.40")))
	ec2net(t, c, exitOK, "up", "eth1")
	await("a new address", "10.0.2.37 10.0.2.40", "drift       none")
	k := keep(t, c, "eth1")
	await("a process keeps it", fmt.Sprintf("process %d", k.Process.Pid))
	must(t, k.Process.Kill())
	await("it was killed", "nobody: the process that managed it has died")
	size, used := len(seen.String()), cpu(t, watch.Process.Pid)
	time.Sleep(2 * time.Second)
	if n := len(seen.String()); n != size {
		t.Errorf("drawn again without news:\n%s", seen.String()[size:])
	}
	if spent := cpu(t, watch.Process.Pid) - used; spent > 100*time.Millisecond {
		t.Errorf("waiting took %s of a processor", spent)
	}
	ec2net(t, c, exitOK, "down", "eth1")
	await("all is gone", "ec2net has set up no interface")
	must(t, watch.Process.Signal(os.Interrupt))
	if err := watch.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
}
