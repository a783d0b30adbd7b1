//go:build system

package system

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ec2net/metadata"
	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// cloudInit is a machine whose network cloud-init configures from EC2's metadata, beside ec2net.
type cloudInit struct {
	*bed
	suite    string
	ifupdown bool // it renders for ifupdown, not for netplan and systemd-networkd
}

// Debian's cloud-init, its EC2 datasource, what it renders for netplan, and its hotplug hook, beside ec2net: two
// interfaces at boot, a third one that both set up when it is plugged in, a reboot, and a boot as a new instance. Every
// address answers throughout, no rule is there twice, neither takes the other's away. What doctor says about the hook
// ends it, and the warning. One release is enough for make test: it takes a minute.
func TestCloudInit(t *testing.T) {
	for _, suite := range cloudSuites() {
		for name, ifupdown := range map[string]bool{"netplan": false, "ifupdown": true} {
			if ifupdown && !everywhere() {
				continue
			}
			t.Run(suite+"/"+name, func(t *testing.T) {
				t.Parallel()
				bootCloudInit(t, suite, ifupdown).life()
			})
		}
	}
}

func (c *cloudInit) life() {
	c.settled("at boot", "program")
	c.plugged()
	c.settled("after the plug", "program")
	for _, again := range []string{"true", "cloud-init clean"} {
		c.run("sh", "-c", again)
		c.reboot(threeInterfaces()...)
		c.bed = &bed{machine: c.machine}
		c.watch()
		c.settled("after "+again+" and a reboot", "program")
		c.t.Logf("boot after %s: %s", again, c.boot)
	}
	c.cured()
	c.leave(neighbour{})
}

// everywhere tells whether this run has all releases and renderers.
func everywhere() bool { return whole() || os.Getenv("EC2NET_SUITES") != "" }

// cloudSuites are the releases with cloud-init that this run boots: the newest stable one, or all.
func cloudSuites() (out []string) {
	for _, suite := range suites {
		if clouded[suite] != "" && (everywhere() || suite == debian.Trixie) {
			out = append(out, suite)
		}
	}
	return out
}

// threeInterfaces are two with two addresses each, and a third with one.
func threeInterfaces() []lab.Interface {
	ifaces := twoInterfaces()
	ifaces[0].MAC = metadata.MAC{0x02, 0xec, 0x20, 0, 1, 0} // named, as in permanent
	return append(ifaces, extra(2))
}

func bootCloudInit(t *testing.T, suite string, ifupdown bool) *cloudInit {
	t.Helper()
	ifaces := threeInterfaces()
	files := with(with(renamed(second(), extra(2), extra(3)), amazonHardware()), cloudConfig(suite))
	for i, name := range []string{"eth0", "ens6", "ens7"} {
		maps.Copy(files, permanent(name, ifaces[i]))
	}
	root := clouded[suite]
	if ifupdown {
		root += "-ifupdown"
		files["/etc/dhcp/dhclient-enter-hooks.d/test"] = "make_resolv_conf() { :; }\n" // as in cloudConfig
		files["/etc/network/interfaces"] = "source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n"
	}
	m := start(t, options{
		suite: root, unmanaged: true, hardware: true, files: files,
		cloud: lab.Config{Interfaces: ifaces[:2], RPFilter: 2},
	})
	t.Logf("boot %s", m.boot)
	c := &cloudInit{&bed{machine: m}, suite, ifupdown}
	c.watch()
	return c
}

// settled waits until every address answers and doctor names these causes alone, and wants each rule once, and of
// cloud-init's what it has rendered.
func (c *cloudInit) settled(what string, causes ...string) {
	c.t.Helper()
	c.wholly(what)
	c.named(what, causes)
	rules := regexp.MustCompile(`(?m)^\d+:\s*`).ReplaceAllString(c.run("sh", "-c", "ip rule; ip -6 rule | sed 's|$| (IPv6)|'"), "")
	for rule, n := range counted(lines(rules)) {
		if guard := strings.Contains(rule, "lookup main"); n > 1 && !guard { // each interface has its own for the subnet
			c.t.Errorf("%s: %d times %s", what, n, rule)
		}
	}
	if c.policies() && !strings.Contains(rules, "from 10.0.2.37 lookup 101 proto static") {
		c.t.Errorf("%s: cloud-init's own rules are gone:\n%s", what, rules)
	}
	for _, out := range []string{"10.0.0.29 eth0", "10.0.0.40 eth0", "10.0.2.37 ens6", "10.0.2.101 ens6"} {
		from, dev, _ := strings.Cut(out, " ")
		if got := c.run("ip", "route", "get", lab.ClientIP.String(), "from", from); !strings.Contains(got, "dev "+dev+" table 1000") {
			c.t.Errorf("%s: %s leaves by another table: %s", what, from, got)
		}
	}
}

// policies tells whether this cloud-init renders rules for a second interface, and its hook configures a third one: 22.4
// has neither. Its hook fails on a kernel that says "Address already assigned", see findings.
func (c *cloudInit) policies() bool { return c.suite != debian.Bookworm && !c.ifupdown }

func counted(list []string) map[string]int {
	n := map[string]int{}
	for _, s := range list {
		n[s]++
	}
	return n
}

// plugged plugs the third interface in, and waits for the end of the hook. Meanwhile no rule of ours is deleted, and what
// else is, is deleted no more often than the hook runs DHCP clients and netplan.
func (c *cloudInit) plugged() {
	c.t.Helper()
	third := extra(2)
	c.run("sh", "-c", "ip monitor rule route address >/tmp/monitor 2>&1 & until [ -s /tmp/monitor ]; do ip route add 192.0.2.99 dev lo table 99; ip route del 192.0.2.99 dev lo table 99; done")
	c.t.Logf("plug to answer %s", c.plug(third))
	c.ask("ens7", c.cloud.Client(), labtest.EIP(third))
	c.wholly("at the plug")
	c.measure()
	began := time.Now()
	c.hooked("ens7")
	c.t.Logf("the hook took %s after that", time.Since(began))
	c.wholly("beside the hook")
	c.rows = append(c.rows, row{"beside the hook", c.measure()})
	c.t.Log(c.table())
	if c.policies() {
		c.named("after the hook", []string{"ens7:manager", "program"})
	}
	c.obeyed()
	c.quiet()
}

// obeyed does what doctor says about what the hook has left, until there is nothing but the hook itself: the manager that has
// the interface now, too; and with ifupdown, default routes before the primary's, which the hook's DHCP client has replaced by
// one of metric 1002 (see findings).
func (c *cloudInit) obeyed() {
	c.t.Helper()
	commands := map[string]string{"manager": "lease: ", "main-default": "or: "} // come after that in the remedy
	c.until(limit, func() string { return "doctor names the hook alone:\n" + c.try("ec2net", "--cloud", "ec2", "doctor") }, func() bool {
		found, err := c.doctor()
		if err != nil {
			return false
		}
		for _, f := range found {
			if after, known := commands[f.ID]; known {
				_, command, _ := strings.Cut(f.Remedy, after)
				c.try("sh", "-c", command)
			}
		}
		return c.causes() == "program"
	})
	c.named("as doctor says", []string{"program"})
}

// hooked waits until cloud-init's hook has run for an interface.
func (c *cloudInit) hooked(name string) {
	c.t.Helper()
	c.until(hang, func() string {
		return "the hook has ended: " + c.try("systemctl", "status", "cloud-init-hotplugd.service")
	}, func() bool {
		ran := c.try("grep", "-c", "hotplug_action: handle.*net/"+name, "/var/log/cloud-init.log")
		state := c.unit("cloud-init-hotplugd.service", "ActiveState")
		return strings.TrimSpace(ran) != "0" && (state == "inactive" || state == "failed")
	})
}

// quiet wants few changes, and none any more when ec2net reads all there is once more.
func (c *cloudInit) quiet() {
	c.t.Helper()
	rounds := strings.Count(c.run("cat", "/var/log/cloud-init.log"), "Applying config change")
	deleted := slices.DeleteFunc(lines(c.run("cat", "/tmp/monitor")), func(l string) bool { return !strings.HasPrefix(l, "Deleted ") })
	for what, n := range counted(deleted) {
		ours := strings.Contains(what, "proto ec2net") && strings.Contains(what, "from ")
		if ours || n > 4*(rounds+1) {
			c.t.Errorf("%d times in %d rounds of the hook: %s", n, rounds, what)
		}
	}
	c.t.Logf("%d rounds of the hook, %d objects deleted", rounds, len(deleted))
	before := c.run("cat", "/tmp/monitor")
	for _, name := range []string{"eth0", "ens6", "ens7"} {
		c.run("ec2net", "--cloud", "ec2", "up", name)
	}
	if now := c.run("cat", "/tmp/monitor"); now != before {
		c.t.Errorf("it goes on changing:\n%s", strings.TrimPrefix(now, before))
	}
}

// cured does what doctor says to end the hook: the warning ends with it, and an interface that is plugged in afterwards is
// ec2net's alone.
func (c *cloudInit) cured() {
	c.t.Helper()
	found, err := c.doctor()
	if err != nil || len(found) != 1 {
		c.t.Fatalf("doctor finds %v, %v", found, err)
	}
	does := regexp.MustCompile(`^write (.*) into (\S*), then: (.*)$`).FindStringSubmatch(found[0].Remedy)
	if does == nil {
		c.t.Fatalf("doctor says %q", found[0].Remedy)
	}
	c.run("sh", "-c", fmt.Sprintf("echo '%s' >%s", does[1], does[2]))
	c.named("before doctor's cure is complete", []string{"program"})
	c.run("sh", "-c", does[3])
	c.settled("after doctor's cure")
	log := c.run("cat", "/var/log/cloud-init.log")
	c.plug(extra(3))
	c.active("ens8")
	c.settled("with a fourth interface")
	if now := c.run("cat", "/var/log/cloud-init.log"); now != log {
		c.t.Errorf("cloud-init's hook ran after the cure:\n%s", strings.TrimPrefix(now, log))
	}
}
