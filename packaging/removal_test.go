//go:build packages

package packaging_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

// A system with two interfaces of the cloud: eth1 is there, eth2 was unplugged while nobody ran. The kernel
// has what ec2net writes for them, and as much that is not ours.
func withInterfaces(t *testing.T) system {
	t.Helper()
	s := clean(t)
	for _, command := range []string{
		"link set lo up",
		"link add eth1 address 02:00:00:00:00:01 type veth peer name far1",
		"link set far1 up",
		"link set eth1 up group 236",
		"address add 10.0.1.5/24 dev eth1 noprefixroute",
		"route add 10.0.1.0/24 dev eth1 src 10.0.1.5 metric 10001 proto 236",
		"route add default via 10.0.1.1 dev eth1 metric 10001 proto 236",
		"route add 10.0.1.0/24 dev eth1 src 10.0.1.5 table 10001 proto 236",
		"route add default via 10.0.1.1 dev eth1 table 10001 proto 236",
		"rule add from 10.0.1.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10001 proto 236",
		"rule add from 10.0.1.5 lookup 10001 pref 20001 proto 236",
		"rule add from 10.0.2.5 lookup 10002 pref 20002 proto 236",
		// Not ours, although it looks like it.
		"rule add from 10.0.1.9 lookup 10001 pref 20001 proto static",
		"route add 10.9.0.0/16 via 10.0.1.1 dev eth1 metric 10001 proto static",
	} {
		output(t, "ip", strings.Fields(command)...)
	}
	iface, err := net.InterfaceByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	s.record("eth1", "02:00:00:00:00:01", iface.Index, 1)
	s.record("eth2", "02:00:00:00:00:02", 999, 2)
	return s
}

// record is what ec2net keeps of an interface between two of its processes.
func (s system) record(name, mac string, index, number int) {
	s.Helper()
	b, err := json.Marshal(map[string]any{
		"name": name, "index": index, "mac": mac, "numbers": []int{number}, "ready": true, "dhcp": "off",
	})
	if err != nil {
		s.Fatal(err)
	}
	s.write("/run/ec2net/"+name+".json", string(b), 0o600)
	s.write("/run/ec2net/"+name+".lock", "", 0o600)
}

// ours is what carries our mark in the kernel. ip(8) does not select rules by it.
func ours(t *testing.T) (list string) {
	t.Helper()
	for l := range strings.Lines(output(t, "ip", "-N", "rule") + output(t, "ip", "-N", "route", "show", "table", "all")) {
		if strings.Contains(l, "proto 236") {
			list += l
		}
	}
	return list
}

func (s system) cleared() {
	s.Helper()
	if got := ours(s.T); got != "" {
		s.Errorf("left in the kernel:\n%s", got)
	}
	if s.exists("/run/ec2net") {
		s.Errorf("left in /run/ec2net: %q", names(s.T, s.dir+"/run/ec2net"))
	}
	if got := output(s.T, "ip", "rule"); !strings.Contains(got, "from 10.0.1.9 lookup 10001") {
		s.Errorf("another's rule is gone: %s", got)
	}
	if got := output(s.T, "ip", "route", "show", "proto", "static"); !strings.Contains(got, "10.9.0.0/16 via 10.0.1.1") {
		s.Errorf("another's route is gone: %s", got)
	}
	if got := output(s.T, "ip", "-details", "link", "show", "eth1"); strings.Contains(got, "group 236") {
		s.Errorf("the interface is in our group still: %s", got)
	}
}

// Removal takes everything of ours out of the kernel, of an interface that is there and of one that is gone.
func TestDebRemovalClearsTheKernel(t *testing.T) {
	s := withInterfaces(t)
	s.install(deb(t))
	if before := ours(t); !strings.Contains(before, "20001") || !strings.Contains(before, "20002") {
		t.Fatalf("installation touched the kernel: %s", before)
	}
	s.run("dpkg", "--remove", "ec2net")
	s.cleared()
}

func TestRPMRemovalClearsTheKernel(t *testing.T) {
	s := withInterfaces(t)
	s.rpm("--upgrade", rpm(t))
	s.rpm("--erase", "ec2net")
	s.cleared()
}

// An upgrade touches neither the kernel nor what is remembered.
func TestUpgradeKeepsInterfaces(t *testing.T) {
	for kind, upgrade := range map[string]func(system){
		"deb": func(s system) { s.install(deb(t)); s.install(file(t, upgrades, newerDeb+debArch+".deb")) },
		"rpm": func(s system) {
			s.rpm("--upgrade", rpm(t))
			s.rpm("--upgrade", file(t, upgrades, newerRPM+rpmArch+".rpm"))
		},
	} {
		s := withInterfaces(t)
		before := ours(t)
		upgrade(s)
		if after := ours(t); after != before {
			t.Errorf("%s: the upgrade changed\n%s\nto\n%s", kind, before, after)
		}
		if got := len(names(t, s.dir+"/run/ec2net")); got != 4 {
			t.Errorf("%s: %d files are left in /run/ec2net, want 4", kind, got)
		}
	}
}

// What can not be taken away is said, remembered until purge, and no reason not to remove the package.
func TestDebRemovalWithoutTheRight(t *testing.T) {
	s := withInterfaces(t)
	s.install(deb(t))
	out := s.run("setpriv", "--bounding-set", "-net_admin", "dpkg", "--remove", "ec2net")
	for _, want := range []string{"CAP_NET_ADMIN", "some configuration of eth1 may be left", "some configuration of eth2 may be left"} {
		if !strings.Contains(out, want) {
			t.Errorf("removal does not say %q:\n%s", want, out)
		}
	}
	if !s.exists("/run/ec2net/eth1.json") {
		t.Error("what is left is forgotten")
	}
	s.run("dpkg", "--purge", "ec2net")
	if s.exists("/run/ec2net") {
		t.Error("purge left /run/ec2net")
	}
}
