package main

import (
	"net/netip"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// Another interface has the name of one that was unplugged while nobody looked. What the former one had may be another
// host's by now: the new one never has it, not for a moment, whether or not the metadata answers in time.
func TestFormerInterfacesAddresses(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		for _, ends := range []string{"up", "killed run"} {
			c := cloud(t, granted2())
			setUpAndLeft(t, c, ends, "eth1")
			must(t, c.Detach("eth1"))
			must(t, c.Attach(lab.Interface{Name: "eth1", DeviceNumber: 2, Addrs4: []netip.Addr{addr("10.0.2.77")}}))
			if late {
				must(t, c.IMDS().Silence())
			}
			changes := monitored(t, c)
			k := start(t, c, "eth1")
			if late {
				k.notify.await(t, "STATUS=waiting for the metadata (")
				must(t, c.IMDS().Resume())
			}
			k.notify.await(t, "10.0.2.77, table 10002, lease until")
			former(t, changes(), "10.0.2.37", "10.0.2.51", "2001:db8:ec2:2::37", "2001:db8:ec2:2::51")
			if out := ip(t, c, "rule"); strings.Contains(out, "lookup 10001") {
				t.Errorf("%s: left behind\n%s", ends, out)
			}
			k.stop(t)
		}
	}
}

// Two interfaces were unplugged, and come back with their names swapped.
func TestSwappedNames(t *testing.T) {
	t.Parallel()
	for _, ends := range []string{"up", "killed run"} {
		cfg := granted2()
		cfg.Interfaces = append(cfg.Interfaces, lab.Interface{Name: "eth2", Addrs4: []netip.Addr{addr("10.0.2.77"), addr("10.0.2.78")}})
		c := cloud(t, cfg)
		setUpAndLeft(t, c, ends, "eth1")
		setUpAndLeft(t, c, ends, "eth2")
		one, err := c.Interface("eth1")
		must(t, err)
		two, err := c.Interface("eth2")
		must(t, err)
		must(t, c.Detach("eth1"))
		must(t, c.Detach("eth2"))
		one.Name, two.Name = "eth2", "eth1"
		must(t, c.Attach(two))
		must(t, c.Attach(one))
		changes := monitored(t, c)
		first, second := start(t, c, "eth1"), start(t, c, "eth2")
		first.notify.await(t, "10.0.2.77 and 1 more, table 10002, lease until")
		second.notify.await(t, "10.0.2.37 and 3 more, table 10001, lease until")
		for _, line := range changes() {
			on1, on2 := strings.Contains(line, ": eth1 "), strings.Contains(line, ": eth2 ")
			if (on1 && strings.Contains(line, "10.0.2.37/")) || (on2 && strings.Contains(line, "10.0.2.77/")) {
				t.Errorf("%s: the other's address: %s", ends, line)
			}
		}
		if got := sources(t, c, "eth1"); got != "10.0.2.37 10.0.2.51 10.0.2.96" {
			t.Errorf("%s: rules of table 10001 are from %s", ends, got)
		}
		first.stop(t)
		second.stop(t)
	}
}

// setUpAndLeft has an interface set up that nobody keeps.
func setUpAndLeft(t *testing.T, c *lab.Cloud, ends, iface string) {
	t.Helper()
	if ends == "up" {
		ec2net(t, c, exitOK, "up", iface)
		return
	}
	k := keep(t, c, iface)
	k.notify.await(t, "lease until")
	_ = k.Process.Kill()
	<-k.ended
}

// former wants none of the addresses to have been put anywhere.
func former(t *testing.T, changes []string, addrs ...string) {
	t.Helper()
	for _, line := range changes {
		for _, a := range addrs {
			if !strings.HasPrefix(line, "Deleted ") && strings.Contains(line+" ", " "+a) && strings.Contains(line, "inet") {
				t.Errorf("the former interface's: %s", line)
			}
		}
	}
}
