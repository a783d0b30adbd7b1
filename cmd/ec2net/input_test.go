package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// What can not be set up is refused with a reason, the documented status, and the kernel as it was.
func TestBadInput(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	for _, cmd := range []string{
		"link add br0 type bridge", "link add vx0 type vxlan id 7 dstport 4789 remote 192.0.2.1",
		"link add vf0 type veth peer name vf1", "link set vf0 master br0",
		"link add stranger address 02:00:00:00:99:99 type veth peer name stranger1",
	} {
		ip(t, c, cmd)
	}
	broken := write(t, "[[interface]]\nname = \"eth1\"\ndhcp = \"sometimes\"\n")
	before := world(t, c)
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"up nosuch0", exitUsage, "no such network interface nosuch0 here; this host has eth0, eth1, br0, "},
		{"run nosuch0", exitOK, "no such network interface nosuch0 here"}, // to the unit it is unplugged, which is no failure
		{"plan nosuch0", exitUsage, "no such network interface nosuch0 here"},
		{"down nosuch0", exitUsage, "there is no network interface nosuch0 here, and none has left anything behind"},
		{"up lo", exitUsage, "lo is the loopback device, not a network interface"},
		{"up br0", exitUsage, "br0 is a virtual device (bridge), not a network interface of the cloud"},
		{"up vx0", exitUsage, "vx0 is a virtual device (vxlan)"},
		{"up vf0", exitUsage, "vf0 is enslaved to br0: set that one up, or release it first"},
		{"scan nosuch0", exitUsage, "no such network interface nosuch0 here"},
		{"scan eth1 nosuch0", exitUsage, "no such network interface nosuch0 here"}, // and eth1 is not started
		{"scan vx0", exitOK, "vx0 is a virtual device (vxlan)"},
		{"scan stranger", exitOK, "the cloud does not know stranger (02:00:00:00:99:99)"},
		{"status --json nosuch0", exitUsage, "there is no network interface nosuch0 here, nor any record of one"},
		{"status nosuch0", exitUsage, "there is no network interface nosuch0 here, nor any record of one; this host has eth0, eth1, "},
		{"status eth1", exitOK, "ec2net has not set up eth1"},
		{"status", exitOK, "ec2net has set up no interface"},
		{"doctor br0", exitUsage, "br0 is a virtual device (bridge), not a network interface of the cloud"},
		{"doctor vf0", exitUsage, "vf0 is enslaved to br0: set that one up, or release it first"},
		{"doctor lo", exitUsage, "lo is the loopback device"},
		{"plan stranger", exitUnavailable, "02:00:00:00:99:99"},
		{"--config " + broken + " up eth1", exitUsage, broken + `:3:8: dhcp cannot be "sometimes"`},
		{"--config /nowhere/ec2net.toml up eth1", exitUsage, "/nowhere/ec2net.toml: there is no such file"},
	} {
		out := ec2net(t, c, tt.status, strings.Fields(tt.args)...)
		if !strings.Contains(out, tt.says) {
			t.Errorf("ec2net %s says\n%s\nwant %q", tt.args, out, tt.says)
		}
		if d := cmp.Diff(before, world(t, c)); d != "" {
			t.Errorf("ec2net %s changed something:\n%s", tt.args, d)
		}
	}
}

// A MAC that the cloud does not list is waited for, and given up with status 3.
func TestUnknownMAC(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ip(t, c, "link add stranger address 02:00:00:00:99:99 type veth peer name stranger1")
	out := ec2net(t, c, exitUnavailable, "up", "stranger", "--wait", "2s")
	for _, want := range []string{"gave up after 2s", "MAC unknown to the cloud"} {
		if !strings.Contains(out, want) {
			t.Errorf("says %q, want %q", out, want)
		}
	}
	if rules := ip(t, c, "rule"); strings.Contains(rules, "236") {
		t.Errorf("rules were written:\n%s", rules)
	}
}

// Without CAP_NET_ADMIN nothing is tried; plan and status still work.
func TestNotRoot(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	before := world(t, c)
	for _, command := range []string{"up", "run", "down"} {
		out, status := on(t, c, "setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "ec2net", "--cloud", "ec2", command, "eth1")
		if status != exitFailed || !strings.Contains(out, "needs CAP_NET_ADMIN: run it as root") {
			t.Errorf("%s: status %d, says %s", command, status, out)
		}
	}
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("something changed:\n%s", d)
	}
	out, status := on(t, c, "setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "ec2net", "--cloud", "ec2", "plan", "eth1")
	if status != exitDifferences || !strings.Contains(out, "+ rule from 10.0.2.37") {
		t.Errorf("plan: status %d, says %s", status, out)
	}
}

// Output that could not be written is a failure: half a plan must not be taken for the whole.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	ip(t, c, "rule del pref 20001")
	for _, command := range []string{"plan eth1", "plan --json eth1", "status", "status --json", "doctor", "doctor --json", "explain 10.0.2.37 10.0.0.1"} {
		if out, status := runOn(c.Instance(), "ec2net --cloud ec2 "+command+" >/dev/full"); status != exitFailed || !strings.Contains(out, "no space left on device") {
			t.Errorf("%s: status %d, says %s", command, status, out)
		}
	}
}

// Off the cloud there is nothing to do, and nobody is asked.
func TestNoCloud(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	for _, command := range []string{"up", "run", "plan"} {
		out, status := on(t, c, "ec2net", command, "eth1")
		if status != exitOK || !strings.Contains(out, "not on a known cloud: nothing to do") {
			t.Errorf("%s: status %d, says %s", command, status, out)
		}
	}
	if n := c.IMDS().Stats().Requests; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// The configuration decides before the cloud is asked, where it can.
func TestManage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, toml string
		up         bool // the link
		rules      bool
		asked      bool
	}{
		{"by name", "[[interface]]\nname = \"eth1\"\nmanage = false\n", false, false, false},
		{"by MAC", "[[interface]]\nmac = \"02:ec:20:00:01:01\"\nmanage = false\n", false, false, false},
		{"by device number", "[[interface]]\ndevice_number = 1\nmanage = false\n", false, false, true},
		{"link only, by device number", "[[interface]]\ndevice_number = 1\nmanage = \"link-up\"\n", true, false, true},
		{"link only", "[[interface]]\nname = \"eth*\"\nmanage = \"link-up\"\n", true, false, false},
		{"without main", "main_table = false\n", true, true, true},
		{"without DHCP", "dhcp = \"off\"\n", true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cloud(t, lab.Config{})
			conf := write(t, tt.toml)
			alone, planned := strings.Contains(tt.toml, "manage = false"), exitDifferences
			if alone {
				planned = exitOK
			}
			out := ec2net(t, c, planned, "--config", conf, "plan", "eth1") + ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
			if n := strings.Count(out, "left alone, because "+conf+" says manage = false"); alone != (n == 2) {
				t.Errorf("said %d times:\n%s", n, out)
			}
			if up := strings.Contains(ip(t, c, "link show dev eth1"), ",UP"); up != tt.up {
				t.Errorf("link up: %v, want %v", up, tt.up)
			}
			if rules := strings.Contains(ip(t, c, "rule"), "lookup 10001"); rules != tt.rules {
				t.Errorf("rules: %v, want %v", rules, tt.rules)
			}
			if asked := c.IMDS().Stats().Requests > 0; asked != tt.asked {
				t.Errorf("the metadata was asked: %v, want %v", asked, tt.asked)
			}
			if main := ip(t, c, "route show table main"); tt.name == "without main" && strings.Contains(main, "eth1") {
				t.Errorf("main_table = false:\n%s", main)
			}
			if out := ec2net(t, c, exitOK, "--config", conf, "status"); strings.Contains(out, "\n  table") != tt.rules || strings.Contains(out, "dev eth1") {
				t.Errorf("a table that is not there, or drift:\n%s", out)
			}
			if tt.rules {
				answers(t, c, lab.EIP2)
			}
		})
	}
}

// `up` of an interface whose link alone is kept is done at once, although its process never asks the metadata, or asks
// no more.
func TestUpOfAKeptLink(t *testing.T) {
	t.Parallel()
	for _, match := range []string{"name = \"eth1\"", "device_number = 1"} {
		t.Run(match, func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{})
			flags := []string{"--config", write(t, "[[interface]]\n"+match+"\nmanage = \"link-up\"\n")}
			startWith(t, c, "eth1", flags).notify.await(t, "STATUS=link up only, as configured")
			says(t, ec2net(t, c, exitOK, append(flags, "up", "--wait", "10s", "eth1")...), "ready: link up only, as configured")
		})
	}
}

// Who has changed the file and says "up" is told that the process that keeps the interface goes by the old one.
func TestUpAfterTheFileChanged(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	configure(t, c, "")
	k := keep(t, c, "eth1")
	told := func() bool {
		return strings.Contains(ec2net(t, c, exitOK, "up", "eth1"), "ec2net.toml has changed since process "+strconv.Itoa(k.Process.Pid)+" read it; to apply it: systemctl restart ec2net-ifup@eth1")
	}
	if told() {
		t.Error("the file is as it was")
	}
	configure(t, c, "main_table = false\n")
	if !told() {
		t.Error("the change is not told of")
	}
	says(t, ec2net(t, c, exitOK, "doctor", "eth1", "--json"), `"remedy": "process `+strconv.Itoa(k.Process.Pid)+` uses an older configuration: systemctl restart ec2net-ifup@eth1"`)
	k.stop(t)
	k = keep(t, c, "eth1")
	if told() {
		t.Error("the new process has read it")
	}
}
