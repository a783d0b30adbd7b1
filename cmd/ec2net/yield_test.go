package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// What each plugin writes on a node with a pod on the second interface: amazon-vpc-cni-k8s, and Cilium with the
// address management of EC2 (its rules 9, 10 and 100 are written in every mode).
var (
	vpcCNI = []string{
		"link add eni1234567890a type veth peer name pod0", "link set eni1234567890a up", "link set pod0 up",
		"link set eth1 up", "addr add 10.0.2.37/24 dev eth1 noprefixroute",
		"route add 10.0.2.1 dev eth1 scope link table 2", "route add default via 10.0.2.1 dev eth1 table 2",
		"route add 10.0.2.40 dev eni1234567890a scope link",
		"rule add pref 1024 from all fwmark 0x80/0x80 lookup main",
		"rule add pref 512 to 10.0.2.40 lookup main", "rule add pref 1536 from 10.0.2.40 lookup 2",
	}
	// A pod with a security group of its own has a branch interface, whose rules come before the local table.
	vpcCNIBranch = slices.Concat([]string{"link add vlan.eth.1 type veth peer name vlan0ab"}, up("vlan.eth.1"), up("vlan0ab"), []string{
		"route add 10.0.9.1 dev vlan.eth.1 scope link table 101", "route add default via 10.0.9.1 dev vlan.eth.1 table 101", "route add 10.0.9.40 dev vlan0ab scope link table 101",
		"rule add pref 10 iif vlan0ab lookup 101", "rule add pref 10 iif vlan.eth.1 lookup 101", "rule add pref 20 lookup local", "rule del pref 0",
	}, vpcCNI)
	ciliumENI = append([]string{
		"link set eth1 up", "addr add 10.0.2.37/24 dev eth1 noprefixroute",
		"route add 10.0.2.1 dev eth1 scope link table 11", "route add default via 10.0.2.1 dev eth1 table 11",
		"rule add pref 109 fwmark 0x80/0x80 lookup main", "rule add pref 20 to 10.0.2.40 lookup main proto kernel",
		"rule add pref 111 from 10.0.2.40 to 10.0.0.0/16 lookup 11 proto kernel",
	}, ciliumTunnel...)
	ciliumTunnel = []string{
		"link add cilium_host type veth peer name cilium_net", "link set cilium_host up", "link set cilium_net up",
		"addr add 172.20.0.1/32 dev cilium_host", "route add 172.20.0.0/24 dev cilium_host",
		"rule add pref 9 fwmark 0x200/0xf00 lookup 2004 proto kernel", "route add local default dev lo table 2004",
		"rule add pref 10 fwmark 0xa00/0xf00 lookup 2005 proto kernel", "route add 172.20.0.1 dev cilium_host table 2005",
		"rule add pref 100 lookup local", "rule del pref 0",
	}
)

func ips(t *testing.T, c *lab.Cloud, commands []string) {
	t.Helper()
	for _, cmd := range commands {
		ip(t, c, cmd)
	}
	for _, iface := range []string{"eth1", "cilium_host", "cilium_net", "eni1234567890a", "pod0"} {
		if up, _ := on(t, c, "ip", "link", "show", "up", "dev", iface); strings.Contains(up, "LOWER_UP") {
			linkLocals(t, c, iface)
		}
	}
}

// An interface of a container network is left alone by everything, and it is said.
func TestYield(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rules []string
		says  string
	}{
		"amazon-vpc-cni":                   {vpcCNI, "left to amazon-vpc-cni (rule 1024: fwmark 0x80/0x80 lookup main)"},
		"amazon-vpc-cni, no node port":     {append(vpcCNI[:8:8], vpcCNI[9:]...), "left to amazon-vpc-cni (rule 1536: from 10.0.2.40 lookup 2)"},
		"amazon-vpc-cni, branch interface": {vpcCNIBranch, "left to amazon-vpc-cni (rule 1024: fwmark 0x80/0x80 lookup main)"},
		"Cilium":                           {ciliumENI, "left to Cilium (rule 109: fwmark 0x80/0x80 lookup main)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			must(t, c.Assign("eth1", addr("10.0.2.40")))
			must(t, c.Assign("eth0", addr("10.0.0.40"))) // a pod's, too
			ips(t, c, tt.rules)
			before := world(t, c)
			quiet := silently(t, c)
			requests := len(c.IMDS().Requests(time.Time{}))
			for _, iface := range []string{"eth1", "eth0"} {
				says(t, ec2net(t, c, exitOK, "up", iface), tt.says)
				k := start(t, c, iface)
				k.notify.await(t, "READY=1")
				k.end(t)
				says(t, k.log.String(), tt.says)
				says(t, ec2net(t, c, exitOK, "plan", iface), tt.says)
				says(t, statusOf1(t, c, iface), tt.says)
			}
			if n := len(c.IMDS().Requests(time.Time{})); n != requests {
				t.Errorf("%d requests about interfaces of somebody else", n-requests)
			}
			if out := ec2net(t, c, exitOK, "scan"); strings.Contains(out, tt.says) {
				t.Errorf("scan says it again: %s", out)
			}
			quiet("up, run, plan, scan")
			for _, iface := range []string{"eth1", "eth0"} {
				ec2net(t, c, exitOK, "down", iface)
			}
			unchanged(t, c, before, "up, run, scan and down")
			if n := len(c.DHCP().Messages(time.Time{})); n != 0 {
				t.Errorf("%d DHCP messages", n)
			}
		})
	}
}

// The container network comes later: everything of ours goes, its things stay, and the interface is not taken
// back when it goes again, until somebody says so.
func TestYieldLater(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	before := world(t, c)
	primary, k := keep(t, c, "eth0"), keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	ips(t, c, []string{vpcCNI[8]}) // first of all it writes the node's rule
	k.end(t)
	primary.end(t)
	k.notify.await(t, "STATUS=left to amazon-vpc-cni")
	if n := strings.Count(k.log.String(), "left to amazon-vpc-cni"); n != 1 {
		t.Errorf("said %d times:\n%s", n, k.log)
	}
	ips(t, c, append(vpcCNI[3:7:7], vpcCNI[0]))
	theirs := world(t, c)
	if out := strings.Join(theirs, "\n"); strings.Contains(out, "ec2net") || strings.Contains(out, "group 236") || strings.Contains(out, "device-number") {
		t.Errorf("something is left:\n%s", out)
	}
	ip(t, c, "rule del pref 1024")
	says(t, ec2net(t, c, exitOK, "up", "eth1"), "left to amazon-vpc-cni")
	ec2net(t, c, exitOK, "scan")
	ip(t, c, vpcCNI[8])
	unchanged(t, c, theirs, "up and scan after the network has gone")
	for _, cmd := range []string{"rule del pref 1024", "route flush table 2", "addr flush dev eth1", "link del eni1234567890a", "link set eth1 down"} {
		ip(t, c, cmd)
	}
	for _, iface := range []string{"eth1", "eth0"} {
		ec2net(t, c, exitOK, "down", iface)
	}
	if d := cmp.Diff(without(before, "mtu"), without(world(t, c), "mtu")); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
	ec2net(t, c, exitOK, "up", "eth1")
	answers(t, c, lab.EIP2)
}

// without leaves out of each line what depends on a word.
func without(lines []string, word string) (out []string) {
	for _, l := range lasting(lines) {
		before, after, _ := strings.Cut(l, " "+word+" ")
		_, after, _ = strings.Cut(after, " ")
		out = append(out, before+" "+after)
	}
	return out
}

// What looks like a container network and is none that takes interfaces; and an interface that the configuration
// names, whoever else has it.
func TestNoYield(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rules  []string
		config string
	}{
		"Cilium with a tunnel":             {ciliumTunnel, ""},
		"somebody's rule at 512":           {[]string{"rule add pref 512 to 10.9.9.9 lookup main"}, ""},
		"somebody's rule at 1536":          {[]string{"rule add pref 1536 from 10.9.9.9 lookup 7"}, ""},
		"somebody's rule at 1024":          {[]string{"rule add pref 1024 fwmark 0x80 lookup main"}, ""},
		"an interface that is insisted on": {[]string{vpcCNI[8]}, "[[interface]]\nname = \"eth1\"\nmanage = true\n"},
		"insisted on by what is late":      {[]string{vpcCNI[8]}, "[[interface]]\ndevice_number = 1\nmanage = true\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			ips(t, c, tt.rules)
			before := world(t, c)
			conf := write(t, tt.config)
			ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
			answers(t, c, lab.EIP2)
			ec2net(t, c, exitOK, "--config", conf, "down", "eth1")
			unchanged(t, c, before, "up and down")
		})
	}
}

// What udev's database says counts.
func TestManagedByAnother(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	index := strings.SplitN(ip(t, c, "-o link show dev eth1"), ":", 2)[0]
	before := world(t, c)
	db := fmt.Sprintf("mkdir -p /run/udev/data && echo E:ID_NET_MANAGED_BY=%%s > /run/udev/data/n%s", index)
	shell(t, c.Instance(), fmt.Sprintf(db, "io.systemd.Network"))
	says(t, ec2net(t, c, exitOK, "up", "eth1"), `left to "io.systemd.Network"`)
	unchanged(t, c, before, "up")
	runOn(c.Instance(), fmt.Sprintf(db, "ec2net"))
	ec2net(t, c, exitOK, "up", "eth1")
	answers(t, c, lab.EIP2)
}
