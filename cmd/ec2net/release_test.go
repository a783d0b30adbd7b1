package main

import (
	"fmt"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// An interface that the configuration leaves alone later is left as it was found, its MTU too, by whoever starts for
// it next. What plan prints is what is done.
func TestManagedNoLonger(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ toml, link string }{
		"by name":          {"[[interface]]\nname = \"eth1\"\nmanage = false\n", "mtu 1500"},
		"by device number": {"[[interface]]\ndevice_number = 1\nmanage = false\n", "mtu 1500"},
		"link only":        {"[[interface]]\nname = \"eth1\"\nmanage = \"link-up\"\n", ",UP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			found := world(t, c)
			ec2net(t, c, exitOK, "up", "eth1")
			conf := write(t, tt.toml)
			plan := ec2net(t, c, exitDifferences, "--config", conf, "plan", "eth1")
			done := ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
			for line := range strings.Lines(plan) {
				if first := line[0]; strings.ContainsRune("+-~", rune(first)) && !strings.Contains(done, strings.TrimSpace(line)) {
					t.Errorf("planned and not done: %s", line)
				}
			}
			says(t, ip(t, c, "link show dev eth1"), tt.link, "mtu 1500")
			if name != "link only" {
				unchanged(t, c, found, "manage = false")
			}
			if left := ip(t, c, "rule") + ip(t, c, "route show table all") + ip(t, c, "-d link show dev eth1"); strings.Contains(left, "ec2net") || strings.Contains(left, "altname") || strings.Contains(left, "proto 236") {
				t.Errorf("left:\n%s", left)
			}
			ec2net(t, c, exitOK, "--config", conf, "plan", "eth1")
			ec2net(t, c, exitOK, "up", "eth1") // and it can be taken again
			answers(t, c, lab.EIP2)
		})
	}
}

// Without DHCP the MTU of an earlier lease is given back, but not one that somebody has set since.
func TestLeasedNoLonger(t *testing.T) {
	t.Parallel()
	for mtu, want := range map[string]string{"": "mtu 1500", "1400": "mtu 1400"} {
		t.Run("set to "+mtu, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			ec2net(t, c, exitOK, "up", "eth1")
			says(t, ip(t, c, "link show dev eth1"), "mtu 9001")
			if mtu != "" {
				ip(t, c, "link set eth1 mtu "+mtu)
			}
			conf := write(t, "dhcp = \"off\"\n")
			ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
			says(t, ip(t, c, "link show dev eth1"), want)
			ec2net(t, c, exitOK, "--config", conf, "plan", "eth1")
			says(t, ec2net(t, c, exitOK, "--config", conf, "status", "eth1"), "drift       none")
			ip(t, c, "link set eth1 mtu 9000") // whoever sets one later is not undone
			ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
			says(t, ip(t, c, "link show dev eth1"), "mtu 9000")
			answers(t, c, lab.EIP2)
		})
	}
}

// The rules by which the host's own traffic leaves go with the management of their interface.
func TestEgressManagedNoLonger(t *testing.T) {
	t.Parallel()
	c := egressCloud(t)
	const egress = "[egress]\ninterface = \"eth2\"\n"
	flags := []string{"--config", write(t, egress)}
	k0 := startWith(t, c, "eth0", flags)
	k2 := startWith(t, c, "eth2", flags)
	eventually(t, hang, "traffic leaves by eth2", func() bool { return strings.Contains(ip(t, c, "route get 192.0.2.1"), "dev eth2") })
	settled(t, c, []string{"eth0", "eth2"}, flags...)
	k0.stop(t)
	k2.stop(t)
	says(t, ip(t, c, "rule"), "30200:")
	conf := write(t, egress+"[[interface]]\nname = \"eth2\"\nmanage = false\n")
	k := startWith(t, c, "eth2", []string{"--config", conf})
	k.end(t)
	if left := ip(t, c, "rule") + ip(t, c, "-6 rule"); strings.Contains(left, "30200:") || strings.Contains(left, "30100:") {
		t.Errorf("left:\n%s", left)
	}
	says(t, ip(t, c, "route get 192.0.2.1"), "dev eth0")
}

// While a process keeps the interface by the configuration as it was, up, status and doctor name it and what to do,
// and nothing is fought over.
func TestManagedNoLongerAndKept(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	held := world(t, c)
	conf := write(t, "[[interface]]\nname = \"eth1\"\nmanage = false\n")
	flag := func(args ...string) []string { return append([]string{"--config", conf}, args...) }
	who := fmt.Sprintf("process %d", k.Process.Pid)
	says(t, ec2net(t, c, exitOK, flag("up", "eth1")...), "left alone", who+" still manages eth1 with an older configuration; to stop it: ec2net down eth1")
	says(t, ec2net(t, c, exitOK, flag("status", "eth1")...), who, "with an older configuration; to stop it: ec2net down eth1")
	out, _ := on(t, c, "ec2net", append([]string{"--cloud", "ec2"}, flag("doctor", "eth1")...)...)
	says(t, strings.Join(strings.Fields(out), " "), "the configuration leaves it alone, but "+who+" still manages it", "systemctl restart ec2net-ifup@eth1, or without its unit: ec2net down eth1")
	unchanged(t, c, held, "up of what is to be left alone")
	ec2net(t, c, exitOK, "down", "eth1")
	out, _ = on(t, c, "ec2net", append([]string{"--cloud", "ec2"}, flag("doctor", "eth1")...)...)
	if strings.Contains(out, "leaves it alone") {
		t.Errorf("after down:\n%s", out)
	}
}
