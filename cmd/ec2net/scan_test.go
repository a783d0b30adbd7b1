package main

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ec2net/test/lab"
)

// Scan sets up all interfaces of the cloud, the primary too, as a boot does: its secondary addresses answer, and a
// host in another one's subnet that asks it gets its answers.
func TestScanSetsUpThePrimary(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	scansAll(t, c)
	says(t, ec2net(t, c, exitOK, "scan", "eth0"), "eth0 is set up")
	ec2net(t, c, exitOK, "down", "eth0")
	says(t, ec2net(t, c, exitOK, "scan", "eth0"), "eth0: ready")
}

// scansAll has a scan set up both interfaces, words among what it says. The primary gets a secondary address before that, and
// the other one a neighbour that asks the primary.
func scansAll(t *testing.T, c *lab.Cloud, words ...string) {
	t.Helper()
	must(t, c.Assign("eth0", addr("10.0.0.40")))
	eip := addr("203.0.113.240")
	must(t, c.AssociateEIP(addr("10.0.0.40"), eip))
	peer, err := c.AddPeer("neighbour", addr("10.0.2.50"))
	must(t, err)
	says(t, ec2net(t, c, exitOK, "scan"), append(words, "eth0: ready", "eth1: ready")...)
	answers(t, c, lab.EIP1)
	answers(t, c, lab.EIP2)
	answers(t, c, eip)
	reaches(t, peer, addr("10.0.0.29"), lab.Ping{})
	says(t, ec2net(t, c, exitOK, "scan"), "every interface is set up")
}

// What the configuration leaves alone is not started, and that is said.
func TestScanLeavesAlone(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	file := write(t, "[[interface]]\nname = \"eth0\"\nmanage = false\n")
	out := ec2net(t, c, exitOK, "--config", file, "scan")
	says(t, out, "eth0 is left alone, because "+file+" says", "eth1: ready")
	if out := ec2net(t, c, exitOK, "--config", file, "scan"); strings.Contains(out, "every interface") {
		t.Error(out)
	}
	if got := addresses(t, c, "eth0"); got != "10.0.0.29" {
		t.Errorf("eth0 has %s", got)
	}
}

// What is left of an interface that is gone and whose agent process was killed is cleared up after by the next scan,
// and by the agent of any other interface; also when it is in another network namespace, and not gone for good.
func TestOrphansAreCleared(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]func(*testing.T, *lab.Cloud){
		"unplugged":         func(t *testing.T, c *lab.Cloud) { must(t, c.Detach("eth1")) },
		"another namespace": elsewhere,
	} {
		for by, clears := range map[string]func(*testing.T, *lab.Cloud){
			"scan": func(t *testing.T, c *lab.Cloud) {
				says(t, ec2net(t, c, exitOK, "scan"), "eth1 and the process that managed it are gone: removed what they left")
			},
			"run": func(t *testing.T, c *lab.Cloud) { keep(t, c, "eth0") },
		} {
			t.Run(name+", by "+by, func(t *testing.T) {
				t.Parallel()
				c := cloud(t, lab.Config{})
				k := keep(t, c, "eth1")
				must(t, k.Process.Kill())
				<-k.ended
				gone(t, c)
				clears(t, c)
				eventually(t, hang, "nothing is left of eth1", func() bool {
					rules := ip(t, c, "rule") + ip(t, c, "-6 rule")
					files, _ := on(t, c, "ls", "-A", "/run/ec2net")
					return !strings.Contains(rules, "10001") && !strings.Contains(files, "eth1")
				})
			})
		}
	}
}

// elsewhere moves eth1 to another network namespace, which lasts as long as the test.
func elsewhere(t *testing.T, c *lab.Cloud) {
	t.Helper()
	holder := c.Instance().Command(t.Context(), "unshare", "--net", "sleep", "infinity")
	must(t, holder.Start())
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	pid := strconv.Itoa(holder.Process.Pid)
	eventually(t, hang, "a namespace of its own", func() bool {
		theirs, err := os.Readlink("/proc/" + pid + "/ns/net")
		ours, _ := on(t, c, "readlink", "/proc/self/ns/net")
		return err == nil && theirs != strings.TrimSpace(ours)
	})
	ip(t, c, "link set eth1 netns "+pid)
}

// While the unit's last command waits for the agent process to end, somebody else clears up after the interface: that
// nothing is left is what the command is for.
func TestClearedByAnother(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	keep(t, c, "eth1").stop(t)
	slow := holdLock(t, c, "eth1.lock")
	must(t, c.Detach("eth1"))
	var out string
	var status int
	var wg sync.WaitGroup
	wg.Go(func() { out, status = on(t, c, "ec2net", "--cloud", "ec2", "down", "--if-gone", "eth1") })
	slow.says(t, "told")
	shell(t, c.Instance(), "rm /run/ec2net/eth1.json; ip rule flush proto 236; ip -6 rule flush proto 236")
	slow.free(t)
	wg.Wait()
	if status != exitOK {
		t.Errorf("exit status %d: %s", status, out)
	}
}
