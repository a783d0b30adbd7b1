package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"ec2net/agent"
	"ec2net/test/lab"
)

// repairsOf is the number that status gives.
func repairsOf(t *testing.T, c *lab.Cloud) int {
	t.Helper()
	var list []struct{ Repairs int }
	must(t, json.Unmarshal([]byte(ec2net(t, c, exitOK, "status", "--json")), &list))
	if len(list) != 1 {
		t.Fatalf("status lists %d interfaces", len(list))
	}
	return list[0].Repairs
}

// Whatever somebody undoes is right again within a second, and it is counted and told.
func TestDrift(t *testing.T) {
	t.Parallel()
	c := full(t)
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	end := session(t, c, "10.0.2.37", lab.EIP2)
	held := world(t, c)
	for i, damage := range []string{
		"ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default",
		"ip -6 rule flush protocol 236",
		"ip route flush table 10001", "ip -6 route flush table 10001",
		"ip addr del 10.0.2.37/24 dev eth1", "ip addr del 10.0.2.40/32 dev eth1", "ip addr del 2001:db8:ec2:2::40/128 dev eth1",
		"ip addr flush dev eth1 scope global",
		"ip link set eth1 group default", "ip link set eth0 group default", "ip link set eth1 mtu 1400",
		"ip link set eth1 down", "ip link set eth1 down; ip link set eth1 up",
		"ip route flush dev eth1",
	} {
		logged, counted := k.log.String(), repairsOf(t, c)
		shell(t, c.Instance(), damage)
		took := restored(t, c, held, damage)
		t.Logf("%-40.40s right after %s", damage, took.Round(time.Millisecond))
		eventually(t, hang, "it is counted", func() bool { return repairsOf(t, c) > counted })
		k.logsChange(t, logged, damage)
		if i == 6 { // more than so many at once are a fight
			time.Sleep(agent.RepairWindow)
		}
	}
	answers(t, c, lab.EIP2)
	end()

	ip(t, c, "link set eth1 down")
	ip(t, c, "link set eth1 name ens9")
	eventually(t, hang, "renamed", func() bool { return echoes(t, c, lab.EIP2) })
	settled(t, c, []string{"ens9"})
	counted := repairsOf(t, c)
	ip(t, c, "rule del pref 20001 from 10.0.2.37")
	answersWithin(t, c, hang, lab.EIP2)
	eventually(t, hang, "it is counted", func() bool { return repairsOf(t, c) > counted })
	says(t, statusOf1(t, c, "ens9"), "ens9: 10.0.2.37 and 4 more", "drift       none")
}

// cpu is what a process has used so far, in user and in system mode.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	var user, system int64
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}

// Another program deletes our rule every 10 ms: that is said once, with its name, and costs next to nothing.
// When it ends, the rule is back within a second.
func TestFight(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	held, lines := world(t, c), k.lineCount()
	fighter := c.Instance().Command(t.Context(), "ip", "-force", "-batch", "-")
	blows, err := fighter.StdinPipe()
	must(t, err)
	must(t, fighter.Start())
	begun, used := time.Now(), cpu(t, k.Process.Pid)
	const fight = 8 * time.Second
	for tick := time.NewTicker(10 * time.Millisecond); time.Since(begun) < fight; <-tick.C {
		_, err := fmt.Fprintln(blows, "rule del pref 20001")
		must(t, err)
	}
	used = cpu(t, k.Process.Pid) - used
	name := fmt.Sprintf("ip (process %d) keeps undoing this interface's configuration (last: rule from 10.0.2.37 lookup 10001 pref 20001)", fighter.Process.Pid)
	must(t, blows.Close())
	_ = fighter.Wait() // of the rules that were not there it says so, by its status
	eventually(t, hang, "the rule is back", func() bool { return same(held, world(t, c)) })
	answers(t, c, lab.EIP2)
	k.logs(t, name)
	if n := k.lineCount() - lines; n > agent.RepairsMax+3 {
		t.Errorf("%d log lines for one fight:\n%s", n, k.log)
	}
	// The race detector, with which this program is built here, costs several times as much.
	if share := used.Seconds() / fight.Seconds(); share > 0.10 {
		t.Errorf("the fight took %.0f %% of a core", 100*share)
	} else {
		t.Logf("the fight took %.1f %% of a core", 100*share)
	}
	if n := repairsOf(t, c); n < agent.RepairsMax || n > 3*agent.RepairsMax {
		t.Errorf("%d repairs in %s", n, fight)
	}
}
